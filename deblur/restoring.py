"""The main job from Python: restore an array with a kernel, choosing everything that was not said.

`restore` is the whole pipeline, for pixels as a file stores them:

    stored values -> linear light -> mask, noise level -> restorer (in tiles) -> stored values

`apply` wraps it for arrays of any common layout. The command line calls `restore`.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deblur import psf as psfs
from deblur.config import from_keywords, number
from deblur.errors import OptionError, ShapeError
from deblur.light import (
    ArrayT,
    array_like,
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
    with_hidden,
    without_hidden,
)
from deblur.noise import effective_sigma, estimate_sigma, span
from deblur.progress import OnStep, Step
from deblur.psf.operator import BOUNDARIES, each_channel, of_channel
from deblur.psf.sidecar import informed
from deblur.restoration import (
    LARGE_SETTINGS,
    PRECONDITIONERS,
    SMALL_METHOD,
    Problem,
    Restoration,
    Restorer,
    chosen,
    configured,
)
from deblur.restoration.tiles import Tile, cut
from deblur.transfer import TRANSFERS, Transfer

__all__ = ["ApplyOptions", "apply", "for_frame", "restore"]

TILE = 2048
"""Pixels a side of a tile of three channels, what it overlaps with others included; of one channel it may have three
times the pixels. A picture of no more pixels is restored whole, and by a method that is `lean` one of three times as
many: that takes the memory of 24 megapixels in tiles."""

OVERLAP = 64
"""Pixels by which a tile's core grows on every side that has a neighbour, beside the reach."""

REACH = 16
"""How many kernel sizes inside a tile's border its guess of what lies outside may still be seen."""

FURTHEST = 400
"""Pixels of a reach beyond which four times the kernel's size must do."""


@dataclass(frozen=True, kw_only=True)
class ApplyOptions:
    """What a user may choose of a restoration.

    Args:
        method: a name in `deblur.restoration.RESTORERS`, or `auto`, the one that restores best (`for_frame`).
        noise: standard deviation of the noise as a fraction of full scale in stored values, in [0, 1), a number or a
            text such as `2.5/255`, or `auto`.
        strength: of the regularisation: above 1 smoother, below 1 sharper.
        boundary: what lies outside the frame: `unknown`, `zero`, `reflect`, `replicate`, `circular`.
        saturation: the level, as a fraction of full scale, from which a pixel is taken as saturated and left out;
            `auto` for the frame's own ceiling, `none` to believe every pixel.
        transfer: `srgb` undoes the picture's transfer curve before and redoes it after, so that the blur is undone in
            light, where it happened; `linear` takes the values as they are.
        preconditioner: of the quadratic steps, `four-quadrant` or `circulant`; `auto` chooses.
        threads: processor threads, or None for torch's own number.
        device: `auto`, `cpu` or `cuda`.
        confidence: how far to trust the kernel, in [0, 1] (see `deblur.noise`); None where nobody knows.
        prior: a checkpoint of `deblur train-prior`, in place of the learned prior that comes with the package; `auto`
            is then a method that takes one.
        settings: further settings of the method, by field name.

    Raises:
        OptionError: a value outside its range, or a prior for a method that takes none.
        FileError: the prior cannot be used.
    """

    method: str = "auto"
    noise: float | str = "auto"
    strength: float = 1.0
    boundary: str = "unknown"
    saturation: float | str = "auto"
    transfer: str = "srgb"
    preconditioner: str = "auto"
    threads: int | None = None
    device: str = "auto"
    confidence: float | None = None
    prior: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("noise", "saturation"):  # "2.5/255"
            value = getattr(self, name)
            if isinstance(value, str) and value[:1].isdigit():
                object.__setattr__(self, name, number(value))
        for name, kinds in _KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise OptionError(f"expected {name} to be {' or '.join(k.__name__ for k in kinds)}, got {value!r}")
        _ = self.restorer  # refuses what does not fit
        _one_of("boundary", self.boundary, BOUNDARIES)
        _one_of("transfer", self.transfer, tuple(TRANSFERS))
        _one_of("preconditioner", self.preconditioner, ("auto", *PRECONDITIONERS))
        _one_of("device", self.device, ("auto", "cpu", "cuda"))
        if isinstance(self.noise, str):
            _one_of("noise", self.noise, ("auto",))
        elif not 0 <= self.noise < 1:
            raise OptionError(
                f"expected noise as a fraction of full scale in [0, 1), got {self.noise:g}; "
                f"for {self.noise:g} of 255 levels give {self.noise:g}/255"
            )
        if isinstance(self.saturation, str):
            _one_of("saturation", self.saturation, ("auto", "none"))
        elif not 0 < self.saturation < 2:
            raise OptionError(
                f"expected saturation as a fraction of full scale, above 0 and below 2, got {self.saturation:g}; "
                f"for {self.saturation:g} of 255 levels give {self.saturation:g}/255"
            )
        if not (math.isfinite(self.strength) and self.strength > 0):
            raise OptionError(f"expected a strength above 0, got {self.strength:g}")
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise OptionError(f"expected a confidence in [0, 1], got {self.confidence:g}")
        if self.threads is not None and self.threads < 1:
            raise OptionError(f"expected at least 1 thread, got {self.threads}")

    @property
    def restorer(self) -> Restorer:
        """The method with its settings."""
        return configured(self.method, self.settings, self.prior)


