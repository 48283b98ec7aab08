"""The loop over pixels of `per_pixel.cpp` in Python, compiled by Numba: one of the peers of solve.py.

Images in parallel, channels innermost in memory and in the loops, fast mathematics, four inputs at a time so that the
sums are loaded and stored a quarter as often. Without Numba (`pip install numba`) importing this fails.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["solve"]


@numba.njit(fastmath=True, inline="always")
def _add(sums, pixel, taps):
    """Add what one pixel (C,) gives through the taps (C inputs, C outputs)."""
    channels = sums.shape[0]
    whole = channels - channels % 4
    for i in range(0, whole, 4):
        a, b, c, d = pixel[i], pixel[i + 1], pixel[i + 2], pixel[i + 3]
        for out in range(channels):
            sums[out] += a * taps[i, out] + b * taps[i + 1, out] + c * taps[i + 2, out] + d * taps[i + 3, out]
    for i in range(whole, channels):
        for out in range(channels):
            sums[out] += pixel[i] * taps[i, out]


@numba.njit(parallel=True, fastmath=True)
def solve(y, taps, x, frames, sides, rows, columns):
    """Solve for x.

    Args:
        y, x: (batch, C, H, W).
        taps: (rows * columns, C inputs, C outputs), the inverse anchor, then the negated taps in raster order.
        frames: (batch, H + rows - 1, W + columns - 1, C), zeros above and to the left.
        sides: (batch, H, W, C), room for y.
        rows, columns: of the taps.
    """
    batch, channels, height, width = y.shape
    for n in numba.prange(batch):
        frame, side = frames[n], sides[n]
        for c in range(channels):
            for i in range(height):
                for j in range(width):
                    side[i, j, c] = y[n, c, i, j]
        sums = np.zeros(channels, np.float32)
        for i in range(height):
            for j in range(width):
                sums[:] = 0
                _add(sums, side[i, j], taps[0])
                for k in range(1, rows * columns):
                    _add(sums, frame[i + rows - 1 - k // columns, j + columns - 1 - k % columns], taps[k])
                for out in range(channels):
                    frame[i + rows - 1, j + columns - 1, out] = sums[out]
        for c in range(channels):
            for i in range(height):
                for j in range(width):
                    x[n, c, i, j] = frame[i + rows - 1, j + columns - 1, c]
