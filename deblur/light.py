"""From stored values to light and back: what every job on a picture begins and ends with.

stored values -> which pixels to believe, how much the noise grows -> light, divided by its brightest thousandth
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deblur.errors import DtypeError, OptionError, ShapeError
from deblur.images.scale import ceiling_level
from deblur.transfer import TRANSFERS, Transfer

__all__ = [
    "BEYOND_WHITE",
    "ArrayT",
    "Picture",
    "array_like",
    "as_numpy",
    "believed_pixels",
    "brightest",
    "check_finite",
    "curve_of",
    "device_named",
    "full_scale",
    "picture_of",
    "sample",
    "saturation_level",
    "slope",
    "threads",
    "to_light",
    "with_hidden",
    "without_hidden",
]

ArrayT = TypeVar("ArrayT", npt.NDArray[Any], Tensor)

BEYOND_WHITE = 1.05
"""A picture whose brightest thousandth lies above this holds no sRGB values, which end at white."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Pixels as a file stores them, with what goes with them.

    Args:
        pixels: (C, H, W) float, black 0 and white 1.
        alpha: (H, W); where it is 0 the pixel is not believed.
        ceiling: the level at which the frame saturates, for `saturation="auto"`.
        transfer: the picture's own curve; sRGB if None.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    ceiling: float | None = None
    transfer: Transfer | None = None


def as_numpy(image: npt.ArrayLike | Tensor) -> npt.NDArray[Any]:
    """A tensor or array as an array; bfloat16, which NumPy has not, as float32."""
    if not isinstance(image, Tensor):
        return np.asarray(image)
    image = image.detach().cpu()
    return (image.float() if image.dtype == torch.bfloat16 else image).numpy()


def full_scale(array: npt.NDArray[Any]) -> float:
    """The value that is white in an array of this dtype.

    Raises:
        DtypeError: neither unsigned integers nor floats.
    """
    if array.dtype.kind == "u":
        return float(np.iinfo(array.dtype).max)
    if array.dtype.kind == "f":
        return 1.0
    raise DtypeError(f"expected unsigned integers or floats, got {array.dtype}; convert the picture first")


def picture_of(array: npt.NDArray[Any]) -> Picture:
    """An array (H, W), or (H, W, C) with C = 1 to 4 (2 and 4: the last channel is alpha), as a picture.

    Raises:
        DtypeError: neither unsigned integers nor floats.
        ShapeError: another layout.

    Example:
        >>> picture_of(np.full((8, 9, 4), 255, np.uint8)).pixels.shape
        torch.Size([3, 8, 9])
    """
    white = full_scale(array)
    planes = array[..., None] if array.ndim == 2 else array
    if planes.ndim != 3 or not 1 <= planes.shape[2] <= 4 or 0 in planes.shape:
        raise ShapeError(f"expected a picture (H, W) or (H, W, C) with 1 to 4 channels, got {array.shape}")
    colours = planes.shape[2] - (planes.shape[2] in (2, 4))
    dtype: type[np.floating] = np.float64 if array.dtype == np.float64 else np.float32
    stored = torch.from_numpy(np.ascontiguousarray(np.moveaxis(planes, 2, 0), dtype=dtype) / white)
    level = ceiling_level(planes[..., :colours], white)
    return Picture(
        pixels=stored[:colours],
        alpha=stored[-1] if colours < len(stored) else None,
        ceiling=None if level is None else level / white,
    )


def array_like(image: ArrayT, pixels: Tensor, alpha: Tensor | None) -> ArrayT:
    """Pixels (C, H, W) and alpha as an array of the kind, shape and dtype of the image that they came from.

    Integers are rounded and clipped, floats not.

    Example:
        >>> int(array_like(np.zeros((8, 9), np.uint8), torch.full((1, 8, 9), 0.5), None)[0, 0])
        128
    """
    array = as_numpy(image)
    white = full_scale(array)
    kept: list[Tensor] = [] if alpha is None else [alpha[None]]
    values = torch.cat([pixels, *kept]).movedim(0, 2).mul(white).numpy().reshape(array.shape)
    if array.dtype.kind == "u":
        values = np.clip(np.rint(values), 0, white)
    typed = values.astype(array.dtype)
    return torch.from_numpy(typed).to(image.device, image.dtype) if isinstance(image, Tensor) else typed


