"""Where in a large frame to estimate: the region whose edges, of all directions, stand out most from the noise.

A kernel needs edges across its every direction, so a region's worth is the smaller eigenvalue of its structure tensor
(sum of outer products of the gradients), counting only gradients well above the noise and believed pixels.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from deblur.estimation.base import Region
from deblur.estimation.blind.periodic import Array, differences
from deblur.estimation.blind.pyramid import Plane

__all__ = ["AREA", "best", "cut", "sides"]

AREA = 512 * 512
"""Pixels that a kernel is estimated from at most: more cost time and gain little."""


def sides(frame: tuple[int, int], area: int = AREA) -> tuple[int, int]:
    """Rows and columns of a region of at most `area` pixels in a frame: as square as the frame allows.

    Example:
        >>> sides((321, 481)), sides((3000, 4000)), sides((256, 4000))
        ((321, 481), (512, 512), (256, 1024))
    """
    rows, columns = frame
    if rows * columns <= area:
        return frame
    square = int(area**0.5)
    if rows < square:
        return rows, min(columns, area // rows)
    if columns < square:
        return min(rows, area // columns), columns
    return square, square


def best(plane: Plane, region: tuple[int, int], count: int = 1) -> list[Region]:
    """The `count` best regions of so many rows and columns, best first, none overlapping another.

    Fewer where no more fit. The grid of places is an eighth of a region.
    """
    rows, columns = region
    height, width = plane.values.shape
    smooth = ndimage.gaussian_filter(plane.values, 1.0)
    across, down = differences(smooth)
    believed = 1.0 if plane.believed is None else ndimage.minimum_filter(plane.believed, 5)
    counted = (across**2 + down**2 > (plane.sigma + 0.002) ** 2) * believed
    tensor = [_sums(part * counted, rows, columns) for part in (across**2, down**2, across * down)]
    half, mixed = (tensor[0] - tensor[1]) / 2, tensor[2]
    worth = (tensor[0] + tensor[1]) / 2 - np.sqrt(half**2 + mixed**2)
    offered = np.full(worth.shape, -np.inf)
    steps = max(rows // 8, 1), max(columns // 8, 1)
    offered[:: steps[0], :: steps[1]] = worth[:: steps[0], :: steps[1]]
    chosen: list[Region] = []
    while len(chosen) < count and np.isfinite(offered).any():
        i, j = (int(n) for n in np.unravel_index(int(offered.argmax()), offered.shape))
        chosen.append((j, i, min(columns, width), min(rows, height)))
        offered[max(i - rows + 1, 0) : i + rows, max(j - columns + 1, 0) : j + columns] = -np.inf
    return chosen


def cut(plane: Plane, region: Region) -> Plane:
    """The part of a plane in a region."""
    x, y, width, height = region
    inner = slice(y, y + height), slice(x, x + width)
    believed = None if plane.believed is None else plane.believed[inner]
    return Plane(plane.values[inner], believed, plane.sigma, plane.scale)


def _sums(image: Array, rows: int, columns: int) -> np.ndarray:
    """Sums over all windows of so many rows and columns."""
    table = np.pad(image.astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    return np.asarray(
        table[rows:, columns:] - table[:-rows, columns:] - table[rows:, :-columns] + table[:-rows, :-columns]
    )
