"""One picture, from file or array to solver and back.

A `Picture` holds pixels as they are stored, with what goes with them: transparency, what is not to be believed, the
level at which it saturates, its transfer curve, how its file coded it. `deblur.images.Frame` extends it by what
belongs to the file. One layout holds for arrays and tensors (`deblur.layout`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deblur.coding import Coding
from deblur.errors import OptionError, ShapeError
from deblur.origin import Origin
from deblur.transfer import Transfer

__all__ = [
    "Picture",
    "ceiling_level",
    "check_finite",
    "check_picture",
    "with_hidden",
    "without_hidden",
]

_PictureT = TypeVar("_PictureT", bound="Picture")

_BAND = 256  # rows looked at a time


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Pixels as a file stores them, with what goes with them.

    Args:
        pixels: (C, H, W) float, black 0 and white 1; values beyond are kept.
        alpha: (H, W) in [0, 1]; where it is 0 the pixel's colour is not believed. None: opaque.
        ceiling: the pixel value at and above which the picture is saturated; None where nothing shows that it is.
        transfer: the curve between pixels and linear light, where the picture declares one; None where it does not.
        notes: lines the user should see, such as a profile that was not understood.
        mask: (1 or C, H, W) bool, False where a pixel is not to be believed; None: every one is.
        weights: (1 or C, H, W) in [0, 1], how much a pixel's error counts beside the others'; None: all alike.
        coding: how the file coded the pixels, where that loses something (JPEG); None where it does not.
        origin: how the file stores them and who wrote it; None for an array.
        place: row and column of its top left pixel in the frame that it is a part of.
        levels: the stored values of an array that are its pixel values 0 and 1; None for no array.

    Raises:
        ShapeError: a mask or weights of another shape.
        OptionError: weights outside [0, 1].
    """

    pixels: Tensor
    alpha: Tensor | None = None
    ceiling: float | None = None
    transfer: Transfer | None = None
    notes: tuple[str, ...] = ()
    mask: Tensor | None = None
    weights: Tensor | None = None
    coding: Coding | None = None
    origin: Origin | None = None
    place: tuple[int, int] = (0, 0)
    levels: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("mask", "weights"):
            plane = getattr(self, name)
            if plane is None:
                continue
            channels, wanted = len(self.pixels), tuple(self.pixels.shape[1:])
            if plane.ndim != 3 or len(plane) not in (1, channels) or tuple(plane.shape[1:]) != wanted:
                raise ShapeError(
                    f"expected {name} of shape (1 or {channels}, {wanted[0]}, {wanted[1]}), got {tuple(plane.shape)}"
                )
        if self.weights is not None and not bool(((self.weights >= 0) & (self.weights <= 1)).all()):
            raise OptionError("expected weights in [0, 1], got others or NaN; divide them by the largest")

    @property
    def height(self) -> int:
        """Rows, as the picture is seen."""
        return int(self.pixels.shape[1])

    @property
    def width(self) -> int:
        """Columns, as the picture is seen."""
        return int(self.pixels.shape[2])

    def window(self: _PictureT, rows: slice, columns: slice) -> _PictureT:
        """The rectangle of these rows and columns, with all that goes with it.

        Example:
            >>> Picture(pixels=torch.zeros(3, 8, 9)).window(slice(2, 6), slice(0, 5)).pixels.shape
            torch.Size([3, 4, 5])
        """
        part = (..., rows, columns)
        top, left = rows.indices(self.height)[0], columns.indices(self.width)[0]
        return dataclasses.replace(
            self,
            pixels=self.pixels[part],
            alpha=None if self.alpha is None else self.alpha[part],
            mask=None if self.mask is None else self.mask[part],
            weights=None if self.weights is None else self.weights[part],
            coding=None if self.coding is None else self.coding.at(top, left),
            place=(self.place[0] + top, self.place[1] + left),
        )

    def placed(self, window: tuple[slice, slice]) -> tuple[slice, slice]:
        """A window of this picture, in the frame that it is a part of."""
        rows, columns = (slice(part.start + at, part.stop + at) for part, at in zip(window, self.place, strict=True))
        return rows, columns

    def of_channels(self: _PictureT, channels: slice) -> _PictureT:
        """The picture of some of the channels."""
        mask, weights = (p if p is None or len(p) == 1 else p[channels] for p in (self.mask, self.weights))
        return dataclasses.replace(self, pixels=self.pixels[channels], mask=mask, weights=weights)

    def filled(self: _PictureT) -> _PictureT:
        """The picture with the mean of its other pixels wherever mask or weights say that one does not count.

        What is stored there, NaN for instance, then reaches nothing.
        """
        pixels = self.pixels
        kept = [(plane > 0).expand_as(pixels) for plane in (self.mask, self.weights) if plane is not None]
        return dataclasses.replace(self, pixels=_with_mean(pixels, torch.stack(kept).all(0))) if kept else self


def without_hidden(pixels: Tensor, alpha: Tensor | None) -> Tensor:
    """The pixels with the mean of those that are seen wherever alpha (H, W) is 0.

    Colours that nobody sees must not reach those that are seen.
    """
    if alpha is None or bool((alpha > 0).all()):
        return pixels
    return _with_mean(pixels, (alpha > 0).expand_as(pixels))


def _with_mean(pixels: Tensor, counted: Tensor) -> Tensor:
    """The pixels with the mean of those that count, channel by channel, in the place of those that don't."""
    mean = torch.where(counted, pixels, 0).sum((-2, -1)) / counted.sum((-2, -1)).clamp_min(1)
    return torch.where(counted, pixels, mean[:, None, None])


def with_hidden(pixels: Tensor, stored: Tensor, alpha: Tensor | None) -> Tensor:
    """The pixels as they were stored wherever alpha (H, W) is 0."""
    return pixels if alpha is None else torch.where(alpha > 0, pixels, stored)


def check_picture(picture: object) -> None:
    """Raise ShapeError for what is no `Picture`, such as an array."""
    if not isinstance(picture, Picture):
        kind = type(picture).__name__
        raise ShapeError(f"expected a Picture, got {kind}; use deblur.apply, deblur.fit or deblur.denoise for an array")


def check_finite(*values: Tensor | None) -> None:
    """Raise ShapeError where pixels are NaN or infinite."""
    if not all(value is None or bool(torch.isfinite(value).all()) for value in values):
        raise ShapeError("expected finite pixel values, got NaN or infinity; replace them first")


def ceiling_level(array: npt.NDArray[Any], white: float) -> float | None:
    """The stored value at which a frame saturates, or None.

    The frame's maximum m is its ceiling where it is the end of the scale (the type's largest integer, or `white`), or
    where samples pile up at it: at least 16, at most half of them, and four times as many as at any level of the 64th
    part of the range below it. A scene's own highlights thin out towards the maximum; a clipped sensor (12-bit data
    in a 16-bit file, a pedestal) stacks up there.
    """
    largest = array.max()
    if not largest > 0:
        return None
    level = float(largest)
    if level == white or (array.dtype.kind == "u" and level == np.iinfo(array.dtype).max):
        return level
    total, below = 0, np.zeros(0, np.int64)
    floor = level - max(level / 64, 1 if array.dtype.kind == "u" else 0)
    tops = [band[band >= floor] for band in _bands(array)]
    levels, counts = np.unique(np.concatenate(tops), return_counts=True)
    total, below = int(counts[levels == largest].sum()), counts[levels < largest]
    piled = 16 <= total <= array.size / 2 and total >= 4 * (below.max() if below.size else 0)
    return level if piled else None


def _bands(array: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    return [array[start : start + _BAND] for start in range(0, array.shape[0], _BAND)]
