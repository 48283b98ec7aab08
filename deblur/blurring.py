"""Blur a sharp picture as a camera does: in light, without making up what lies outside, with noise."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import torch
from torch import Tensor

from deblur import psf
from deblur.arrays import Samples
from deblur.conversion import KernelLike, kernel_of, through, told
from deblur.errors import OptionError, ShapeError
from deblur.light import curve_of
from deblur.options import ApplyOptions
from deblur.picture import Picture
from deblur.psf import Kernel, operator
from deblur.transfer import TRANSFERS, Transfer

__all__ = ["blur", "expose"]

_PictureT = TypeVar("_PictureT", bound=Picture)


def blur(
    image: Any,
    kernel: KernelLike,
    *,
    boundary: str = "valid",
    noise: float = 0.0,
    seed: int = 0,
    transfer: str = "auto",
    alpha: bool = False,
    black: float | None = None,
    white: float | None = None,
) -> Any:
    """Blur a sharp picture.

    Args:
        image: an array (H, W) or (H, W, C), a tensor (H, W), (C, H, W) or (B, C, H, W), a `Picture`, or the name of a
            picture file, as `deblur.apply` takes it.
        kernel: a `Kernel`, an array, a file, or a made kernel by name, as `deblur.apply` takes it.
        boundary: what lies outside the picture. `valid`: nothing is made up, and the picture shrinks by the kernel's
            size less 1; `zero`, `reflect`, `replicate` and `circular` keep its size.
        noise: standard deviation of white noise, as a fraction of full scale in stored values, in [0, 1).
        seed: of the noise; pictures of a batch get noise of their own.
        transfer: `auto` blurs in light, where a camera does, and finds the curve as `deblur.apply` does, `srgb` takes
            the picture as sRGB; `linear` blurs the stored values as they are.
        alpha, black, white: what the numbers of an array are, as `deblur.apply` takes them.

    Returns:
        The blurred picture: of the kind, dtype and device of `image`. Integers are rounded and clipped, floats not.

    Raises:
        OptionError: a value outside its range.
        KernelError: a kernel larger than the picture, or one per channel for another number of channels.

    Example:
        >>> import numpy as np
        >>> blur(np.ones((32, 40, 3)), "motion:length=5,angle=0").shape
        (32, 34, 3)
    """
    level = ApplyOptions(noise=noise, transfer=transfer).noise  # refuses what is out of range
    if isinstance(level, str):
        raise OptionError(f"expected noise as a number in [0, 1), got {noise!r}; 0 adds none")
    known, generator = kernel_of(kernel), torch.Generator().manual_seed(seed)
    told(psf.remarks(known), depth=3)

    def exposed(picture: Picture) -> Picture:
        return expose(
            picture,
            known,
            boundary=boundary,
            noise=float(level),
            generator=generator,
            curve=curve_of(picture, transfer)[0],
        )

    return through(image, exposed, Samples(alpha=alpha, black=black, white=white))


def expose(
    picture: _PictureT,
    kernel: Kernel,
    *,
    boundary: str = "valid",
    noise: float = 0.0,
    generator: torch.Generator | None = None,
    curve: Transfer | None = None,
) -> _PictureT:
    """Blur the light of a picture, then add white noise to its stored values.

    Hidden colours do not spread: what is transparent weighs nothing, and the alpha is kept as it is.

    Args:
        picture: a sharp picture, pixels (C, H, W).
        kernel: (kh, kw) or (C, kh, kw).
        boundary: `valid` (the picture shrinks by k - 1), `zero`, `reflect`, `replicate` or `circular`.
        noise: its standard deviation, as a fraction of full scale.
        generator: where the noise comes from; torch's own if None.
        linear: take stored values for light; else the picture's own curve is undone before and applied after.

    Raises:
        OptionError: an unknown boundary.
        ShapeError: pixels that are not known: masked, NaN or infinite.
        KernelError: a kernel larger than the picture, or one per channel for another number of channels.
    """
    if picture.mask is not None and not bool(picture.mask.all()):
        raise ShapeError(
            "expected a sharp picture that is known everywhere, got a masked one, or NaN; replace them first"
        )
    psf.fits(kernel, picture.pixels.shape)
    curve = curve or picture.transfer or TRANSFERS["srgb"]
    light, cover = curve.decode(picture.pixels).double(), picture.alpha
    if cover is None:
        light = _per_channel(light, kernel, boundary)
    else:
        missing = _per_channel((1 - cover.double()).expand_as(light), kernel, boundary)
        light = _per_channel(light * cover, kernel, boundary) / (1 - missing).clamp_min(1e-6)
    if boundary == "valid":
        top, left = ((taps - 1) // 2 for taps in kernel.shape[-2:])
        picture = picture.window(slice(top, top + light.shape[1]), slice(left, left + light.shape[2]))
    pixels = curve.encode(light.float())
    if noise > 0:
        pixels += noise * torch.randn(pixels.shape, generator=generator)
    return dataclasses.replace(picture, pixels=pixels, coding=None)


def _per_channel(planes: Tensor, kernel: Kernel, boundary: str) -> Tensor:
    """Blur channel by channel: the transforms of one at a time are in memory."""
    kernels = kernel.taps if kernel.ndim == 3 else kernel.taps[None]
    one = len(kernels) == 1
    return torch.cat([operator.blur(plane[None], kernels[0 if one else c], boundary) for c, plane in enumerate(planes)])
