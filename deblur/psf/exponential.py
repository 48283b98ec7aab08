"""Trails that die away: phosphor, slow pixels, smeared charge. One-sided (`exponential`); two-sided is `laplace`."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from deblur.psf.shape import Angle, Array, Size, Within, frame, shape

TAIL = 1e-4  # of the light that the default size leaves out


@shape(example="exponential:decay=4,angle=0")
def exponential(*, decay: Annotated[float, Within(0.05, 50, "px")], angle: Angle = 0.0, size: Size = None) -> Array:
    """A decaying trail behind every point: exp(-n s / decay) at its n-th step, the point itself (n = 0) at the origin.

    A step s is one column (one row where the trail is steeper than 45 degrees); between two rows (columns) its weight
    goes to both by linear interpolation. All taps lie in one quadrant from the origin tap, their anchor, so the blur
    *is* a masked convolution. Along an axis it is the geometric series 1 / (1 - r z), r = e^(-1 / decay), whose exact
    inverse is the stable two-tap filter 1 - r z; cutting it after n taps adds zeros at |z| = 1 / r > 1 only, and the
    inverse stays stable. At other angles the spectrum stays at least (1 - r) / (1 + r) away from zero and winds around
    it zero times (tested, not proved): stable too.

    Args:
        decay: distance in pixels over which the trail falls to 1/e, 0.05 to 50.
        angle: where the trail points, degrees counter-clockwise from the x axis as one sees the picture; 0 is right.
        size: rows and columns; without it, until 1e-4 of the light is left.

    Returns:
        (kh, kw), sum 1; zero on the side away from the trail, so that the origin tap (kh // 2, kw // 2) is the anchor.

    Example:
        >>> exponential(decay=1, size=5)[2].round(3)
        array([0.   , 0.   , 0.665, 0.245, 0.09 ])
    """
    direction = np.round([-math.sin(math.radians(angle)), math.cos(math.radians(angle))], 12)  # (row, column)
    major = int(abs(direction[1]) >= abs(direction[0]))
    stride = direction / abs(direction[major])
    step = float(np.hypot(*stride))
    count = math.ceil(math.log(1 / TAIL) * decay / step)
    rows, columns = frame("exponential", (abs(count * stride[0]), abs(count * stride[1])), size, cut=True)
    kernel = np.zeros((rows, columns))
    for n in range(max(rows, columns)):
        point = np.round(n * stride + (rows // 2, columns // 2), 9)
        low = np.floor(point).astype(int)
        fraction = point - low
        for corner in np.ndindex(2, 2):
            tap = low[0] + corner[0], low[1] + corner[1]
            share = math.prod(abs(1 - c - f) for c, f in zip(corner, fraction, strict=True))
            if share and 0 <= tap[0] < rows and 0 <= tap[1] < columns:
                kernel[tap] += share * math.exp(-n * step / decay)
    return kernel
