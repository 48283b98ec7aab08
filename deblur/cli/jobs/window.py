"""A part of a frame, restored as the whole would be there: from a larger part that shows what blurred into it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from deblur.errors import OptionError
from deblur.images import Frame

__all__ = ["Window", "crop"]

_SLICES = tuple[slice, slice]


@dataclass(frozen=True)
class Window:
    """Two nested rectangles of a frame, as (rows, columns) slices.

    Attributes:
        seen: the larger one, to restore from.
        shown: the one asked for, inside the frame.
        inside: the same one, inside `seen`.
    """

    seen: _SLICES
    shown: _SLICES
    inside: _SLICES

    @classmethod
    def around(
        cls, region: tuple[int, int, int, int] | None, size: tuple[int, int], context: tuple[int, int]
    ) -> Window:
        """The window for `region` (x, y, width, height; None for everything) in a frame of `size` rows and columns.

        So many rows and columns of `context` are seen on each side where the frame has them; the border of the frame
        stays what it is.

        Raises:
            OptionError: the region does not lie in the frame.
        """
        if region is None:
            region = (0, 0, size[1], size[0])
        x, y, width, height = region
        if x < 0 or y < 0 or width < 1 or height < 1 or x + width > size[1] or y + height > size[0]:
            raise OptionError(
                f"region {x},{y},{width},{height} (x,y,w,h) leaves the frame of {size[1]} x {size[0]} pixels"
            )
        spans = [_span(*edge) for edge in zip((y, x), (height, width), size, context, strict=True)]
        (seen_y, shown_y, inside_y), (seen_x, shown_x, inside_x) = spans
        return cls((seen_y, seen_x), (shown_y, shown_x), (inside_y, inside_x))


def crop(frame: Frame, part: _SLICES) -> Frame:
    """The frame's rectangle of these rows and columns, with all that goes with a frame."""
    alpha = None if frame.alpha is None else frame.alpha[part]
    coding = frame.coding and frame.coding.at(part[0].start or 0, part[1].start or 0)
    return dataclasses.replace(frame, pixels=frame.pixels[(slice(None), *part)], alpha=alpha, coding=coding)


def _span(start: int, length: int, size: int, context: int) -> tuple[slice, slice, slice]:
    first, last = max(start - context, 0), min(start + length + context, size)
    return slice(first, last), slice(start, start + length), slice(start - first, start - first + length)
