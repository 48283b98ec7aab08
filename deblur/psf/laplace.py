"""The two-sided exponential: light that scatters on both sides of every point."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from deblur.errors import OptionError
from deblur.psf.exponential import TAIL
from deblur.psf.shape import Array, Within, frame, shape

Decay = Annotated[float | None, Within(0.05, 50, "px")]


@shape(example="laplace:decay=3")
def laplace(*, decay: Decay = None, decay_x: Decay = None, decay_y: Decay = None) -> Array:
    """exp(-|x| / decay_x - |y| / decay_y), made as the product of decaying trails to every side.

    On each axis the kernel is a truncated trail convolved with its own mirror image, T T^T: a product of masked
    convolutions over opposite corners, exactly. Its spectrum has no zero, so noise-free blur can be undone exactly, by
    conjugate gradients (the product of the solves alone is wrong at the far border).

    Args:
        decay: distance in pixels over which the kernel falls to 1/e on both axes, 0.05 to 50.
        decay_x: along x alone; a kernel of one row, unless decay_y is given too.
        decay_y: along y alone.

    Returns:
        (kh, kw), sum 1, symmetric about the origin tap.

    Raises:
        OptionError: neither or both forms of the decay, or a value outside its range.

    Example:
        >>> laplace(decay_x=0.5).round(3)[0, 3:8]
        array([0.014, 0.103, 0.762, 0.103, 0.014])
    """
    if (decay is None) == (decay_x is None and decay_y is None):
        raise OptionError("laplace needs either decay or decay_x and decay_y (or one of them), as in laplace:decay=3")
    return np.outer(_two_sided(decay_y if decay is None else decay), _two_sided(decay_x if decay is None else decay))


def _two_sided(decay: float | None) -> Array:
    """The autocorrelation of a truncated trail."""
    if decay is None:
        return np.ones(1)
    count = math.ceil(math.log(1 / TAIL) * decay)
    frame("laplace", (count, count), None, cut=True)
    trail = np.exp(-np.arange(count + 1) / decay)
    return np.convolve(trail, trail[::-1])
