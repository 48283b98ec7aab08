"""A kernel as a picture to look at."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["draw"]


def draw(kernel: NDArray[np.float64], size: int = 256) -> NDArray[np.uint8]:
    """The kernel upscaled by a whole factor, its largest tap white, zero (and less) black.

    Args:
        kernel: (kh, kw), or (C, kh, kw): the channels then stand side by side, a gray line between them.
        size: pixels that the shorter side of one channel has at least, as far as the longer has no more than four times
            as many.

    Returns:
        gray picture, uint8.

    Example:
        >>> draw(np.array([[0.25, 0.5, 0.25]]), size=2)
        array([[128, 128, 255, 255, 128, 128],
               [128, 128, 255, 255, 128, 128]], dtype=uint8)
    """
    planes = kernel if kernel.ndim == 3 else kernel[None]
    gray = np.clip(planes / planes.max(axis=(-2, -1), keepdims=True), 0, 1)
    shorter, longer = sorted(kernel.shape[-2:])
    factor = max(1, min(math.ceil(size / shorter), 4 * size // longer))
    tiles = np.rint(gray * 255).astype(np.uint8).repeat(factor, axis=1).repeat(factor, axis=2)
    line = np.full((tiles.shape[1], 2), 128, dtype=np.uint8)
    row = [part for tile in tiles for part in (line, tile)]
    return np.hstack(row[1:])