LARGE = 2**19
"""Pixels from which on a method has its `LARGE_SETTINGS`."""


def for_frame(options: ApplyOptions, shape: tuple[int, ...]) -> ApplyOptions:
    """The options with the method that `auto` stands for in a frame (C, H, W), and what its size asks of the method.

    `SMALL_METHOD`, where the frame is small and the learned prior sure to be better: 64 pixels a side at least, 2^16
    values at most, so that it takes seconds; a kernel that is known; an outside that is not made up; and no settings of
    another method. Elsewhere what `chosen` says, in a frame of `LARGE` pixels or more with the method's
    `LARGE_SETTINGS`, where no settings are given.

    Example:
        >>> [for_frame(ApplyOptions(), shape).method for shape in ((1, 256, 256), (3, 256, 256))]
        ['flow', 'hyperlaplacian']
    """
    small = min(shape[-2:]) >= 64 and math.prod(shape) <= 2**16
    plain = options.boundary in ("unknown", "circular") and not options.settings
    known = options.confidence is None and options.prior is None
    if options.method == "auto" and small and plain and known:
        return dataclasses.replace(options, method=SMALL_METHOD)
    method = chosen(options.method, options.prior)
    large = math.prod(shape[-2:]) >= LARGE
    settings = options.settings or (LARGE_SETTINGS.get(method, {}) if large else {})
    return dataclasses.replace(options, method=method, settings=settings)


_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("method", "boundary", "transfer", "preconditioner", "device"), (str,)),
    **dict.fromkeys(("noise", "saturation"), (int, float, str)),
    "strength": (int, float),
    "threads": (int, type(None)),
    "prior": (str, type(None)),
    "confidence": (int, float, type(None)),
    "settings": (Mapping,),
}


def restore(
    pixels: Tensor,
    kernel: npt.ArrayLike,
    options: ApplyOptions | None = None,
    *,
    alpha: Tensor | None = None,
    ceiling: float | None = None,
    transfer: Transfer | None = None,
    on_step: OnStep | None = None,
) -> Restoration:
    """Restore the pixels of one picture.

    Args:
        pixels: (C, H, W) float, in stored values with black 0 and white 1; values beyond are kept.
        kernel: (kh, kw) or (C, kh, kw); it is checked and normalised.
        options: what the user chose.
        alpha: (H, W); where it is 0, the pixel's colour is not believed.
        ceiling: the level at which the frame saturates, for `saturation="auto"`.
        transfer: the picture's own curve, used unless the options say `linear`; sRGB if None.
        on_step: told after every step of every tile.

    Returns:
        The record; its image is (C, H, W) in stored values, and `sigma` the noise's standard deviation in those.

    Raises:
        ShapeError, KernelError, OptionError, UnstableInverseError: what was given does not fit together.

    Example:
        >>> restore(torch.full((1, 32, 32), 0.5), np.full((3, 3), 1 / 9)).image.shape
        torch.Size([1, 32, 32])
    """
    options, pixels = for_frame(options or ApplyOptions(), pixels.shape), pixels.detach()
    start = time.perf_counter()
    taps = _checked_kernel(kernel, pixels)
    restorer = options.restorer
    notes = []
    curve, beyond_white = curve_of(pixels, options.transfer, transfer)
    if beyond_white:
        notes.append("its values go well beyond white, so they are taken as linear light; --white N sets the range")
    if ceiling is not None and ceiling < 0.5:
        notes.append(f"the brightest value is {ceiling:.3g} of full scale and saturated; --white N sets the range")
    believed = believed_pixels(pixels, alpha, saturation_level(options.saturation, ceiling))
    stored, pixels = pixels, without_hidden(pixels, alpha)
    if believed is not None and (share := 1 - float(believed.float().mean())) > 0.5:
        notes.append(f"{share:.0%} of the pixels are saturated or transparent and left out; see --saturation")
    device = device_named(options.device)
    with threads(options.threads):
        sampled = sample(pixels, believed)
        shown = estimate_sigma(*sampled)
        stored_sigma = options.noise if isinstance(options.noise, float | int) else shown
        least = restorer.least_noise * shown
        if stored_sigma < least:
            method = chosen(options.method, options.prior)
            notes.append(f"the frame shows noise of {shown:.2g}: {method} takes {least:.2g}, not {stored_sigma:.2g}")
        light, scale = to_light(sampled[0], curve, None)
        noise = max(stored_sigma, least) * slope(sampled[0], curve) / scale
        seen = span(light, sampled[1])
        sigma = effective_sigma(noise, seen, options.strength, options.confidence, restorer.caution)
        groups = _groups(pixels, restorer)
        tiles = _tiles(pixels[groups[0]], taps, options, restorer)
        parts = [(channels, tile) for channels in groups for tile in tiles]
        restored = _zeros_like(pixels)
        records = []
        for index, (channels, tile) in enumerate(parts):
            mask = None if believed is None else tile.take(of_channel(believed, channels))
            problem = Problem(
                blurred=to_light(tile.take(pixels[channels]), curve, scale)[0].to(device),
                psf=taps if taps.ndim == 2 or len(taps) == 1 else taps[channels],
                sigma=sigma,
                boundary=options.boundary,
                mask=None if mask is None else mask.to(device),
                preconditioner="circulant" if options.preconditioner == "auto" else options.preconditioner,
            )
            record = restorer(problem, _shifted(on_step, index, len(parts)))
            image = curve.encode(record.image.mul_(scale).cpu())
            records.append(dataclasses.replace(record, image=image.new_empty(0)))  # a view would keep all of it
            if record.status == "diverged":
                restored = pixels.clone()
                break
            tile.add(restored[channels], image)
    restored = with_hidden(restored, stored, alpha)
    return _summary(records, restored, options, stored_sigma, time.perf_counter() - start, notes)


