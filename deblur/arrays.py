"""Arrays and tensors as pictures, and back: which channel is alpha, which values are black and white.

Example:
    >>> (picture,) = pictures_of(np.full((8, 9), 4095, np.uint16))
    >>> float(picture.pixels.max()), picture.notes[0].partition(":")[0]
    (1.0, 'its values end at 4095')
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deblur.errors import DtypeError, OptionError, ShapeError
from deblur.layout import channels_first, rows_first
from deblur.origin import Origin
from deblur.picture import Picture, ceiling_level

__all__ = [
    "ArrayT",
    "Samples",
    "array_like",
    "bits_of",
    "full_scale",
    "guessed",
    "levels_of",
    "picture_of",
    "pictures_of",
]

ArrayT = TypeVar("ArrayT", npt.NDArray[Any], Tensor)

BITS = (8, 10, 12, 14, 16, 24)
"""The depths that cameras and scanners store in wider integers."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What the numbers of an array are.

    Args:
        alpha: whether the last channel is alpha; it is data like the others else.
        black, white: the values that are black and white; None: 0, and the largest of an integer type, where the values
            do not show that they have fewer bits, or 1.

    Raises:
        OptionError: black is not below white, or one is not finite.
    """

    alpha: bool = False
    black: float | None = None
    white: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.alpha, bool):
            raise OptionError(f"expected alpha to be True or False, got {self.alpha!r}")
        for name in ("black", "white"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise OptionError(f"expected {name} to be a number, got {value!r}")
            if value is not None and not math.isfinite(value):
                raise OptionError(f"expected {name} to be finite, got {value:g}")

    @property
    def plain(self) -> bool:
        """Whether nothing was said."""
        return self == Samples()


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


def bits_of(largest: float, width: int) -> int:
    """The bits of values of which the largest is given, in integers of `width` bits.

    Example:
        >>> bits_of(4000, 16), bits_of(30_000, 16), bits_of(0, 16)
        (12, 16, 16)
    """
    fewer = (bits for bits in BITS if bits < width and 0 < largest < 2**bits)
    return next(fewer, width)


def levels_of(array: npt.NDArray[Any], samples: Samples) -> tuple[float, float, str | None]:
    """Black and white of an array, and what is said where they were guessed.

    Raises:
        DtypeError: neither unsigned integers nor floats.
        OptionError: black is not below white.
    """
    white, note = full_scale(array), None
    if samples.white is not None:
        white = float(samples.white)
    elif array.dtype.kind == "u" and array.size:
        width = 8 * array.dtype.itemsize
        largest = float(array.max())
        if (bits := bits_of(largest, width)) < width:
            white, note = 2.0**bits - 1, guessed(largest, bits, width)
    black = 0.0 if samples.black is None else float(samples.black)
    if not black < white:
        raise OptionError(f"expected black below white, got {black:g} and {white:g}")
    return black, white, note


def guessed(largest: float, bits: int, width: int) -> str:
    """What is said of values that have fewer bits than their type."""
    white, full = 2**bits - 1, 2**width - 1
    return f"its values end at {largest:.0f}: taken as {bits} bits, white at {white} (--white {full} takes all {width})"


def picture_of(image: npt.ArrayLike | Tensor, samples: Samples | None = None) -> Picture:
    """An array or a tensor as a picture.

    Args:
        image: an array (H, W) or (H, W, C), or a tensor (H, W) or (C, H, W); unsigned integers with their full scale,
            or floats with white at 1.
        samples: what its numbers are, if something else.

    Raises:
        DtypeError: neither unsigned integers nor floats.
        ShapeError: another layout, or an alpha that leaves no channel.
        OptionError: black is not below white.

    Example:
        >>> picture_of(np.full((8, 9, 4), 255, np.uint8)).pixels.shape
        torch.Size([4, 8, 9])
        >>> picture_of(torch.ones(4, 8, 9), Samples(alpha=True)).alpha.shape
        torch.Size([8, 9])
    """
    samples = samples or Samples()
    return _picture_of(image, samples, levels_of(_colours(image, samples), samples))


def pictures_of(image: npt.ArrayLike | Tensor, samples: Samples | None = None) -> list[Picture]:
    """The pictures of a batch (B, C, H, W), which only a tensor can be, or the one of anything else.

    Those of a batch have one black and one white.
    """
    samples = samples or Samples()
    levels = levels_of(_colours(image, samples), samples)
    if not isinstance(image, Tensor) or image.ndim != 4 or not len(image):
        return [_picture_of(image, samples, levels)]
    channels_first(image)
    return [_picture_of(one, samples, levels) for one in image]


def _picture_of(image: npt.ArrayLike | Tensor, samples: Samples, levels: tuple[float, float, str | None]) -> Picture:
    array, planes = _planes(image)
    black, white, note = levels
    colours = len(planes) - samples.alpha
    if not colours:
        raise ShapeError(f"expected a channel beside alpha, got {array.shape}; alpha=False takes it as data")
    wide = array.dtype == np.float64 or (array.dtype.kind == "u" and array.dtype.itemsize > 2)
    dtype: type[np.floating] = np.float64 if wide else np.float32
    pixels = np.ascontiguousarray(planes[:colours], dtype=dtype)
    pixels = (pixels if not black else pixels - dtype(black)) / dtype(white - black)
    level = ceiling_level(planes[:colours], white)
    alpha = None
    if samples.alpha:
        alpha = torch.from_numpy(np.ascontiguousarray(planes[-1], dtype=dtype) / dtype(full_scale(array)))
    return Picture(
        pixels=torch.from_numpy(pixels),
        alpha=alpha,
        ceiling=None if level is None else (level - black) / (white - black),
        notes=() if note is None else (note,),
        # where fewer bits were found it may be a sensor's: what files are asked, it is asked, too
        origin=None if note is None else Origin(format="array", dtype="uint16", black=black, white=white),
        levels=(black, white),
    )


def array_like(image: ArrayT, pictures: Sequence[Picture]) -> ArrayT:
    """Pictures as an array or a tensor of the layout, dtype and device of the image that they came from.

    Integers are rounded and clipped, floats not; alpha is that of the image, to the bit.

    Example:
        >>> int(array_like(np.zeros((8, 9), np.uint8), [Picture(pixels=torch.full((1, 8, 9), 0.5))])[0, 0])
        128
    """
    array = _as_numpy(image)
    parts = [_stored(picture, array, index, isinstance(image, Tensor)) for index, picture in enumerate(pictures)]
    stored = np.stack(parts) if array.ndim == 4 else parts[0]
    if array.ndim == 2:
        stored = stored[0]
    elif not isinstance(image, Tensor):
        stored = np.moveaxis(stored, 0, -1)
    return torch.from_numpy(stored).to(image.device, image.dtype) if isinstance(image, Tensor) else stored


def _stored(picture: Picture, array: npt.NDArray[Any], index: int, tensor: bool) -> npt.NDArray[Any]:
    """A picture as planes (C, H, W) of the array's dtype, its alpha taken from there."""
    black, white = picture.levels or (0.0, full_scale(array))
    wide = array.dtype.kind == "u" and array.dtype.itemsize > 2
    values = picture.pixels.to(torch.float64 if wide else picture.pixels.dtype).mul(white - black)
    stored = (values.add_(black) if black else values).numpy()
    if array.dtype.kind == "u":
        top = np.iinfo(array.dtype).max
        whole = np.clip(np.rint(stored), 0, np.nextafter(float(top), 0) if wide else top).astype(array.dtype)
        stored = np.where(stored >= float(top), top, whole) if wide else whole  # a float rounds the largest up
    stored = stored.astype(array.dtype, copy=False)
    if picture.alpha is None:
        return stored
    planes = array[index] if array.ndim == 4 else array if tensor else np.moveaxis(array, -1, 0)
    (top_row, left), (height, width) = picture.place, picture.pixels.shape[-2:]
    return np.concatenate([stored, planes[-1:, top_row : top_row + height, left : left + width]])


