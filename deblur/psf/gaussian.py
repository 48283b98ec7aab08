"""The Gaussian kernel: defocus of a simple lens, turbulence of a long exposure, diffusion."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from deblur.errors import OptionError
from deblur.psf.shape import Angle, Array, Size, Within, frame, offsets, shape

Sigma = Annotated[float | None, Within(0.3, 120, "px")]


@shape(example="gaussian:sigma=2")
def gaussian(
    *, sigma: Sigma = None, sigma_x: Sigma = None, sigma_y: Sigma = None, angle: Angle = 0.0, size: Size = None
) -> Array:
    """Gaussian kernel exp(-d^T S^-1 d / 2), sampled at the pixel centres, isotropic or with two widths.

    The variance along an axis is sigma^2 (sampling changes it by less than 1 % from sigma = 0.5 on).

    Args:
        sigma: standard deviation in pixels, 0.3 to 120; alone for the isotropic kernel.
        sigma_x: standard deviation along the direction `angle`, in the place of sigma; with sigma_y.
        sigma_y: standard deviation across it.
        angle: direction of sigma_x, degrees counter-clockwise from the x axis as one sees the picture.
        size: rows and columns; without it, out to four standard deviations.

    Returns:
        (kh, kw), sum 1, centred on the origin tap.

    Raises:
        OptionError: neither or both forms of the width, or a value outside its range.

    Example:
        >>> gaussian(sigma=1.0, size=3).round(3)
        array([[0.075, 0.124, 0.075],
               [0.124, 0.204, 0.124],
               [0.075, 0.124, 0.075]])
        >>> gaussian(sigma_x=4, sigma_y=1, angle=90).shape  # upright
        (33, 9)
    """
    if (sigma is None) == (sigma_x is None and sigma_y is None) or (sigma_x is None) != (sigma_y is None):
        raise OptionError("gaussian needs either sigma or both sigma_x and sigma_y, as in gaussian:sigma=2")
    along = sigma if sigma_x is None else sigma_x
    across = sigma if sigma_y is None else sigma_y
    assert along is not None
    assert across is not None
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    reach = 4 * math.hypot(along * s, across * c), 4 * math.hypot(along * c, across * s)
    rows, columns = (offsets(count) for count in frame("gaussian", reach, size, cut=True))
    x, up = columns[None, :], -rows[:, None]  # the row axis points down, angles are as seen
    u, v = x * c + up * s, up * c - x * s
    return np.asarray(np.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2)))
