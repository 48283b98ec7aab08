"""Preconditioned Chebyshev iteration, as a generator: conjugate gradients without inner products.

Conjugate gradients choose their step lengths from inner products over the whole picture, so that a pixel's value
after a few steps depends on what lies at the other end, and a tile is not restored as it is within its picture. Here
the step lengths are constants: what a pixel becomes depends on its neighbourhood alone, tiles agree with the whole,
and nothing waits for a sum over all pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from deblur.restoration.problem import channel_norms
from deblur.restoration.restorer import Iterate

__all__ = ["chebyshev"]

LOWEST = 0.003
"""Eigenvalue from which errors fall quickly; smaller means more steps for the same fall, and more of the border."""


def chebyshev(
    apply: Callable[[Tensor], Tensor],
    right: Tensor,
    start: Tensor | None,
    precondition: Callable[[Tensor], Tensor],
    lowest: float = LOWEST,
    scale: Tensor | None = None,
) -> Iterator[Iterate]:
    """Solve apply(x) = right from `start` (None: 0), where precondition(apply(.)) has its eigenvalues in (0, 1].

    The first step has length 1, which ends the error wherever the eigenvalue is 1: away from the borders, for the
    systems of `NormalEquations`. The others are those of Chebyshev's semi-iteration on [lowest, 1] (Golub and
    Varga 1961): after n of them errors of an eigenvalue in that interval have fallen at least by
    cosh(n arccosh((1 + lowest) / (1 - lowest))), and smaller ones have not grown.

    Yields an estimate after every step; its residual is max over channels of ||right - apply(x)|| / ||right|| *before*
    the step, which costs nothing; `scale` gives other norms to divide by, one a channel.

    Example:
        >>> shares = torch.tensor([[1.0, 0.5]])
        >>> steps = chebyshev(lambda x: shares * x, torch.ones(1, 2), torch.zeros(1, 2), lambda r: r, lowest=0.1)
        >>> [next(steps).scene for _ in range(20)][-1]
        tensor([[1.0000, 2.0000]])
    """
    scale = (channel_norms(right) if scale is None else scale).clamp_min(1e-30)
    theta, delta = (1 + lowest) / 2, (1 - lowest) / 2
    x, residual = (torch.zeros_like(right), right) if start is None else (start, right - apply(start))
    move = torch.zeros_like(right)
    del start  # a caller that lets go of what was yielded holds two pictures
    rho, damping, length = 0.0, 0.0, 1.0
    while True:
        relative = float((channel_norms(residual) / scale).max())
        move = move.mul_(damping).add_(precondition(residual), alpha=length)
        x = x + move
        del residual
        yield Iterate(x, relative)
        # Three-term recurrence of the Chebyshev polynomials of [lowest, 1], begun anew after the unit step.
        if rho == 0:
            rho, damping, length = delta / theta, 0.0, 1 / theta
        else:
            following = 1 / (2 * theta / delta - rho)
            damping, length = following * rho, 2 * following / delta
            rho = following
        residual = apply(x)
        torch.sub(right, residual, out=residual)