def _colours(image: npt.ArrayLike | Tensor, samples: Samples) -> npt.NDArray[Any]:
    """An image as an array without its alpha."""
    array = _as_numpy(image)
    if not samples.alpha or array.ndim < 3:
        return array
    return array[..., :-1, :, :] if isinstance(image, Tensor) else array[..., :-1]


def _planes(image: npt.ArrayLike | Tensor) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """An image as an array in its own layout, and as planes (C, H, W)."""
    array = _as_numpy(image)
    if isinstance(image, Tensor):
        channels_first(image)
        planes, layout = array[None] if array.ndim == 2 else array, "(H, W) or (C, H, W)"
    else:
        rows_first(array)
        planes, layout = array[..., None] if array.ndim == 2 else array, "(H, W) or (H, W, C)"
        planes = np.moveaxis(planes, -1, 0) if planes.ndim == 3 else planes
    if planes.ndim != 3 or 0 in planes.shape:
        kind = "tensor" if isinstance(image, Tensor) else "picture"
        raise ShapeError(f"expected a {kind} {layout}, got {array.shape}; reorder its axes")
    return array, planes


def _as_numpy(image: npt.ArrayLike | Tensor) -> npt.NDArray[Any]:
    """A tensor or array as an array; bfloat16, which NumPy has not, as float32."""
    if not isinstance(image, Tensor):
        return np.asarray(image)
    image = image.detach().cpu()
    return (image.float() if image.dtype == torch.bfloat16 else image).numpy()
