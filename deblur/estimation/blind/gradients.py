"""A frame and its scene by their differences, with an unknown border: what a refinement fits a kernel to.

    k = argmin over k >= 0 of  sum_c ||M (x_c * k - d_c)||^2 + prox e ||k - k_old||^2,      e = sum M x^2

with x_c the scene's differences (c: across, down), d_c the frame's, M what of them was observed. The scene is larger
than the frame by what the kernel reaches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.fft import irfft2, rfft2

from deblur.estimation.blind import taps
from deblur.estimation.blind.kernel_step import solved
from deblur.estimation.blind.periodic import Array, transfer
from deblur.estimation.blind.pyramid import Plane
from deblur.fourier import fast_length

__all__ = ["Gradients", "next_kernel"]


class Gradients:
    """The differences of one frame, and of its scene so far.

    Args:
        plane: the frame, (H, W).
        size: side of the kernel, odd.

    Attributes:
        grid: (H', W'), the frame grown by the kernel, or a little more.
        data: (2, H', W'), the frame's differences across and down, 0 where there are none.
        seen: 1 where they were observed, else 0.
        inside: 1 where the scene may differ from 0.
        mean: the scene's differences; the frame's at first.

    Example:
        >>> field = Gradients(Plane(np.eye(40, dtype=np.float32)), 5)
        >>> field.mean = field.differences(np.eye(44, dtype=np.float32))
        >>> delta = np.zeros((5, 5), np.float32)
        >>> delta[2, 2] = 1
        >>> round(field.misfit(delta), 6)
        0.0
    """

    def __init__(self, plane: Plane, size: int) -> None:
        self.plane, self.size = plane, size
        values, believed = plane.values, plane.believed
        seen = np.ones_like(values) if believed is None else believed
        height, width = values.shape
        self.grid = fast_length(height + size - 1), fast_length(width + size - 1)
        before = size - 1 - size // 2
        self.data, self.seen, self.inside = (np.zeros((2, *self.grid), np.float32) for _ in range(3))
        for c, (rows, columns) in enumerate(_sides(height, width)):
            frame = (c, slice(before, before + rows), slice(before, before + columns))
            both = seen[:rows, :columns] * seen[height - rows :, width - columns :]
            self.data[frame] = (values[height - rows :, width - columns :] - values[:rows, :columns]) * both
            self.seen[frame] = both
            self.inside[c, : rows + size - 1, : columns + size - 1] = 1
        self.mean = self.data.copy()

    def differences(self, scene: Array) -> Array:
        """Those of a scene, of which the frame shows what begins at pixel (size - 1 - size // 2) of both axes."""
        height, width = (n + self.size - 1 for n in self.plane.values.shape)
        result = np.zeros_like(self.data)
        for c, (rows, columns) in enumerate(_sides(height, width)):
            part = scene[height - rows : height, width - columns : width] - scene[:rows, :columns]
            result[c, :rows, :columns] = part
        return result

    def misfit(self, kernel: Array) -> float:
        """Sum of the squared differences between the blurred mean and the frame, where that was observed."""
        blurred = irfft2(transfer(kernel, self.grid) * rfft2(self.mean), s=self.grid)
        error = self.seen * blurred - self.data
        return float(np.vdot(error, error))

    def energy(self) -> float:
        """Sum of the squared gradients that were observed."""
        return float((self.seen * self.mean**2).sum())

    def kernel_equations(self) -> _Form:
        """The normal equations of the kernel given the mean."""
        return _Form(np.asarray(rfft2(self.mean), dtype=np.complex64), self.seen, self.data, self.size)


def next_kernel(scenes: Sequence[Gradients], old: Array, prox: float, floor: float) -> Array:
    """The kernel (k, k) that explains the frames by these scenes, on the old one's taps and their neighbours.

    Args:
        scenes: of every frame that shares the blur.
        old: the kernel so far.
        prox: how much it holds the new one, relative to the scenes' energy.
        floor: taps below this share of the largest, and not beside a larger one, are not free.
    """
    hold = np.float32(prox * sum(scene.energy() for scene in scenes))
    forms = [scene.kernel_equations() for scene in scenes]
    right = hold * old + sum(form.right for form in forms)
    free = taps.dilate(taps.prune(old, floor=floor))
    kernel = old
    for _ in range(4):
        mask = free.astype(np.float32)

        def matrix(k: Array, mask: Array = mask) -> Array:
            return np.asarray(mask * (hold * k + sum(form.apply(k) for form in forms)), dtype=np.float32)

        kernel = solved(matrix, mask * right, mask * kernel, 12, 1e-4)
        if not (kernel < 0).any():
            break
        free = free & (kernel >= 0)
    return taps.normalised(np.maximum(kernel, 0))


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


def _sides(height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Of the differences across and down."""
    return (height, width - 1), (height - 1, width)
