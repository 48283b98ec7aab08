"""The quadratic step that every method shares: (K^T W K + q R) x = right, with an unknown boundary.

K is the blur of a `Problem`, W its mask and weights, R a sum of squared filters given by its symbol R(w) >= 0 on the
operator's grid, q >= 0 its weight. K^T W K is not a convolution (the frame ends; pixels are masked), so the system is
solved step by step, preconditioned by an inverse of the convolution P = K^T K + q R.

Where the scene is the grid and the preconditioner P^-1 itself, no eigenvalue of P^-1 (K^T W K + q R) is above 1
(K^T W K <= K^T K), so constant step lengths serve: Chebyshev's, on half spectra. Elsewhere the eigenvalues are not
known beforehand, and conjugate gradients find their own.

The channels are independent systems. Steps on half spectra are taken one channel at a time, so that what they need
beside right-hand side and scene is that of one channel.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor
from torch.fft import irfft2, rfft2

from deblur.psf.operator import each_channel, of_channel
from deblur.restoration import conjugate_gradients
from deblur.restoration.chebyshev import chebyshev
from deblur.restoration.preconditioners import PRECONDITIONERS, Precondition, inverse_symbol
from deblur.restoration.problem import ALL, Problem
from deblur.restoration.restorer import Iterate
from deblur.restoration.symbols import Symbol, on_grid

__all__ = ["NormalEquations"]


@dataclass(frozen=True)
class NormalEquations:
    """The system of one problem, one regulariser and one weight.

    Args:
        problem: blurred frame, kernel, boundary, mask, weights and the preconditioner's name.
        symbol: the regulariser R.
        q: its weight relative to the data term.
    """

    problem: Problem
    symbol: Symbol
    q: float

    @cached_property
    def _regulariser(self) -> Tensor:
        return self.q * on_grid(self.symbol, self.problem.blur.grid, self.problem.blur.taps)

    @cached_property
    def _inverse(self) -> Tensor:
        return inverse_symbol(self.problem.blur, self.symbol, self.q)

    @cached_property
    def _precondition(self) -> Precondition:
        return PRECONDITIONERS[self.problem.preconditioner](self.problem.blur, self.symbol, self.q)

    def __call__(self, scene: Tensor) -> Tensor:
        """(K^T W K + q R) x."""
        blur = self.problem.blur
        if blur.period == blur.grid:
            return blur.from_grid(self._from_spectrum(self._apply_to_spectrum(rfft2(blur.to_grid(scene)))))
        seen = blur.adjoint(self.problem.masked(blur(scene)))
        regulariser = on_grid(self.symbol, blur.period, blur.taps)
        return seen.add_(blur.fold(irfft2(regulariser * rfft2(blur.unfold(scene)), s=blur.period)), alpha=self.q)

    def _apply_to_spectrum(self, spectrum: Tensor, channel: slice = ALL) -> Tensor:
        """The same from half spectrum to half spectrum of the grid, for all channels or one."""
        blur = self.problem.blur
        transfer = of_channel(blur.spectrum, channel)
        blurred = blur.hide(self._from_spectrum(transfer * spectrum))
        self.problem.masked(blur.visible(blurred), channel)
        data: Tensor = rfft2(blurred).mul_(transfer.conj())
        return data.addcmul_(self._regulariser, spectrum)

    @property
    def _spectral(self) -> bool:
        """Whether the scene is the grid and the preconditioner P^-1."""
        return self.problem.blur.free and self.problem.preconditioner == "circulant"

    def solve(self, right: Tensor, start: Tensor) -> Iterator[Iterate]:
        """Iterate from `start`, one estimate per step; the residuals are relative to `right`."""
        yield from self._solve(right, start, None)

    def correct(self, scene: Tensor, pull: Tensor) -> Iterator[Iterate]:
        """The same from a scene, by what is added to it: rounding errors are a share of what is small (see `refine`).

        Args:
            scene: (C, *blur.scene).
            pull: -F^T F of it, on the grid of priors.
        """
        blur = self.problem.blur
        right = blur.fold(pull).mul_(self.q).add_(blur.adjoint(self.problem.masked(self.problem.blurred - blur(scene))))
        for estimate in self._solve(right, None, self.problem.scale):
            yield Iterate(estimate.scene.add_(scene) if self._spectral else estimate.scene + scene, estimate.residual)

    def _solve(self, right: Tensor, start: Tensor | None, scale: Tensor | None) -> Iterator[Iterate]:
        if not self._spectral:
            start = torch.zeros_like(right) if start is None else start
            sizes = None if scale is None else scale[:, None, None]
            yield from conjugate_gradients.solve(self, right, start, self._precondition, scale=sizes)
            return
        grown = None if scale is None else scale * math.sqrt(math.prod(self.problem.blur.grid))  # of a spectrum
        iterates = [
            self._iterate(
                channel,
                rfft2(right[channel]),
                None if start is None else rfft2(start[channel]),
                None if grown is None else grown[channel],
            )
            for channel in each_channel(right)
        ]
        del right, start  # both are there as spectra
        for estimates in zip(*iterates, strict=True):
            scene = estimates[0].scene.real.new_empty(len(estimates), *self.problem.blur.grid)
            for plane, estimate in zip(scene, estimates, strict=True):
                plane.copy_(self._from_spectrum(estimate.scene)[0])
            yield Iterate(scene, max(estimate.residual for estimate in estimates))
            del scene

    def refine(self, scene: Tensor, misfit: Tensor, pull: Tensor, steps: int) -> Iterate:
        """The estimate after so many steps from `scene` with the right-hand side K^T W y + q F^T z.

        The correction d that is added to x = `scene` is what is solved for,

            (K^T W K + q R) d = K^T W (y - K x) + q F^T (z - F x),

        so that rounding errors are a share of what is small. Solved for as a whole, x is off by those of K^T W K x,
        which the inverse multiplies where the kernel's spectrum is near zero.

        The residual is relative to K^T W y.

        Args:
            scene: (C, *blur.scene).
            misfit: W (y - K x), (C, H, W); brought up to date in place.
            pull: F^T (z - F x) on the grid of priors, (C, *blur.period); where the scene is the grid, its memory
                becomes that of the estimate.
            steps: of `solve`.
        """
        blur = self.problem.blur
        if not self._spectral:
            right = blur.fold(pull).mul_(self.q).add_(blur.adjoint(misfit))
            scale = self.problem.scale[:, None, None]
            start = torch.zeros_like(right)
            last = _last(conjugate_gradients.solve(self, right, start, self._precondition, scale=scale), steps)
            misfit.sub_(self.problem.masked(blur(last.scene)))
            return Iterate(scene + last.scene, last.residual)
        if blur.boundary == "circular" and not self.problem.masks:
            steps = 1  # the preconditioner is the inverse
        residual, scale = 0.0, self.problem.scale * math.sqrt(math.prod(blur.grid))  # of a spectrum
        for channel in each_channel(scene):
            transfer = of_channel(blur.spectrum, channel)
            right = rfft2(blur.embed(misfit[channel])).mul_(transfer.conj()).add_(rfft2(pull[channel]), alpha=self.q)
            last = _last(self._iterate(channel, right, None, scale[channel]), steps)
            residual = max(residual, last.residual)
            torch.add(scene[channel], self._from_spectrum(last.scene), out=pull[channel])
            change = blur.visible(self._from_spectrum(last.scene.mul_(transfer)))
            misfit[channel].sub_(self.problem.masked(change, channel))
        return Iterate(pull, residual)

    def _iterate(
        self, channel: slice, right: Tensor, start: Tensor | None, scale: Tensor | None = None
    ) -> Iterator[Iterate]:
        """The iteration of one channel on half spectra: two Fourier transforms a step instead of six."""
        inverse = of_channel(self._inverse, channel)
        return chebyshev(partial(self._apply_to_spectrum, channel=channel), right, start, inverse.mul, scale=scale)

    def _from_spectrum(self, spectrum: Tensor) -> Tensor:
        scene: Tensor = irfft2(spectrum, s=self.problem.blur.grid)
        return scene


def _last(iterate: Iterator[Iterate], steps: int) -> Iterate:
    """The estimate of step `steps`, or of the last before it; those before are let go at once."""
    return deque(itertools.islice(iterate, steps), maxlen=1).pop()
