"""A kernel as a picture to look at."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["picture"]


def picture(kernel: NDArray[np.float64], size: int = 256) -> NDArray[np.uint8]:
    """The kernel upscaled by a whole factor, its largest tap white, zero (and less) black.

    Args:
        kernel: (kh, kw), or (C, kh, kw): the channels then stand side by side, a gray line between them.
        size: the shorter side of the picture of one channel in pixels, at least.

    Returns:
        gray picture, uint8.

    Example:
        >>> picture(np.array([[0.25, 0.5, 0.25]]), size=2)
        array([[128, 128, 255, 255, 128, 128],
               [128, 128, 255, 255, 128, 128]], dtype=uint8)
    """
    planes = kernel if kernel.ndim == 3 else kernel[None]
    gray = np.clip(planes / planes.max(axis=(-2, -1), keepdims=True), 0, 1)
    factor = max(1, math.ceil(size / min(kernel.shape[-2:])))
    factor = max(
        1, min(factor, math.ceil(4 * size / max(kernel.shape[-2:])))
    )  # a long thin kernel stays a small picture
    tiles = np.rint(gray * 255).astype(np.uint8).repeat(factor, axis=1).repeat(factor, axis=2)
    line = np.full((tiles.shape[1], 2), 128, dtype=np.uint8)
    row = [part for tile in tiles for part in (line, tile)]
    return np.hstack(row[1:])
