"""Find the blur kernel from Python: from one picture, from several with one blur, or from a sharp and a blurred one.

`estimate` is the whole pipeline, for pixels as files store them:

    stored values -> linear light -> mask, noise level -> estimator -> kernel with a confidence

`fit` wraps it for arrays of any common layout. The command line calls `estimate`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from deblur import restoring
from deblur.config import from_keywords
from deblur.errors import OptionError, ShapeError
from deblur.estimation import estimator
from deblur.estimation.estimate import Estimate, Region
from deblur.light import (
    Picture,
    as_numpy,
    believed_pixels,
    check_finite,
    curve_of,
    device_named,
    picture_of,
    sample,
    saturation_level,
    slope,
    threads,
    to_light,
)
from deblur.noise import estimate_sigma
from deblur.progress import OnStep

__all__ = ["FitOptions", "Picture", "estimate", "fit"]

SMALLEST = 32
"""Pixels a side that a picture has at least."""


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """What a user may choose of an estimation.

    Args:
        size: taps a side of the kernel, odd, or `auto`: it grows until its rim carries no light.
        model: `taps`, every tap free; or `masked`, masked convolutions that are inverted exactly (pairs only).
        parametric: `motion`, `defocus`, `gaussian`, `auto` for the one with most evidence, or `none` for free taps.
        noise: standard deviation of the noise as a fraction of full scale, in [0, 1), a number or a text such as
            `2.5/255`, or `auto`.
        saturation: the level, as a fraction of full scale, from which a pixel is taken as saturated and left out;
            `auto` for the frame's own ceiling, `none` to believe every pixel.
        transfer: `srgb` undoes the picture's transfer curve first, so that the blur is looked for in light, where it
            happened; `linear` takes the values as they are.
        region: x, y, width and height of the part to look at, or None: the estimator chooses.
        seed: of what is random in the search; the same seed gives the same kernel.
        threads: processor threads, or None for torch's own number.
        device: `auto`, `cpu` or `cuda`. The search runs on the processor; a restoration after it on the device.
        settings: further settings of the estimator, by field name.

    Raises:
        OptionError: a value outside its range.
    """

    size: int | str = "auto"
    model: str = "taps"
    parametric: str = "none"
    noise: float | str = "auto"
    saturation: float | str = "auto"
    transfer: str = "srgb"
    region: tuple[int, int, int, int] | None = None
    seed: int = 0
    threads: int | None = None
    device: str = "auto"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shared = self.restoring()  # checks what both have in common
        object.__setattr__(self, "noise", shared.noise)
        object.__setattr__(self, "saturation", shared.saturation)
        for name, known in (
            ("model", ("taps", "masked")),
            ("parametric", ("none", "auto", "motion", "defocus", "gaussian")),
        ):
            if getattr(self, name) not in known:
                raise OptionError(f"expected {name} to be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if self.model == "masked" and self.parametric != "none":
            raise OptionError("a masked model has no named shape; leave out either the model or parametric")
        if isinstance(self.size, str):
            if self.size != "auto":
                raise OptionError(f"expected a size of an odd number of taps, or auto, got {self.size!r}")
        elif isinstance(self.size, bool) or self.size < 3 or self.size % 2 == 0:
            raise OptionError(f"expected an odd size of 3 or more, got {self.size}; the middle tap is the origin")
        if isinstance(self.seed, bool) or not 0 <= self.seed < 2**32:
            raise OptionError(f"expected a seed from 0 to 2^32 - 1, got {self.seed}")

    def restoring(self) -> restoring.ApplyOptions:
        """What these options say of a restoration with the kernel that was found."""
        return restoring.ApplyOptions(
            noise=self.noise,
            saturation=self.saturation,
            transfer=self.transfer,
            threads=self.threads,
            device=self.device,
        )


def estimate(
    pictures: Sequence[Picture],
    options: FitOptions | None = None,
    *,
    sharp: Sequence[Picture] = (),
    on_step: OnStep | None = None,
) -> Estimate:
    """Find the one kernel that blurred all pictures.

    Args:
        pictures: blurred, one or more.
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
    if not pictures:
        raise OptionError("expected at least one blurred picture, got none")
    if sharp and len(sharp) not in (1, len(pictures)):
        raise OptionError(f"expected one sharp picture, or one for each of {len(pictures)}, got {len(sharp)}")
    if options.model == "masked" and not sharp:
        raise OptionError("a masked model is fitted to a pair; name the sharp picture")
    device_named(options.device)  # refuses one that is not there
    scenes = list(sharp) * len(pictures) if len(sharp) == 1 else list(sharp)
    with threads(options.threads):
        frames = [_prepared(picture, options) for picture in pictures]
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
            seed=options.seed,
            settings=options.settings,
        )
        light = [frame.light for frame in frames]
        if scenes:
            lit = [
                _prepared(scene, options, beside=picture.pixels)
                for scene, picture in zip(scenes, pictures, strict=True)
            ]
            arguments["masks"] = [_seen(a, b) for a, b in zip(frames, lit, strict=True)]
            result: Estimate = chosen(light, [scene.light for scene in lit], **arguments)
        else:
            result = chosen(light, **arguments)
    return dataclasses.replace(
        result,
        sigma=max(frame.stored_sigma for frame in frames),
        region=_region(result.region, options.region),
        seconds=time.perf_counter() - start,
    )


