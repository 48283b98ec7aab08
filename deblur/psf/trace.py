"""The exact picture of a moving point: line integrals of the bilinear footprint along straight segments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_GAUSS = 0.5 + np.array([-0.5, 0.5]) / np.sqrt(
    3
)  # two nodes on [0, 1], exact for the cubics: the integrand is quadratic


def trace(kernel: Array, start: Array, end: Array, weight: float) -> None:
    """Add to the kernel, in place, `weight` times the mean footprint of a point that moves from start to end.

    A point at (row, column) leaves on the four taps around it the weights of linear interpolation,

        (1 - f)(1 - g), (1 - f) g, f (1 - g), f g        f, g the fractional parts of its row and column,

    so a picture blurred by the kernel is the linearly interpolated picture, averaged along the segment. Between two
    crossings of the lattice those weights are quadratic in time, and a two-point Gauss rule integrates them exactly.
    The footprint keeps the first moment of every point, and adds f (1 - f) to its variance.

    Args:
        kernel: (kh, kw), the origin tap at (kh // 2, kw // 2).
        start, end: (row, column) in pixels relative to the origin tap; both inside the kernel.
    """
    first, last = (np.round(point + np.array(kernel.shape) // 2, 12) for point in (start, end))
    step = last - first
    cuts = [np.array([0.0, 1.0])]
    for axis in (0, 1):
        if step[axis]:
            low, high = sorted((first[axis], last[axis]))
            cuts.append((np.arange(np.ceil(low), np.floor(high) + 1) - first[axis]) / step[axis])
    times = np.unique(np.clip(np.concatenate(cuts), 0, 1))
    spans = np.diff(times)
    cell = np.floor(np.round(first + (times[:-1] + spans / 2)[:, None] * step, 12)).astype(int)  # (spans, 2)
    for node in _GAUSS:
        fraction = first + (times[:-1] + spans * node)[:, None] * step - cell
        for down in (0, 1):
            for right in (0, 1):
                share = np.abs(1 - down - fraction[:, 0]) * np.abs(1 - right - fraction[:, 1]) * spans * weight / 2
                kept = share > 0
                np.add.at(kernel, (cell[kept, 0] + down, cell[kept, 1] + right), share[kept])
