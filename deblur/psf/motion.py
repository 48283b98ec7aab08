"""Straight, uniform motion during the exposure."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from deblur.psf.shape import Angle, Array, Size, Within, frame, shape
from deblur.psf.trace import trace


@shape(example="motion:length=15,angle=30")
def motion(*, length: Annotated[float, Within(0, 500, "px")], angle: Angle = 0.0, size: Size = None) -> Array:
    """Motion blur: a point that moves uniformly along a straight segment centred on the origin tap.

    Exact below the pixel: the line integral of the bilinear footprint (the weights of linear interpolation), so the
    blurred picture is the linearly interpolated sharp one averaged along the segment. The ends are soft: a length of 15
    reaches 17 taps, the outermost with 1/120 of the light. The spectrum of uniform motion has zeros: no exact inverse.

    Args:
        length: of the segment in pixels, 0 (no blur) to 500.
        angle: degrees counter-clockwise from the x axis as one sees the picture; 30 rises to the right.
        size: rows and columns; without it, the smallest that holds the segment.

    Returns:
        (kh, kw), sum 1; its mean is the origin tap, its covariance that of the segment, length^2 / 12 along the angle,
        plus the footprint's (at most 1/4, about 1/6, on each axis).

    Example:
        >>> motion(length=2)
        array([[0.25, 0.5 , 0.25]])
        >>> motion(length=2, angle=45).round(2)
        array([[0.  , 0.09, 0.08],
               [0.09, 0.46, 0.09],
               [0.08, 0.09, 0.  ]])
    """
    half = 0.5 * length * np.round([-math.sin(math.radians(angle)), math.cos(math.radians(angle))], 15)  # (row, column)
    kernel = np.zeros(frame("motion", (abs(half[0]), abs(half[1])), size, cut=False))
    trace(kernel, -half, half, 1.0)
    return kernel
