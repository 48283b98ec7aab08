"""The quadratic step that every method shares: (K^T W K + q R) x = right, with an unknown boundary.

K is the blur of a `Problem`, W its mask, R a sum of squared filters given by its symbol R(w) >= 0 on the operator's
grid, q >= 0 its weight. K^T W K is not a convolution (the frame ends; pixels are masked), so the system is solved by
conjugate gradients, preconditioned by the inverse of the convolution K^T K + q R.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor
from torch.fft import irfft2, rfft2

from deblur.restoration.base import Estimate, Problem
from deblur.restoration.conjugate_gradients import conjugate_gradients
from deblur.restoration.preconditioners import PRECONDITIONERS, Precondition
from deblur.restoration.symbols import Symbol, on_grid

__all__ = ["NormalEquations"]


@dataclass(frozen=True)
class NormalEquations:
    """The system of one problem, one regulariser and one weight.

    Args:
        problem: blurred frame, psf, boundary, mask and the preconditioner's name.
        symbol: the regulariser R.
        q: its weight relative to the data term.
    """

    problem: Problem
    symbol: Symbol
    q: float

    @cached_property
    def _regulariser(self) -> Tensor:
        return self.q * on_grid(self.symbol, self.problem.blur.grid, self.problem.blur.psf)

    @cached_property
    def _precondition(self) -> Precondition:
        return PRECONDITIONERS[self.problem.preconditioner](self.problem.blur, self.symbol, self.q)

    @cached_property
    def data(self) -> Tensor:
        """K^T W y, the data's part of the right-hand side."""
        return self.problem.blur.adjoint(self.problem.masked(self.problem.blurred))

    def apply(self, scene: Tensor) -> Tensor:
        """(K^T W K + q R) x."""
        blur = self.problem.blur
        spectrum = rfft2(blur.to_grid(scene))
        blurred = blur.visible(irfft2(blur.spectrum * spectrum, s=blur.grid))
        result = blur.spectrum.conj() * rfft2(blur.embed(self.problem.masked(blurred)))
        return blur.from_grid(irfft2(result.addcmul_(self._regulariser, spectrum), s=blur.grid))

    def solve(self, right: Tensor, start: Tensor) -> Iterator[Estimate]:
        """Conjugate gradients from `start`, one estimate per step."""
        return conjugate_gradients(self.apply, right, start, self._precondition)
