"""Preconditioned conjugate gradients, as a generator: the caller decides when to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from deblur.restoration.restorer import Iterate

__all__ = ["channel_dot", "conjugate_gradients"]


def channel_dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of every channel by itself, (C, 1, 1): the channels are independent systems."""
    return torch.sum(a * b, dim=(-2, -1), keepdim=True)


def conjugate_gradients(
    apply: Callable[[Tensor], Tensor],
    right: Tensor,
    start: Tensor,
    precondition: Callable[[Tensor], Tensor],
    dot: Callable[[Tensor, Tensor], Tensor] = channel_dot,
    scale: Tensor | None = None,
) -> Iterator[Iterate]:
    """Solve apply(x) = right for symmetric positive definite `apply` and `precondition`, from `start`.

    Yields an estimate after every step; its residual is max over channels of ||right - apply(x)|| / ||right||,
    updated by the recurrence; `scale` gives other norms to divide by, of the shape that `dot` gives. Ends by itself
    when a residual is exactly zero.

    Example:
        >>> solved = conjugate_gradients(lambda x: 2 * x, torch.ones(1, 2, 2), torch.zeros(1, 2, 2), lambda r: r)
        >>> next(solved).scene[0, 0, 0].item()
        0.5
    """
    scale = (dot(right, right).sqrt() if scale is None else scale).clamp_min(1e-30)
    x, residual = start, right - apply(start)
    z = precondition(residual)
    direction, product = z, dot(residual, z)
    while True:
        applied = apply(direction)
        curvature = dot(direction, applied)
        length = torch.where(curvature > 0, product / curvature, 0)
        x = x + length * direction
        residual = residual - length * applied
        relative = float((dot(residual, residual).sqrt() / scale).max())
        yield Iterate(x, relative)
        if relative == 0:
            return
        z = precondition(residual)
        product, previous = dot(residual, z), product
        direction = z + torch.where(previous > 0, product / previous, 0) * direction