def without_hidden(pixels: Tensor, alpha: Tensor | None) -> Tensor:
    """The pixels with the mean of those that are seen wherever alpha (H, W) is 0.

    Colours that nobody sees must not reach those that are seen.
    """
    if alpha is None or bool((alpha > 0).all()):
        return pixels
    seen = (alpha > 0).to(pixels)
    mean = (pixels * seen).sum((-2, -1)) / seen.sum().clamp_min(1)
    return torch.where(alpha > 0, pixels, mean[:, None, None])


def with_hidden(pixels: Tensor, stored: Tensor, alpha: Tensor | None) -> Tensor:
    """The pixels as they were stored wherever alpha (H, W) is 0."""
    return pixels if alpha is None else torch.where(alpha > 0, pixels, stored)


def check_finite(*values: Tensor | None) -> None:
    """Raise ShapeError where pixels are NaN or infinite."""
    if not all(value is None or bool(torch.isfinite(value).all()) for value in values):
        raise ShapeError("expected finite pixel values, got NaN or infinity; replace them first")


def curve_of(pixels: Tensor, transfer: str, own: Transfer | None) -> tuple[Transfer, bool]:
    """The curve between stored values and light, and whether it is linear only because values go well beyond white.

    Args:
        pixels: in stored values.
        transfer: `linear`, or `srgb` for the picture's own curve.
        own: that curve; sRGB if None.
    """
    curve = TRANSFERS["linear"] if transfer == "linear" else (own or TRANSFERS["srgb"])
    if curve.name == "srgb" and brightest(pixels) > BEYOND_WHITE:
        return TRANSFERS["linear"], True
    return curve, False


def saturation_level(option: float | str, ceiling: float | None) -> float:
    """The level from which a pixel is not believed: the number given, or `auto` for the ceiling; else infinity."""
    if option == "auto":
        return math.inf if ceiling is None else ceiling
    return math.inf if isinstance(option, str) else option


def believed_pixels(pixels: Tensor, alpha: Tensor | None, level: float) -> Tensor | None:
    """(1 or C, H, W) bool, or None where every pixel is believed."""
    believed = pixels < level if math.isfinite(level) else None
    if alpha is not None and bool((alpha <= 0).any()):
        seen = (alpha > 0)[None]
        believed = seen if believed is None else believed & seen
    return None if believed is None or bool(believed.all()) else believed


def sample(pixels: Tensor, believed: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """A frame of at most 2 megapixels a channel to estimate levels from: the middle of the picture."""
    (height, width), side = pixels.shape[-2:], 1448
    top, left = max(0, height - side) // 2, max(0, width - side) // 2
    window = (..., slice(top, top + side), slice(left, left + side))
    return pixels[window], None if believed is None else believed[window]


def to_light(stored: Tensor, curve: Transfer, scale: float | None) -> tuple[Tensor, float]:
    """Linear light, divided by `scale` or its brightest thousandth, so that the exposure changes nothing."""
    light = curve.decode(stored)
    scale = scale or brightest(light) or 1.0
    return light.div_(scale), scale


def slope(stored: Tensor, curve: Transfer) -> float:
    """Root mean square slope of the decoding: by how much the noise grows in linear light."""
    delta = 1e-3
    return float(((curve.decode(stored + delta) - curve.decode(stored - delta)) / (2 * delta)).square().mean().sqrt())


def device_named(name: str) -> torch.device:
    """The device that `auto` (a GPU where there is one), `cpu` or `cuda` stands for.

    Raises:
        OptionError: a GPU is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise OptionError("expected a CUDA device for device=cuda, found none; use device=cpu")
    return torch.device("cuda" if name != "cpu" and available else "cpu")


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Let torch use so many threads meanwhile, or its own number; never more than there are processors."""
    before = torch.get_num_threads()
    cores = max(before, os.cpu_count() or 1)  # more threads than these only fight each other
    torch.set_num_threads(min(count or before, cores))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def brightest(values: Tensor) -> float:
    """The .999 quantile of the magnitudes."""
    return float(values.flatten()[:: max(1, values.numel() // 1_000_000)].abs().quantile(0.999))
