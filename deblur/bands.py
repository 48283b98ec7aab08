"""Bands of rows: what is done to many pixels, one band after the other, stays in the processor's cache."""

from __future__ import annotations

from torch import Tensor

__all__ = ["BAND", "bands"]

BAND = 1 << 15
"""Pixels of a band."""


def bands(image: Tensor, pixels: int = BAND) -> list[slice]:
    """Rows of an image (..., H, W), a band of so many pixels after the other; on a device all at once.

    Example:
        >>> import torch
        >>> len(bands(torch.zeros(3, 100, 1000)))
        4
    """
    height, width = image.shape[-2:]
    if image.device.type != "cpu":
        return [slice(0, height)]
    size = max(1, pixels // max(1, width))
    return [slice(start, min(start + size, height)) for start in range(0, height, size)]
