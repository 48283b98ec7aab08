"""Refinement at full size: alternate the posterior of the scene's gradients and the kernel, with an unknown border.

The gradients x_c of the scene (c: across, down) have a heavy-tailed prior, a mixture of Gaussians over all variances
(Levin, Weiss, Durand and Freeman, Efficient marginal likelihood optimization in blind deconvolution, CVPR 2011; Babacan
et al. 2012 for the scale-free one). Given the precisions w_c of this mixture the posterior of x_c is Gaussian, its mean

    (K^T M K / lambda + diag w_c) x_c = K^T M d_c / lambda

with d_c the frame's differences, M what of them was observed, lambda their noise and the model's error. Its covariance
C_c, of which the diagonal P = 1 / (corr(k^2, M) / lambda + w_c) is kept, enters the next precisions,

    w_c = 1 / (x_c^2 + 6 P),

so that a gradient that is not certain is not believed to be an edge: what keeps the descent of this bound on the
marginal likelihood away from the no-blur kernel that the joint maximum over x and k prefers. The kernel step is

    k = argmin over k >= 0 of  sum_c ||M (x_c * k - d_c)||^2 + prox e ||k - k_old||^2,      e = sum M x^2

on the taps that the kernel has and their neighbours. Where nothing is assumed about the border, the scene is larger
than the frame. It must stop early: the bound's own optimum is too sharp where C is only approximated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2

from deblur.estimation.blind import taps
from deblur.estimation.blind.kernel_step import conjugate_gradients
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
            kernel = self._kernel_step(posteriors, kernel)
        return taps.prune(kernel, floor=0.03)

    def _kernel_step(self, posteriors: Sequence[Posterior], old: Array) -> Array:
        hold = np.float32(self.prox * sum(p.energy() for p in posteriors))
        forms = [p.kernel_equations(old.shape[0]) for p in posteriors]
        right = hold * old + sum(form.right for form in forms)
        free = taps.dilate(taps.prune(old, floor=self.floor))
        kernel = old
        for _ in range(4):
            mask = free.astype(np.float32)

            def matrix(k: Array, mask: Array = mask) -> Array:
                return np.asarray(mask * (hold * k + sum(form.apply(k) for form in forms)), dtype=np.float32)

            kernel = conjugate_gradients(matrix, mask * right, mask * kernel, 12, 1e-4)
            if not (kernel < 0).any():
                break
            free = free & (kernel >= 0)
        return taps.normalised(np.maximum(kernel, 0))


@dataclass
class Posterior:
    """The scene's gradients of one frame: mean, variance and precision, (2, H', W') on a grid grown by the kernel."""

    plane: Plane
    size: int
    inner: int
    mean: Array = field(init=False)
    precision: Array = field(init=False)
    variance: Array = field(init=False)

    def __post_init__(self) -> None:
        values, believed = self.plane.values, self.plane.believed
        seen = np.ones_like(values) if believed is None else believed
        height, width = values.shape
        self.grid = (_fast(height + self.size - 1), _fast(width + self.size - 1))
        before = self.size - 1 - self.size // 2
        self.data, self.seen, self.inside = (np.zeros((2, *self.grid), np.float32) for _ in range(3))
        for c, (rows, columns) in enumerate(((height, width - 1), (height - 1, width))):
            frame = (c, slice(before, before + rows), slice(before, before + columns))
            both = seen[:rows, :columns] * seen[height - rows :, width - columns :]
            self.data[frame] = (values[height - rows :, width - columns :] - values[:rows, :columns]) * both
            self.seen[frame] = both
            self.inside[c, : rows + self.size - 1, : columns + self.size - 1] = 1
        power = np.maximum((self.data**2).sum((1, 2)) / np.maximum(self.seen.sum((1, 2)), 1), 1e-12)
        self.mean, self.variance = self.data.copy(), np.zeros_like(self.data)
        self.precision = np.broadcast_to((1 / power).astype(np.float32)[:, None, None], self.data.shape)

    def update(self, kernel: Array, weight: float) -> None:
        """The mean for the precisions at hand, then the precisions for the mean and its variance."""
        grid, lam = self.grid, np.float32(weight)
        blur = transfer(kernel, grid)
        variance = self._variance(kernel, lam)

        def adjoint(frame: Array) -> Array:
            return np.asarray(irfft2(blur.conj() * rfft2(frame), s=grid), dtype=np.float32) / lam

        def matrix(x: Array) -> Array:
            return (adjoint(self.seen * irfft2(blur * rfft2(x), s=grid)) + self.precision * x) * self.inside

        x = self.mean.copy()
        residual: Array = adjoint(self.data) * self.inside - matrix(x)
        z: Array = variance * residual
        direction, norm = z, _dot(residual, z)
        for _ in range(self.inner):
            image = matrix(direction)
            length = norm / np.maximum(_dot(direction, image), 1e-30)
            x += length * direction
            residual -= length * image
            z = np.asarray(variance * residual, dtype=np.float32)
            previous, norm = norm, _dot(residual, z)
            direction = np.asarray(z + norm / np.maximum(previous, 1e-30) * direction, dtype=np.float32)
        self.mean, self.variance = x, variance
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

    def misfit(self, kernel: Array) -> float:
        """Sum of the squared differences between the blurred mean and the frame, where that was observed."""
        blurred = irfft2(transfer(kernel, self.grid) * rfft2(self.mean), s=self.grid)
        error = self.seen * blurred - self.data
        return float(np.vdot(error, error))

    def energy(self) -> float:
        """Sum of the squared gradients that were observed."""
        return float((self.seen * self.mean**2).sum())

    def kernel_equations(self, size: int) -> _Form:
        """The normal equations of the kernel given the mean."""
        return _Form(np.asarray(rfft2(self.mean), dtype=np.complex64), self.seen, self.data, size)


class _Form:
    """x^T M x as a map of kernels, and x^T M d, by Fourier transforms of the whole grid."""

    def __init__(self, scene: np.ndarray, seen: Array, data: Array, size: int) -> None:
        self.grid: tuple[int, int] = (seen.shape[1], seen.shape[2])
        self.scene, self.seen = scene, seen
        lags = np.arange(size) - size // 2
        self.window = np.ix_(lags % self.grid[0], lags % self.grid[1])
        self.right = self._correlate(data)

    def apply(self, kernel: Array) -> Array:
        placed = np.zeros(self.grid, np.float32)
        placed[self.window] = kernel
        return self._correlate(self.seen * irfft2(self.scene * rfft2(placed), s=self.grid))

    def _correlate(self, frame: Array) -> Array:
        return np.asarray(irfft2((self.scene.conj() * rfft2(frame)).sum(0), s=self.grid)[self.window], np.float32)


def _fast(length: int) -> int:
    return int(next_fast_len(length, real=True))


def _dot(a: Array, b: Array) -> Array:
    return np.asarray((a * b).sum((1, 2), keepdims=True), dtype=np.float32)
