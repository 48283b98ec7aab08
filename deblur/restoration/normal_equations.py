"""The quadratic step that every method shares: (K^T W K + q R) x = right, with an unknown boundary.

K is the blur of a `Problem`, W its mask, R a sum of squared filters given by its symbol R(w) >= 0 on the operator's
grid, q >= 0 its weight. K^T W K is not a convolution (the frame ends; pixels are masked), so the system is solved by
conjugate gradients, preconditioned by the inverse of the convolution K^T K + q R.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
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
        return blur.from_grid(irfft2(self._apply_to_spectrum(rfft2(blur.to_grid(scene))), s=blur.grid))

    def _apply_to_spectrum(self, spectrum: Tensor) -> Tensor:
        """The same from half spectrum to half spectrum of the grid, for a scene that is the grid."""
        blur = self.problem.blur
        blurred = self.problem.masked(blur.visible(irfft2(blur.spectrum * spectrum, s=blur.grid)))
        data: Tensor = blur.spectrum.conj() * rfft2(blur.embed(blurred))
        return data.addcmul_(self._regulariser, spectrum)

    def solve(self, right: Tensor, start: Tensor) -> Iterator[Estimate]:
        """Conjugate gradients from `start`, one estimate per step."""
        iterate, scene = self._system(right, start)
        return (Estimate(scene(estimate.scene), estimate.residual) for estimate in iterate)

    def refine(self, right: Tensor, start: Tensor, steps: int, tolerance: float) -> Estimate:
        """The estimate after so many steps of `solve`, or at the first whose residual is within the tolerance."""
        iterate, scene = self._system(right, start)
        estimate = next(iterate)
        for _ in range(steps - 1):
            if estimate.residual <= tolerance:
                break
            estimate = next(iterate, estimate)
        return Estimate(scene(estimate.scene), estimate.residual)

    def _system(self, right: Tensor, start: Tensor) -> tuple[Iterator[Estimate], Callable[[Tensor], Tensor]]:
        """The iteration, and the map from its unknowns to the scene.

        Where the scene is the grid and the preconditioner a convolution, the unknowns are half spectra: two Fourier
        transforms a step instead of six. The inner product is Parseval's, every column but the first (and, for even
        widths, the last) standing for two.
        """
        blur = self.problem.blur
        if not (blur.free and self.problem.preconditioner == "circulant"):
            return conjugate_gradients(self.apply, right, start, self._precondition), lambda scene: scene
        inverse = 1 / (blur.spectrum.abs().square() + self._regulariser)
        count = right.new_full((blur.spectrum.shape[-1],), 2.0)
        count[0] = 1
        if blur.grid[1] % 2 == 0:
            count[-1] = 1

        def dot(a: Tensor, b: Tensor) -> Tensor:
            return torch.sum((a.real * b.real + a.imag * b.imag) * count, dim=(-2, -1), keepdim=True)

        iterate = conjugate_gradients(
            self._apply_to_spectrum, rfft2(right), rfft2(start), lambda residual: inverse * residual, dot
        )
        return iterate, lambda spectrum: irfft2(spectrum, s=blur.grid)
