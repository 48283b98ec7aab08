"""A part of a frame, restored as the whole would be there: from a larger part that shows what blurred into it."""

from __future__ import annotations

from dataclasses import dataclass

from deblur.errors import OptionError
from deblur.restoration.tiles import ALIGNED

__all__ = ["Window"]

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
    def around(cls, region: tuple[int, int, int, int] | None, size: tuple[int, int], margin: tuple[int, int]) -> Window:
        """The window for `region` (x, y, width, height; None for everything) in a frame of `size` rows and columns.

        `margin` rows and columns more are seen on each side where the frame has them; the border of the frame stays
        what it is.

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
        spans = [_span(*edge) for edge in zip((y, x), (height, width), size, margin, strict=True)]
        (seen_y, shown_y, inside_y), (seen_x, shown_x, inside_x) = spans
        return cls((seen_y, seen_x), (shown_y, shown_x), (inside_y, inside_x))


def _span(start: int, length: int, size: int, margin: int) -> tuple[slice, slice, slice]:
    first, last = max(start - margin, 0) // ALIGNED * ALIGNED, min(start + length + margin, size)
    return slice(first, last), slice(start, start + length), slice(start - first, start - first + length)
