"""Pictures side by side in one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["grid"]

_GAP = 2


def grid(pictures: Tensor) -> Tensor:
    """One picture (C, rows, columns) of several (n, C, H, W), row by row in about a square, white between them.

    What is not finite is shown black, and values are limited to [0, 1].

    Example:
        >>> grid(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([1, 18, 28])
    """
    count, channels, height, width = pictures.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    out = torch.ones(channels, rows * (height + _GAP), columns * (width + _GAP))
    for i, picture in enumerate(pictures.detach().float().cpu().nan_to_num(0, 1, 0).clamp(0, 1)):
        top, left = i // columns * (height + _GAP), i % columns * (width + _GAP)
        out[:, top : top + height, left : left + width] = picture
    return out[:, : rows * (height + _GAP) - _GAP, : columns * (width + _GAP) - _GAP]