def apply(image: ArrayT, kernel: npt.ArrayLike | str | os.PathLike[str], **options: Any) -> ArrayT:
    """Restore a blurred picture.

    Args:
        image: (H, W), or (H, W, C) with C = 1 to 4 (2 and 4: the last channel is alpha, and kept), a NumPy array or a
            tensor; unsigned integers with their full scale, or floats with white at 1.
        kernel: an array (kh, kw) or (C, kh, kw), a file, or a made kernel by name (`motion:length=15,angle=30`).
        **options: the fields of `ApplyOptions`: method, noise, strength, boundary, saturation, transfer, ...

    Returns:
        The restored picture: of the kind, shape and dtype of `image`. Integers are rounded and clipped, floats not.

    Raises:
        DeblurError: what was given does not fit; the message says what was expected.

    Example:
        >>> blurred = np.full((32, 32), 128, np.uint8)
        >>> apply(blurred, "gaussian:sigma=1").dtype
        dtype('uint8')
    """
    array = as_numpy(image)
    taps = psfs.resolve(kernel) if isinstance(kernel, str | os.PathLike) else kernel
    picture = picture_of(array)
    check_finite(picture.pixels, picture.alpha)
    result = restore(
        picture.pixels,
        taps,
        informed(from_keywords(ApplyOptions, options), kernel),
        alpha=picture.alpha,
        ceiling=picture.ceiling,
    )
    if result.status == "diverged":
        raise OptionError(f"{result.method} diverged; try a larger strength or another method")
    return array_like(image, result.image, picture.alpha)


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise OptionError(f"expected {what} to be one of {', '.join(known)}, got {value!r}")


def _checked_kernel(kernel: npt.ArrayLike, pixels: Tensor) -> npt.NDArray[np.float64]:
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise ShapeError(f"expected pixels (C, H, W), got {tuple(pixels.shape)}")
    taps = psfs.check(kernel)
    psfs.fits(taps, tuple(pixels.shape))
    return taps


def _zeros_like(pixels: Tensor) -> Tensor:
    """Zeros that take no memory before they are written to; torch's take it at once."""
    return torch.from_numpy(np.zeros(tuple(pixels.shape), np.float64 if pixels.dtype == torch.float64 else np.float32))


def _groups(pixels: Tensor, restorer: Restorer) -> list[slice]:
    """The channels that are restored together: one at a time in a large picture, where the method lets them."""
    return each_channel(pixels) if restorer.apart and pixels.numel() > 3 * TILE**2 else [slice(None)]


def _tiles(pixels: Tensor, taps: npt.NDArray[np.float64], options: ApplyOptions, restorer: Restorer) -> list[Tile]:
    """The tiles of a picture, or of the channels of it that are restored together."""
    (height, width), kernel = pixels.shape[-2:], max(taps.shape[-2:])
    side = TILE if len(pixels) > 1 else math.isqrt(3 * TILE**2)
    overlap = max(4 * kernel, min(REACH * kernel, FURTHEST)) + OVERLAP
    lean = restorer.lean and options.preconditioner != "four-quadrant"  # which works on all channels at once
    fits = height * width <= side**2 or (lean and height * width * max(3, len(pixels)) <= 9 * TILE**2)
    whole = restorer.whole or options.boundary != "unknown" or fits
    return cut((height, width), max(height, width) if whole else side - 2 * overlap, overlap)


def _shifted(on_step: OnStep | None, index: int, count: int) -> OnStep | None:
    """Progress of tile `index` of `count` as progress of the whole."""
    if on_step is None or count == 1:
        return on_step
    return lambda step: on_step(Step(index * step.total + step.index, count * step.total, step.text))


def _summary(
    records: list[Restoration],
    image: Tensor,
    options: ApplyOptions,
    sigma: float,
    seconds: float,
    notes: list[str],
) -> Restoration:
    order = ("converged", "limit", "diverged")
    return Restoration(
        image=image,
        status=max((record.status for record in records), key=order.index),
        residual=max(record.residual for record in records),
        steps=max(record.steps for record in records),
        seconds=seconds,
        method=options.method,
        sigma=float(sigma),
        notes=tuple(dict.fromkeys([*notes, *(note for record in records for note in record.notes)])),
    )
