"""The disk of an out-of-focus lens."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from deblur.psf.shape import Array, Size, Within, frame, offsets, shape


@shape(example="defocus:radius=4")
def defocus(*, radius: Annotated[float, Within(0.1, 200, "px")], size: Size = None) -> Array:
    """Defocus blur of geometric optics: a uniform disk, each tap the exact area of the disk inside its pixel.

    With G(x, y) the area of the disk inside [0, x] x [0, y], odd in x and in y, a pixel holds

        G(x1, y1) - G(x0, y1) - G(x1, y0) + G(x0, y0).

    The spectrum (2 J1(v) / v, v = radius |w|) has circles of zeros, so the disk has no exact inverse.

    Args:
        radius: of the disk in pixels, 0.1 to 200.
        size: rows and columns; without it, the smallest that holds the disk.

    Returns:
        (kh, kw), sum 1, symmetric about the origin tap, variance radius^2 / 4 + about 1/12 on each axis.

    Example:
        >>> defocus(radius=1).round(3)
        array([[0.025, 0.145, 0.025],
               [0.145, 0.318, 0.145],
               [0.025, 0.145, 0.025]])
    """
    rows, columns = (offsets(count) for count in frame("defocus", (radius - 0.5, radius - 0.5), size, cut=False))
    edges_y = np.append(rows - 0.5, rows[-1] + 0.5)[:, None]
    edges_x = np.append(columns - 0.5, columns[-1] + 0.5)[None, :]
    return np.maximum(np.diff(np.diff(_corner_area(edges_x, edges_y, radius), axis=0), axis=1), 0)


def _corner_area(x: Array, y: Array, radius: float) -> Array:
    """The area of the disk inside [0, x] x [0, y], with the sign of x y."""
    a, b = np.minimum(np.abs(x), radius), np.minimum(np.abs(y), radius)
    arc = np.minimum(a, np.sqrt(radius**2 - b**2))  # up to here the rectangle's top lies inside the disk

    def segment(t: Array) -> Array:  # the antiderivative of sqrt(radius^2 - t^2)
        return np.asarray(0.5 * (t * np.sqrt(np.maximum(radius**2 - t**2, 0)) + radius**2 * np.arcsin(t / radius)))

    return np.asarray(np.sign(x) * np.sign(y) * (arc * b + segment(a + 0 * b) - segment(arc)))
