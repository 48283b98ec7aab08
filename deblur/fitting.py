"""Find the blur kernel: from one picture, from several with one blur, or from a sharp and a blurred one.

`estimate` is the whole pipeline, for pictures as files store them:

    stored values -> linear light -> mask, noise level -> estimator -> kernel with a confidence

`fit` wraps it for arrays, tensors and files. The command line calls `estimate`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deblur.arrays import Samples
from deblur.conversion import pictures_from
from deblur.device import device_named, using_threads
from deblur.errors import OptionError, ShapeError
from deblur.estimation import Estimate, estimator
from deblur.estimation.estimate import Region
from deblur.finding import find
from deblur.light import believed_pixels, curve_of, curves_of, sample, saturation_level, slope, to_light
from deblur.masking import masked
from deblur.noise import estimate_sigma
from deblur.options import FitOptions
from deblur.picture import Picture, check_finite, check_picture
from deblur.progress import OnStep
from deblur.transfer import Transfer

__all__ = ["estimate", "fit"]

SMALLEST = 32
"""Pixels a side that a picture has at least."""


def estimate(
    pictures: Picture | Sequence[Picture],
    options: FitOptions | None = None,
    *,
    sharp: Picture | Sequence[Picture] = (),
    on_step: OnStep | None = None,
) -> Estimate:
    """Find the one kernel that blurred all pictures.

    Args:
        pictures: the blurred one, or several with one blur.
        options: what the user chose.
        sharp: none, one for all pictures, or one for each.
        on_step: told of the progress.

    Returns:
        The record; its `sigma` is the noise in stored values.

    Raises:
        ShapeError, OptionError: what was given does not fit together, or holds nothing to learn from: a flat picture, a
            tiny one, a size larger than the picture, a sharp picture of another scene.
    """
    options = options or FitOptions()
    start = time.perf_counter()
    pictures = [pictures] if isinstance(pictures, Picture) else list(pictures)
    sharp = [sharp] if isinstance(sharp, Picture) else list(sharp)
    for picture in (*pictures, *sharp):
        check_picture(picture)
    if not pictures:
        raise OptionError("expected at least one blurred picture, got none")
    if sharp and len(sharp) not in (1, len(pictures)):
        raise OptionError(f"expected one sharp picture, or one for each of {len(pictures)}, got {len(sharp)}")
    if options.model == "masked" and not sharp:
        raise OptionError("a masked model is fitted to a pair; name the sharp picture")
    device_named(options.device)  # refuses one that is not there
    scenes = sharp * len(pictures) if len(sharp) == 1 else sharp
    if options.model == "auto" and len(pictures) == 1 and not sharp:
        return _found(pictures[0], options, on_step)
    with using_threads(options.threads):
        curves, told = curves_of([*pictures, *scenes], options.transfer)
        given = [masked(picture, mask=options.mask) for picture in pictures]
        frames = [_prepared(each.picture, options, curve) for each, curve in zip(given, curves, strict=False)]
        size = None if isinstance(options.size, str) else options.size
        for frame in frames:
            _check(frame, size, pair=bool(scenes))
        arguments: dict[str, Any] = {
            "masks": [frame.mask for frame in frames],
            "sigma": max(frame.sigma for frame in frames),
            "on_step": on_step,
        }
        chosen = estimator(
            model=options.model,
            parametric=options.parametric,
            pair=bool(scenes),
            size=size,
            settings=options.settings,
        )
        light = [frame.light for frame in frames]
        if scenes:
            # a scene may well have bars of its own, which blur with it: then the blurred one has none
            seen = [
                masked(scene, mask="none" if each.unexposed is None else "auto").picture
                for scene, each in zip(scenes, given, strict=True)
            ]
            lit = [
                _prepared(scene, options, curve, beside=picture.pixels)
                for scene, picture, curve in zip(seen, pictures, curves[len(pictures) :], strict=True)
            ]
            arguments["masks"] = [_seen(a, b) for a, b in zip(frames, lit, strict=True)]
            result = chosen(light, [scene.light for scene in lit], **arguments)
        else:
            result = chosen(light, **arguments)
    return dataclasses.replace(
        result,
        sigma=max(frame.stored_sigma for frame in frames),
        region=_region(result.region, options.region),
        notes=tuple(dict.fromkeys([*told, *(note for each in given for note in each.notes)])),
        seconds=time.perf_counter() - start,
    )


def _found(picture: Picture, options: FitOptions, on_step: OnStep | None) -> Estimate:
    """What candidates of every kind come to, of one picture alone."""
    given = masked(picture, mask=options.mask)
    if options.region is not None:
        given = dataclasses.replace(given, picture=_cropped(given.picture, options.region, picture.pixels))
    size = options.size if isinstance(options.size, int) else None
    with using_threads(options.threads):
        _check(_prepared(given.picture, options, curve_of(picture, options.transfer)[0]), size, pair=False)
        result = find(given.picture, options, on_step)
    return dataclasses.replace(
        result, region=_region(result.region, options.region), notes=(*given.notes, *result.notes)
    )


def fit(
    image: Any,
    sharp: Any = None,
    *,
    size: int | str = "auto",
    model: str = "auto",
    parametric: str = "none",
    noise: float | str = "auto",
    saturation: float | str = "auto",
    transfer: str = "auto",
    mask: Any = "auto",
    region: tuple[int, int, int, int] | None = None,
    threads: int | None = None,
    device: str = "auto",
    settings: Mapping[str, Any] | None = None,
    alpha: bool = False,
    black: float | None = None,
    white: float | None = None,
    on_step: OnStep | None = None,
) -> Estimate:
    """Find the blur kernel of a picture.

    Args:
        image: an array (H, W) or (H, W, C), a tensor (H, W), (C, H, W) or (B, C, H, W), a `Picture`, or the name of a
            picture file, as `deblur.apply` takes it; a batch, or a list of any of these, is of several with one blur.
        sharp: the sharp picture of the same scene, of the same size or larger by the kernel's size less 1; or one for
            each.
        size: taps a side of the kernel, odd, or `auto`.
        model: `auto` weighs kernels of every kind for one picture alone (`deblur.finding`) and is `taps` else; `taps`
            free ones, `masked` (masked convolutions that are inverted exactly, for a pair), or the name of another
            estimator.
        parametric: `motion`, `defocus`, `gaussian`, `auto`, or `none` for free taps.
        noise: standard deviation of the noise as a fraction of full scale, in [0, 1), or `auto`.
        saturation: the level from which a pixel is taken as saturated, `auto` or `none`.
        transfer: `auto` looks for the blur in light, as `deblur.apply` does, `srgb` too, whatever the values look like;
            `linear` looks for it in the stored values.
        mask: `auto` leaves out what was not exposed (black bars, empty corners, all outside a round field), `none` does
            not; or an array (H, W) or a picture file in which 0 marks pixels that are not to be believed.
        region: x, y, width and height of the part to look at, or None: the estimator chooses.
        threads: processor threads, or None for torch's own number.
        device: `auto`, `cpu` or `cuda`.
        settings: further settings of the estimator, by field name.
        alpha, black, white: what the numbers of an array are, as `deblur.apply` takes them.
        on_step: told of the progress.

    Returns:
        The record: `kernel`, a `deblur.psf.Kernel` with its confidence (`deblur.apply` takes the record as it is),
        `warnings`, `region`, `details`, ...

    Raises:
        DeblurError: what was given does not fit; the message says what was expected.

    Example:
        >>> import numpy as np
        >>> from deblur.psf.operator import blur
        >>> truth = torch.rand(1, 96, 96, generator=torch.Generator().manual_seed(0))
        >>> taps = np.array([[0.0, 0.2, 0.0], [0.0, 0.5, 0.3], [0.0, 0.0, 0.0]])
        >>> estimate = fit(blur(truth, taps), truth, transfer="linear")
        >>> estimate.kernel.round(2)
        array([[0. , 0.2, 0. ],
               [0. , 0.5, 0.3],
               [0. , 0. , 0. ]])
    """
    chosen = FitOptions(
        size=size,
        model=model,
        parametric=parametric,
        noise=noise,
        saturation=saturation,
        transfer=transfer,
        mask=mask,
        region=region,
        threads=threads,
        device=device,
        settings=settings or {},
    )
    samples = Samples(alpha=alpha, black=black, white=white)
    pictures, scenes = _pictures(image, samples), [] if sharp is None else _pictures(sharp, samples)
    result = estimate(pictures, chosen, sharp=scenes, on_step=on_step)
    notes = (note for picture in pictures for note in picture.notes)
    return dataclasses.replace(result, notes=tuple(dict.fromkeys((*notes, *result.notes))))


def _pictures(image: Any, samples: Samples) -> list[Picture]:
    """The pictures of an image, or of a list of several."""
    several = image if isinstance(image, list | tuple) else [image]
    return [picture for each in several for picture in pictures_from(each, samples)]


@dataclass(frozen=True)
class _Frame:
    """A picture in light, divided by its brightest thousandth."""

    light: Tensor
    mask: Tensor | None
    sigma: float
    stored_sigma: float


def _prepared(picture: Picture, options: FitOptions, curve: Transfer, beside: Tensor | None = None) -> _Frame:
    """A picture in light; `beside` is the blurred one that a sharp one goes with."""
    if options.region is not None:
        picture = _cropped(picture, options.region, picture.pixels if beside is None else beside)
    pixels = picture.pixels
    check_finite(pixels)
    mask = believed_pixels(picture, saturation_level(options.saturation, picture.ceiling))
    light, scale = to_light(pixels.double(), curve, None)
    sampled = sample(pixels, mask)
    noise = options.noise if isinstance(options.noise, float | int) else estimate_sigma(*sampled)
    sigma = noise * slope(sampled[0].double(), curve) / scale
    return _Frame(light, mask, float(sigma), float(noise))


def _cropped(picture: Picture, region: Region, beside: Tensor) -> Picture:
    """The part that was asked for of a picture; of a larger sharp one, what goes with that."""
    x, y, width, height = region
    rows, columns = beside.shape[-2:]
    if x < 0 or y < 0 or width < 1 or height < 1 or x + width > columns or y + height > rows:
        raise OptionError(f"region {x},{y},{width},{height} (x,y,w,h) leaves the frame of {columns} x {rows} pixels")
    further = max(picture.height - rows, 0), max(picture.width - columns, 0)
    return picture.window(slice(y, y + height + further[0]), slice(x, x + width + further[1]))


def _seen(blurred: _Frame, sharp: _Frame) -> Tensor | None:
    """Where both are believed; of a sharp picture that is larger the middle."""
    if sharp.mask is None:
        return blurred.mask
    height, width = blurred.light.shape[-2:]
    rows, columns = sharp.mask.shape[-2] - height, sharp.mask.shape[-1] - width
    if rows < 0 or columns < 0:
        return blurred.mask
    clipped = (~sharp.mask).float().amax(0, keepdim=True)[None]
    # a clipped pixel spoils what it reaches
    near = torch.nn.functional.max_pool2d(clipped, 31, stride=1, padding=15)[0]
    good = near[:, rows // 2 : rows // 2 + height, columns // 2 : columns // 2 + width] < 0.5
    if float(good.float().mean()) < 0.3:  # too little would be left
        return blurred.mask
    return good if blurred.mask is None else blurred.mask & good


def _check(frame: _Frame, size: int | None, *, pair: bool) -> None:
    """Refuse a frame from which no kernel can be learnt."""
    height, width = frame.light.shape[-2:]
    if min(height, width) < SMALLEST:
        raise ShapeError(
            f"expected a picture of at least {SMALLEST} x {SMALLEST} pixels, got {width} x {height}; take a larger part"
        )
    if size is not None and 2 * size > min(height, width):
        raise OptionError(
            f"expected a size of at most half the picture's shorter side, {min(height, width) // 2}, got {size}"
        )
    coarse = torch.nn.functional.avg_pool2d(frame.light.float()[None], 4)[0]
    texture = float(coarse.double().var(dim=(1, 2)).mean())
    if texture <= max(0.0 if pair else (3 * frame.sigma / 4) ** 2, 1e-8):  # beside a sharp picture grain is texture too
        raise OptionError(
            "the picture is flat: it has no edges from which a blur could be seen; choose another part with --region"
        )


def _region(found: Region | None, asked: Region | None) -> Region | None:
    """Where the estimator looked, in the whole frame."""
    if found is None or asked is None:
        return found or asked
    return found[0] + asked[0], found[1] + asked[1], found[2], found[3]
