"""Conjugate gradients on images, as iterates of a restoration: every channel is a system of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from deblur.conjugate_gradients import conjugate_gradients
from deblur.restoration.restorer import Iterate

__all__ = ["channel_dot", "solve"]


def channel_dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of every channel by itself, (C, 1, 1)."""
    return torch.sum(a * b, dim=(-2, -1), keepdim=True)


def solve(
    matrix: Callable[[Tensor], Tensor],
    right: Tensor,
    start: Tensor,
    precondition: Callable[[Tensor], Tensor],
    dot: Callable[[Tensor, Tensor], Tensor] = channel_dot,
    scale: Tensor | None = None,
) -> Iterator[Iterate]:
    """Solve matrix(x) = right (`deblur.conjugate_gradients`), from `start`.

    Yields an iterate after every step; its residual is max over channels of ||right - matrix(x)|| / ||right||; `scale`
    gives other norms to divide by, of the shape that `dot` gives. Ends by itself when a residual is exactly zero.

    Example:
        >>> solved = solve(lambda x: 2 * x, torch.ones(1, 2, 2), torch.zeros(1, 2, 2), lambda r: r)
        >>> next(solved).scene[0, 0, 0].item()
        0.5
    """
    scale = (dot(right, right).sqrt() if scale is None else scale).clamp_min(1e-30)
    steps = conjugate_gradients(matrix, right, start, dot, precondition)
    next(steps)  # the start
    for x, residual in steps:
        relative = float((dot(residual, residual).sqrt() / scale).max())
        yield Iterate(x, relative)
        if relative == 0:
            return
