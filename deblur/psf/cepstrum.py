"""Spectral factorisation by the cepstrum: P = A^T A B^T B with quarter-plane, minimum-phase A and B.

The symbol of the normal operator, P(w) = |K(w)|^2 + q |L(w)|^2 > 0, has a real and even logarithm, and so is its
cepstrum c = F^-1[log P]. Give the lags of each quadrant to a factor of their own, half of an axis to each of the two
quadrants beside it, a quarter of the origin to each; opposite quadrants hold the same numbers, so two factors and their
adjoints say it all:

    log P = log A + log A* + log B + log B*
    A = exp F[c on the top-left quadrant],    B = exp F[c on the top-right quadrant]

A and B are masked convolutions whose exact inverse is stable (`deblur.ops.quarter_plane`). Their taps decay
exponentially, the faster the larger q.

All of this on a periodic grid. Where it is too small the cepstrum's tails fold over (aliasing) and the product misses P
between the grid's own frequencies; so `error` looks at twice as fine a grid.

The idea in one dimension is Kolmogorov's (1939); in two: Ekstrom and Woods, Two-dimensional spectral factorization with
applications in recursive digital filtering, IEEE Trans. ASSP 24 (1976), 115-128.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from deblur.errors import UnstableInverseError
from deblur.ops.quarter_plane import quarter_plane

__all__ = ["Symbol", "changed", "error", "factors", "spectrum", "trim"]

Symbol = Callable[[Tensor, Tensor], Tensor]


def spectrum(kernel: Tensor, q: float, symbol: Symbol, grid: int) -> Tensor:
    """P on the half spectrum of a grid: (C, grid, grid // 2 + 1)."""
    w = 2 * math.pi / grid * torch.arange(grid, dtype=torch.float64)
    power = _power(kernel.reshape(-1, *kernel.shape[-2:]), grid)
    if q:
        power += q * symbol(w[:, None], w[None, : grid // 2 + 1])
    if not power.min() > 1e-13 * power.max():
        raise UnstableInverseError(
            f"the blur's spectrum has zeros, which the regulariser's weight {q:g} does not fill; give a larger q"
        )
    return power


def _power(taps: Tensor, grid: int) -> Tensor:
    """|spectrum|^2 of (C, r, s) taps on the half grid; where the taps lie does not matter."""
    rows = torch.fft.rfft(taps, n=grid, dim=-1)  # before the columns: most rows of the grid are empty
    both = torch.fft.fft(rows, n=grid, dim=-2)
    power: Tensor = both.real.square().add_(both.imag.square())
    return power


def factors(power: Tensor) -> tuple[Tensor, Tensor]:
    """The taps of A and B for P on a half grid, uncut: (C, grid, grid) each, `[..., a, b]` a rows, b columns away."""
    grid = power.shape[-2]
    cepstrum = torch.fft.irfft2(power.log(), s=(grid, grid))
    mirrored = cepstrum.flip(-1).roll(1, -1)
    return quarter_plane(cepstrum), quarter_plane(mirrored)


def error(a: Tensor, b: Tensor, target: Tensor) -> float:
    """max |A^T A B^T B / P - 1| of (C, r, r) taps, on the target's grid."""
    grid = target.shape[-2]
    product = _power(a, grid).mul_(_power(b.flip(-2), grid))  # B looks up and right: its rows run the other way
    return float(product.div_(target).sub_(1).abs_().max())


def trim(taps: Tensor, whole: Tensor, loss: float) -> Tensor:
    """Leave out the last rows and columns of (C, r, r) taps, as far as |A| changes nowhere by more than 2 loss |A|.

    Taps that sum to s in magnitude change no frequency by more than s. Motion, all in one direction, keeps few rows.
    """
    allowed = loss * float(torch.fft.rfft2(whole).abs().min())
    magnitude = taps.abs().amax(0)
    kept = []
    for axis in (1, 0):
        tails = magnitude.sum(axis).flip(0).cumsum(0).flip(0)
        kept.append(max(int((tails > allowed).sum()), 1))
    return taps[:, : kept[0], : kept[1]].contiguous()


def changed(cut: Tensor, whole: Tensor) -> float:
    """max |A_r / A - 1|, on the grid of the whole factor: below 1, cutting kept the factor minimum-phase."""
    before, after = torch.fft.rfft2(whole), torch.fft.rfft2(cut, s=whole.shape[-2:])
    return float(((after - before).abs() / before.abs()).max())
