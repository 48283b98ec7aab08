"""What `solve.py` solves, and the solve alone."""

from __future__ import annotations

import torch
from interleaved import Run
from torch import Tensor

from deblur.ops import _native
from deblur.ops.geometry import Geometry

__all__ = ["PLAIN", "into", "multiply_adds", "problem"]

PLAIN = Geometry()


def problem(batch: int, channels: int, size: int, taps: int) -> tuple[Tensor, Tensor]:
    """A right-hand side and taps whose inverse is stable."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(batch, channels, size, size, generator=generator)
    weight = torch.randn(channels, channels, taps, taps, generator=generator) * (0.3 / (channels * taps))
    weight[:, :, 0, 0] += torch.eye(channels)
    return y, weight


def multiply_adds(y: Tensor, weight: Tensor) -> int:
    return y.shape[0] * y.shape[2] * y.shape[3] * weight.numel()


def into(y: Tensor, weight: Tensor) -> Run:
    """The solve alone, into an output that was written before."""
    out = torch.empty_like(y)
    return lambda: _native.solve(y, weight, PLAIN, out=out)
