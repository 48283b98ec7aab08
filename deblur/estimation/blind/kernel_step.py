"""The kernel step: least squares of the frame's gradients on the scene's strong ones.

    k = argmin  sum_c ||g_c * k - d_c||^2 + ridge ||k||^2 + smooth ||grad k||^2,     k = 0 outside the free taps

with g_c the selected differences of the scene and d_c those of the frame (Cho and Lee 2009, eq. 7), over all frames
that share the blur. Fitting gradients instead of values conditions the system well and forgets the exposure. Where
nothing wraps around, the normal equations are Toeplitz: their matrix is the autocorrelation of g, at lags up to the
kernel's side, and their right side its correlation with d. So a frame costs a few Fourier transforms, and the steps of
conjugate gradients only those of a grid twice the kernel's side.

What is selected: the differences of at least a threshold that leaves enough pixels of each of four orientations (Cho
and Lee 2009, section 4.2), so that edges of one direction do not leave the kernel undetermined along it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.fft import irfft2, rfft2

from deblur.conjugate_gradients import conjugate_gradients
from deblur.estimation.blind.periodic import Array
from deblur.fourier import fast_length, fast_shape

__all__ = ["KernelEquations", "select", "solved", "threshold"]

Pair = tuple[Array, Array]


def threshold(gradients: Sequence[Pair], count: int) -> float:
    """The squared magnitude that at least `count` gradients reach in each quarter of orientations.

    Args:
        gradients: for every frame the differences across and down, (H, W) each.
        count: at least 1.

    Returns:
        The smallest of the four quarters' `count`-th largest squared magnitudes.
    """
    magnitude = np.concatenate([(x * x + y * y).ravel() for x, y in gradients])
    quarter = np.concatenate([(np.arctan2(y, x) % np.pi // (np.pi / 4)).ravel() for x, y in gradients])
    reached = []
    for q in range(4):
        values = magnitude[quarter == q]
        rank = len(values) - min(count + 1, len(values))
        reached.append(float(np.partition(values, rank)[rank]) if len(values) else 0.0)
    return min(reached)


def select(gradients: Sequence[Pair], least: float) -> list[Pair]:
    """The gradients with a squared magnitude of at least `least`, the others zero.

    Where none has, `least` is lowered until one does.
    """
    magnitudes = [x * x + y * y for x, y in gradients]
    largest = max(float(m.max()) for m in magnitudes)
    least = min(least, 0.81 * largest)
    return [(x * (m >= least), y * (m >= least)) for (x, y), m in zip(gradients, magnitudes, strict=True)]


class KernelEquations:
    """The system of one kernel step.

    Args:
        scene: for every frame the selected differences of its scene, (H, W) each; zero is no information.
        frame: the same of the blurred frame.
        size: side of the kernel, odd.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> scene = [(rng.normal(size=(32, 32)).astype(np.float32), np.zeros((32, 32), np.float32))]
        >>> equations = KernelEquations(scene, scene, size=5)
        >>> kernel = equations.solve(ridge=0.0, smooth=0.0, steps=30)
        >>> round(float(kernel[2, 2]), 3)
        1.0
    """

    def __init__(self, scene: Sequence[Pair], frame: Sequence[Pair], size: int) -> None:
        self.size = size
        self._matrix, self._right = np.zeros((2 * size - 1,) * 2, np.float32), np.zeros((size, size), np.float32)
        for gradients, blurred in zip(scene, frame, strict=True):
            shape = fast_shape([n + size for n in gradients[0].shape])
            power, data = 0.0, 0.0
            for g, d in zip(gradients, blurred, strict=True):
                spectrum = rfft2(g, shape)
                power = power + spectrum.real**2 + spectrum.imag**2
                data = data + np.conj(spectrum) * rfft2(d, shape)
            lags = np.arange(1 - size, size)
            self._matrix += irfft2(power, s=shape)[np.ix_(lags % shape[0], lags % shape[1])]
            lags = np.arange(size) - size // 2
            self._right += irfft2(data, s=shape)[np.ix_(lags % shape[0], lags % shape[1])]

    def solve(self, *, ridge: float, smooth: float, steps: int = 20, free: np.ndarray | None = None) -> Array:
        """The kernel after so many steps of conjugate gradients from a uniform one: few steps regularise, too.

        Args:
            ridge: weight of ||k||^2.
            smooth: weight of ||grad k||^2, the kernel being zero outside its array.
            steps: of conjugate gradients.
            free: (k, k) bool, the taps that may differ from zero; None for all.

        Returns:
            (k, k), not normalised, of any sign.
        """
        mask = np.ones((self.size, self.size), np.float32) if free is None else free.astype(np.float32)
        matrix, middle = self._matrix.copy(), self.size - 1
        matrix[middle, middle] += ridge + 4 * smooth
        for lag in (-1, 1):
            matrix[middle + lag, middle] -= smooth
            matrix[middle, middle + lag] -= smooth
        side = fast_length(2 * self.size - 1)  # what wraps around stays outside the kernel's array
        placed, lags = np.zeros((side, side), np.float32), np.arange(1 - self.size, self.size) % side
        placed[np.ix_(lags, lags)] = matrix
        spectrum = rfft2(placed)

        def product(kernel: Array) -> Array:
            grown = irfft2(spectrum * rfft2(kernel, (side, side)), s=(side, side))
            return np.asarray(mask * grown[: self.size, : self.size], dtype=np.float32)

        return solved(product, mask * self._right, mask / np.float32(self.size**2), steps)


def solved(matrix: Callable[[Array], Array], right: Array, start: Array, steps: int, tolerance: float = 1e-5) -> Array:
    """The solution of matrix x = right after so many steps of conjugate gradients from `start` at most."""
    target = tolerance**2 * _dot(right, right)
    x = start
    for step, (x, residual) in enumerate(conjugate_gradients(matrix, right, start, _dot)):  # noqa: B007
        if step == steps or not _dot(residual, residual) > target:
            break
    return x


def _dot(a: Array, b: Array) -> float:
    return float(np.vdot(a, b))
