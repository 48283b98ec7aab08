"""The rectangle: pixel binning, a square aperture, a moving average."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from deblur.errors import OptionError
from deblur.psf.shape import Array, Within, frame, offsets, shape

Side = Annotated[float | None, Within(0.1, 500, "px")]


@shape(example="box:size=5")
def box(*, size: Side = None, width: Side = None, height: Side = None) -> Array:
    """Uniform rectangle centred on the origin tap, its edge taps weighted by the part of the pixel that it covers.

    Args:
        size: side of the square in pixels, 0.1 to 500; fractions and even sizes give soft edges.
        width: extent along x, in the place of size; with height.
        height: extent along y.

    Returns:
        (kh, kw), sum 1.

    Raises:
        OptionError: neither or both forms of the size, or a value outside its range.

    Example:
        >>> box(width=4, height=1)
        array([[0.125, 0.25 , 0.25 , 0.25 , 0.125]])
    """
    if (size is None) == (width is None and height is None) or (width is None) != (height is None):
        raise OptionError("box needs either size or both width and height, as in box:size=5")
    across = size if width is None else width
    upright = size if height is None else height
    assert across is not None
    assert upright is not None
    rows, columns = frame("box", ((upright - 1) / 2, (across - 1) / 2), None, cut=False)
    return np.outer(_coverage(upright, rows), _coverage(across, columns))


def _coverage(extent: float, count: int) -> Array:
    """How much of each of `count` pixels the interval [-extent / 2, extent / 2] covers (one pixel alone: all of it)."""
    return np.clip(extent / 2 - np.abs(offsets(count)) + 0.5, 0, 1)
