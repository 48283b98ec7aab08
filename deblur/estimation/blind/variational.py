"""Refinement at full size: alternate the posterior of the scene's gradients and the kernel, with an unknown border.

The gradients x_c of the scene (c: across, down) have a heavy-tailed prior, a mixture of Gaussians over all variances
(Levin, Weiss, Durand and Freeman, Efficient marginal likelihood optimization in blind deconvolution, CVPR 2011; Babacan
et al. 2012 for the scale-free one). Given the precisions w_c of this mixture the posterior of x_c is Gaussian, its mean

    (K^T M K / lambda + diag w_c) x_c = K^T M d_c / lambda

with d_c the frame's differences, M what of them was observed, lambda their noise and the model's error. Its covariance
C_c, of which the diagonal P = 1 / (corr(k^2, M) / lambda + w_c) is kept, enters the next precisions,

    w_c = 1 / (x_c^2 + 6 P),

so that a gradient that is not certain is not believed to be an edge: what keeps the descent of this bound on the
marginal likelihood away from the no-blur kernel that the joint maximum over x and k prefers. The kernel step is that of
`gradients`. It must stop early: the bound's own optimum is too sharp where C is only approximated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from scipy.fft import irfft2, rfft2

from deblur.conjugate_gradients import conjugate_gradients
from deblur.estimation.blind import taps
from deblur.estimation.blind.gradients import Gradients, next_kernel
from deblur.estimation.blind.periodic import Array, transfer
from deblur.estimation.blind.pyramid import Plane

__all__ = ["Posterior", "Variational"]


@dataclass(frozen=True, kw_only=True)
class Variational:
    """Settings of the refinement.

    Args:
        passes: alternations.
        warm: rounds of x and w before the first kernel step.
        first, last: lambda, geometrically from the one to the other.
        prox: how much the old kernel holds the new one; larger is slower and safer.
        floor: taps below this share of the largest, and not beside a larger one, are not free.
        inner: conjugate-gradient steps for x.
    """

    passes: int = 4
    warm: int = 2
    first: float = 1e-4
    last: float = 5e-5
    prox: float = 0.3
    floor: float = 0.05
    inner: int = 20

    def __call__(self, planes: Sequence[Plane], kernel: Array) -> Array:
        """Refine a kernel (k, k); its sum stays 1, its centroid may move by a fraction of a pixel."""
        posteriors = [Posterior(plane, kernel.shape[0], self.inner) for plane in planes]
        for _ in range(self.warm):
            for posterior in posteriors:
                posterior.update(kernel, self.first)
        for weight in np.geomspace(self.first, self.last, self.passes):
            for posterior in posteriors:
                posterior.update(kernel, float(weight))
            kernel = next_kernel(posteriors, kernel, self.prox, self.floor)
        return taps.prune(kernel, floor=0.03)


class Posterior(Gradients):
    """The posterior of one frame's scene: the mean of its gradients, their variance and precision, (2, H', W') each.

    Args:
        plane: the frame.
        size: side of the kernel.
        inner: conjugate-gradient steps for the mean.
    """

    def __init__(self, plane: Plane, size: int, inner: int) -> None:
        super().__init__(plane, size)
        self.inner = inner
        power = np.maximum((self.data**2).sum((1, 2)) / np.maximum(self.seen.sum((1, 2)), 1), 1e-12)
        self.variance = np.zeros_like(self.data)
        self.precision: Array = np.broadcast_to((1 / power).astype(np.float32)[:, None, None], self.data.shape)

    def update(self, kernel: Array, weight: float) -> None:
        """The mean for the precisions at hand, then the precisions for the mean and its variance."""
        grid, lam = self.grid, np.float32(weight)
        blur = transfer(kernel, grid)
        variance = self._variance(kernel, lam)

        def adjoint(frame: Array) -> Array:
            return np.asarray(irfft2(blur.conj() * rfft2(frame), s=grid), dtype=np.float32) / lam

        def matrix(x: Array) -> Array:
            return (adjoint(self.seen * irfft2(blur * rfft2(x), s=grid)) + self.precision * x) * self.inside

        right = adjoint(self.data) * self.inside
        steps = conjugate_gradients(matrix, right, self.mean, _dot, lambda residual: variance * residual)
        (self.mean, _), self.variance = next(islice(steps, self.inner, None)), variance
        self._precisions()

    def weigh(self, scene: Array, kernel: Array, weight: float) -> None:
        """Take a scene for the mean: its variance under the old precisions, then new ones."""
        self.mean, self.variance = scene, self._variance(kernel, np.float32(weight))
        self._precisions()

    def _variance(self, kernel: Array, lam: np.float32) -> Array:
        seen = irfft2(transfer(kernel * kernel, self.grid).conj() * rfft2(self.seen), s=self.grid)
        return np.asarray(self.inside / (np.maximum(seen, 0) / lam + self.precision), dtype=np.float32)

    def _precisions(self) -> None:
        power = self.mean * self.mean + 6 * self.variance + np.float32(1e-12)
        self.precision = np.asarray(1 / power, dtype=np.float32)


def _dot(a: Array, b: Array) -> Array:
    return np.asarray((a * b).sum((1, 2), keepdims=True), dtype=np.float32)
