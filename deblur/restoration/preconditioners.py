"""Preconditioners of the normal equations: approximate inverses of P = K^T K + q R where the frame has no border.

A preconditioner maps a residual (C, *blur.scene) to a correction and is symmetric positive definite. A new one is a
function here and a line in `PRECONDITIONERS`.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.fft import irfft2, rfft2

from deblur.psf.factorization import factorize
from deblur.psf.operator import Blur
from deblur.restoration.symbols import Symbol, on_grid

__all__ = ["PRECONDITIONERS", "Precondition", "circulant", "four_quadrant", "inverse_symbol"]

Precondition = Callable[[Tensor], Tensor]

TOLERANCE = 3.0
"""Of the factorisation: as a preconditioner an error of order 1 does, and every tap costs time in every step."""


def _inner(blur: Blur, inverse: Callable[[Tensor], Tensor]) -> Precondition:
    """Apply an inverse that lives on the grid to a scene: as it is, or through a border of zeros and a cut."""
    return inverse if blur.free else lambda residual: blur.visible(inverse(blur.embed(residual)))


def inverse_symbol(blur: Blur, symbol: Symbol, q: float) -> Tensor:
    """1 / (|K|^2 + q R) on the half spectrum of the operator's grid."""
    return 1 / (blur.spectrum.abs().square() + q * on_grid(symbol, blur.grid, blur.taps))


def circulant(blur: Blur, symbol: Symbol, q: float) -> Precondition:
    """P^-1 by FFT on the operator's grid."""
    inverse = inverse_symbol(blur, symbol, q)
    return _inner(blur, lambda residual: irfft2(inverse * rfft2(residual), s=blur.grid))


def four_quadrant(blur: Blur, symbol: Symbol, q: float) -> Precondition:
    """Four exact wavefront inverses of masked convolutions (mathematics in `deblur.psf.factorization`).

    Falls back to `circulant` where a factor's inverse is not proved stable.
    """
    factors = factorize(blur.taps.double().cpu().numpy(), q, tolerance=TOLERANCE, regulariser=symbol)
    if not factors.stable:
        return circulant(blur, symbol, q)
    return lambda residual: factors.solve(residual[None])[0]


PRECONDITIONERS: dict[str, Callable[[Blur, Symbol, float], Precondition]] = {
    "four-quadrant": four_quadrant,
    "circulant": circulant,
}
