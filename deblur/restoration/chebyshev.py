"""Preconditioned Chebyshev iteration, as a generator: conjugate gradients without inner products.

Conjugate gradients choose their step lengths from inner products over the whole picture, so that a pixel's value
after a few steps depends on what lies at the other end, and a tile is not restored as it is within its picture. Here
the step lengths are constants: what a pixel becomes depends on its neighbourhood alone, tiles agree with the whole,
and nothing waits for a sum over all pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from deblur.restoration.problem import channel_norms
from deblur.restoration.restorer import Iterate

__all__ = ["chebyshev", "step_lengths"]

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
    x, residual = (torch.zeros_like(right), right) if start is None else (start, right - apply(start))
    move = torch.zeros_like(right)
    del start  # a caller that lets go of what was yielded holds two pictures
    # begun anew after the unit step
    for length, damping in itertools.chain([(1.0, 0.0)], step_lengths(lowest, 1.0)):
        relative = float((channel_norms(residual) / scale).max())
        move = move.mul_(damping).add_(precondition(residual), alpha=length)
        x = x + move
        del residual
        yield Iterate(x, relative)
        residual = apply(x)
        torch.sub(right, residual, out=residual)


def step_lengths(lowest: float, highest: float) -> Iterator[tuple[float, float]]:
    """The lengths of the steps for eigenvalues in [lowest, highest], each with the share of the last move kept.

    It is the three-term recurrence of the Chebyshev polynomials of that interval.

    Example:
        >>> lengths = step_lengths(0.5, 1.5)
        >>> next(lengths), next(lengths)
        ((1.0, 0.0), (1.1428571428571428, 0.14285714285714285))
    """
    theta, delta = (highest + lowest) / 2, (highest - lowest) / 2
    rho = delta / theta
    yield 1 / theta, 0.0
    while True:
        following = 1 / (2 * theta / delta - rho)
        yield 2 * following / delta, following * rho
        rho = following
