"""Regularisers by their symbol: R(w1, w2) = sum of |F(w1, w2)|^2 over a bank of filters F."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from deblur.psf.cepstrum import Symbol
from deblur.psf.factorization import REGULARISERS

__all__ = ["Symbol", "curvature", "gradients", "on_grid"]

gradients: Symbol = REGULARISERS["gradient"]
"""|D_x|^2 + |D_y|^2 of the forward differences."""


def curvature(w1: Tensor, w2: Tensor) -> Tensor:
    """|D_xx|^2 + |D_yy|^2 + 2 |D_xy|^2 of the second differences: the square of `gradients`."""
    return gradients(w1, w2).square()


def on_grid(symbol: Symbol, grid: tuple[int, int], like: Tensor) -> Tensor:
    """A symbol on the half spectrum of a grid, (H, W // 2 + 1), in the dtype and on the device of `like`.

    Example:
        >>> on_grid(gradients, (4, 4), torch.zeros(1))[2, 2].item()
        8.0
    """
    return _sampled(symbol, *grid, like.dtype).to(like.device)


@lru_cache(maxsize=2)
def _sampled(symbol: Symbol, height: int, width: int, dtype: torch.dtype) -> Tensor:
    rows = torch.fft.fftfreq(height, dtype=torch.float64) * (2 * math.pi)
    columns = torch.fft.rfftfreq(width, dtype=torch.float64) * (2 * math.pi)
    return symbol(rows[:, None], columns[None, :]).to(dtype)