def fit(
    image: npt.NDArray[Any] | Tensor | Sequence[npt.NDArray[Any] | Tensor],
    sharp: npt.NDArray[Any] | Tensor | None = None,
    **options: Any,
) -> Estimate:
    """Find the blur kernel of a picture.

    Args:
        image: (H, W), or (H, W, C) with C = 1 to 4 (2 and 4: the last channel is alpha), a NumPy array or a tensor,
            unsigned integers with their full scale or floats with white at 1; or a list of several with one blur.
        sharp: the sharp picture of the same scene, of the same size or larger by the kernel's size less 1.
        **options: the fields of `FitOptions`: size, model, parametric, noise, transfer, region, ...

    Returns:
        The record: `kernel` (kh, kw), summing to one, `confidence` in [0, 1], `warnings`, `details`, ...

    Raises:
        DeblurError: what was given does not fit; the message says what was expected.

    Example:
        >>> import numpy as np
        >>> from deblur.psf.operator import blur
        >>> truth = torch.rand(1, 96, 96, generator=torch.Generator().manual_seed(0))
        >>> taps = np.array([[0.0, 0.2, 0.0], [0.0, 0.5, 0.3], [0.0, 0.0, 0.0]])
        >>> estimate = fit(blur(truth, taps)[0], truth[0], transfer="linear")
        >>> estimate.kernel.round(2)
        array([[0. , 0.2, 0. ],
               [0. , 0.5, 0.3],
               [0. , 0. , 0. ]])
    """
    chosen = from_keywords(FitOptions, options)
    images: list[Any] = list(image) if isinstance(image, list | tuple) else [image]
    scenes = [] if sharp is None else [picture_of(as_numpy(sharp))]
    return estimate([picture_of(as_numpy(each)) for each in images], chosen, sharp=scenes)


@dataclass(frozen=True)
class _Frame:
    """A picture in light, divided by its brightest thousandth."""

    light: Tensor
    mask: Tensor | None
    sigma: float
    stored_sigma: float


def _prepared(picture: Picture, options: FitOptions, beside: Tensor | None = None) -> _Frame:
    """A picture in light; `beside` is the blurred one that a sharp one goes with."""
    pixels, alpha = picture.pixels, picture.alpha
    if options.region is not None:
        pixels, alpha = _cropped(pixels, alpha, options.region, pixels if beside is None else beside)
    check_finite(pixels)
    curve, _ = curve_of(pixels, options.transfer, picture.transfer)
    mask = believed_pixels(pixels, alpha, saturation_level(options.saturation, picture.ceiling))
    light, scale = to_light(pixels.double(), curve, None)
    sampled = sample(pixels, mask)
    noise = options.noise if isinstance(options.noise, float | int) else estimate_sigma(*sampled)
    sigma = noise * slope(sampled[0].double(), curve) / scale
    return _Frame(light, mask, float(sigma), float(noise))


def _cropped(pixels: Tensor, alpha: Tensor | None, region: Region, beside: Tensor) -> tuple[Tensor, Tensor | None]:
    """The part that was asked for of a picture; of a larger sharp one, what goes with that."""
    x, y, width, height = region
    rows, columns = beside.shape[-2:]
    if x < 0 or y < 0 or width < 1 or height < 1 or x + width > columns or y + height > rows:
        raise OptionError(f"region {x},{y},{width},{height} (x,y,w,h) leaves the frame of {columns} x {rows} pixels")
    further = max(pixels.shape[-2] - rows, 0), max(pixels.shape[-1] - columns, 0)
    part = (slice(y, y + height + further[0]), slice(x, x + width + further[1]))
    return pixels[(slice(None), *part)], None if alpha is None else alpha[part]


def _seen(blurred: _Frame, sharp: _Frame) -> Tensor | None:
    """Where both are believed; of a sharp picture that is larger the middle."""
    if sharp.mask is None:
        return blurred.mask
    height, width = blurred.light.shape[-2:]
    rows, columns = sharp.mask.shape[-2] - height, sharp.mask.shape[-1] - width
    if rows < 0 or columns < 0:
        return blurred.mask
    clipped = (~sharp.mask).float().amax(0, keepdim=True)[None]
    near = torch.nn.functional.max_pool2d(clipped, 31, stride=1, padding=15)[
        0
    ]  # a clipped pixel spoils what it reaches
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
