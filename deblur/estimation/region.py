"""Where in a large picture to look: the region whose edges, of all directions, stand out most from the noise.

A kernel needs edges across its every direction, so a region's worth is the smaller eigenvalue of its structure tensor
(sum of outer products of the gradients), counting only gradients well above the noise and pixels that are believed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from deblur.estimation.estimate import Region

__all__ = ["best", "sides"]

Array = npt.NDArray[np.float32]

_STEPS = 8
"""Places to try per region's side."""


def sides(frame: tuple[int, int], area: int) -> tuple[int, int]:
    """Rows and columns of a region of at most `area` pixels in a frame: as square as the frame allows.

    Example:
        >>> sides((321, 481), 512 * 512), sides((3000, 4000), 512 * 512), sides((256, 4000), 512 * 512)
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


def best(
    image: Array, region: tuple[int, int], count: int = 1, *, believed: Array | None = None, sigma: float = 0.0
) -> list[Region]:
    """The `count` best regions of so many rows and columns, best first, none overlapping another.

    Fewer where no more fit. The places that are tried are an eighth of a region apart.

    Args:
        image: (H, W), one plane.
        region: rows and columns, at most those of the plane.
        count: at least 1.
        believed: (H, W), 0 where a pixel is not to be believed; None where all are.
        sigma: standard deviation of the plane's noise.

    Example:
        >>> image = np.zeros((64, 64), np.float32)
        >>> image[40:60, 30:50] = np.random.default_rng(0).random((20, 20))
        >>> x, y, width, height = best(image, (32, 32))[0]
        >>> x <= 30 and x + width >= 50 and y <= 40 and y + height >= 60
        True
    """
    rows, columns = region
    height, width = image.shape
    step = max(rows // _STEPS, 1), max(columns // _STEPS, 1)
    places = (height - rows) // step[0] + 1, (width - columns) // step[1] + 1
    if places == (1, 1):
        return [(0, 0, columns, rows)]
    xx, yy, xy = (
        _windows(part, (rows // step[0], columns // step[1]), places) for part in _tensor(image, step, believed, sigma)
    )
    worth = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    chosen: list[Region] = []
    while len(chosen) < count and np.isfinite(worth).any():
        i, j = (int(n) for n in np.unravel_index(int(worth.argmax()), worth.shape))
        top, left = i * step[0], j * step[1]
        chosen.append((left, top, columns, rows))
        near = [
            np.abs(np.arange(n) * s - at) < side
            for n, s, at, side in zip(places, step, (top, left), region, strict=True)
        ]
        worth[np.ix_(*near)] = -np.inf
    return chosen


def _tensor(image: Array, step: tuple[int, int], believed: Array | None, sigma: float) -> npt.NDArray[np.float64]:
    """The structure tensor (xx, yy, xy) summed over blocks of `step` rows and columns: (3, blocks, blocks).

    A strip of blocks at a time, so that a large frame costs no memory.
    """
    rim = 5  # rows that smoothing, differences and the distance from what is not believed reach
    height, width = image.shape
    sums = np.zeros((3, height // step[0], width // step[1]))
    for block in range(sums.shape[1]):
        top = block * step[0]
        first = max(top - rim, 0)
        strip = slice(first, min(top + step[0] + rim, height))
        smooth = ndimage.gaussian_filter(image[strip], 1.0)
        across, down = np.zeros_like(smooth), np.zeros_like(smooth)
        np.subtract(smooth[:, 1:], smooth[:, :-1], out=across[:, :-1])
        np.subtract(smooth[1:], smooth[:-1], out=down[:-1])
        counted = across**2 + down**2 > (sigma + 0.002) ** 2
        if believed is not None:
            counted &= ndimage.minimum_filter(believed[strip], 5) > 0
        inner = slice(top - first, top - first + step[0]), slice(0, sums.shape[2] * step[1])
        for total, part in zip(sums, (across * across, down * down, across * down), strict=True):
            kept = (part * counted)[inner].reshape(step[0], sums.shape[2], step[1])
            total[block] = kept.sum((0, 2), dtype=np.float64)
    return sums


def _windows(
    blocks: npt.NDArray[np.float64], side: tuple[int, int], places: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Sums over windows of so many blocks, at so many places."""
    table = np.pad(blocks, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    (rows, columns), (m, n) = side, places
    return np.asarray(
        table[rows : rows + m, columns : columns + n]
        - table[:m, columns : columns + n]
        - table[rows : rows + m, :n]
        + table[:m, :n]
    )
