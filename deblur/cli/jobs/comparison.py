"""The picture of `--compare`: as it came on the left, restored on the right, the kernel (if any) in a corner."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deblur import psf
from deblur.images import Frame

__all__ = ["side_by_side"]

_GAP = 4  # pixels between the two


def side_by_side(before: Frame, restored: Frame, kernel: NDArray[np.float64] | None) -> Frame:
    """One 8-bit picture of both, on white where they are transparent, the kernel inset at the bottom left.

    Args:
        before, restored: frames of one size, C = 1 or 3.
        kernel: (kh, kw) or (C, kh, kw); None for no inset.

    Returns:
        frame (3, H, 2 W + 4) where the pictures or the kernel's channels are coloured, else (1, H, 2 W + 4).
    """
    left, right = _opaque(before), _opaque(restored)
    if kernel is not None:
        left = _inset(left.clone(), kernel)
    gap = torch.ones(left.shape[0], left.shape[1], _GAP)
    return Frame(pixels=torch.cat((left, gap, right), dim=2))


def _opaque(frame: Frame) -> Tensor:
    pixels = frame.pixels.clamp(0, 1)
    return pixels if frame.alpha is None else pixels * frame.alpha + (1 - frame.alpha)


def _inset(pixels: Tensor, kernel: NDArray[np.float64]) -> Tensor:
    """Draw the kernel, a quarter of the picture high at most and with a white frame, over the bottom left corner."""
    height, width = pixels.shape[1:]
    drawn = psf.draw(kernel, size=max(min(height, width) // 5, 1))
    inset = torch.from_numpy(np.pad(drawn, 1, constant_values=255).astype(np.float32) / 255)
    rows, columns = inset.shape
    if rows <= height // 2 and columns <= width:
        pixels[:, height - rows :, :columns] = inset
    return pixels
