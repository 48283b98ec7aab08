"""Brightness and two colour differences in place of red, green and blue: where noise and edges are told apart."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["metric", "rotation", "turned"]

ROWS = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))


def rotation(like: Tensor) -> Tensor:
    """The orthonormal (3, 3) whose rows are brightness, red - blue and green against both.

    Example:
        >>> turns = rotation(torch.zeros(3, 1, 1))
        >>> torch.allclose(turns @ turns.T, torch.eye(3), atol=1e-6)
        True
    """
    rows = torch.tensor(ROWS, dtype=like.dtype, device=like.device)
    return torch.nn.functional.normalize(rows, dim=1)


def metric(like: Tensor, chroma: float) -> Tensor:
    """T^T diag(1, chroma, chroma) T, (3, 3): red, green and blue in which the colour differences count so much."""
    turns = rotation(like)
    return torch.mm(turns.T, turns.new_tensor([1.0, chroma, chroma])[:, None] * turns)


def turned(matrix: Tensor, image: Tensor) -> Tensor:
    """A matrix (3, 3) applied to the channels of an image (3, H, W)."""
    mixed: Tensor = matrix @ image.reshape(3, -1)
    return mixed.reshape(image.shape)
