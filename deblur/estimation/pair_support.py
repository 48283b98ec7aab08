"""How many taps a kernel has that was fitted to a pair: what light its rim carries, and the smallest size that does."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from deblur.estimation.least_squares import Fit, Pair, fit
from deblur.estimation.non_negative import Array

__all__ = ["resized", "rim_light", "ring", "size_of", "spurious", "trimmed"]


def ring(size: tuple[int, int]) -> Array:
    """1 on the outermost taps, a twelfth of the size deep."""
    ones = np.ones(size)
    deep = [max(1, n // 12) for n in size]
    ones[deep[0] : -deep[0] or None, deep[1] : -deep[1] or None] = 0
    return ones


def size_of(result: Fit) -> tuple[int, int]:
    """Rows and columns of the fitted kernel."""
    return result.kernel.shape[0], result.kernel.shape[1]


def rim_light(result: Fit) -> float:
    """The share of the kernel's light that lies on its ring."""
    return float((result.kernel * ring(size_of(result))).sum())


def spurious(result: Fit, where: Array) -> float:
    """Light that noise alone leaves on these taps, at most, and a ten-thousandth."""
    return 1e-4 + float((result.deviation * where).sum())


def trimmed(pairs: Sequence[Pair], result: Fit, frame_span: float) -> Fit:
    """The fit of the smallest size that leaves no more than the larger one left, up to what its further taps fit."""
    pixels = float(sum(pair.blurred.numel() for pair in pairs))
    for trust in (1.0, 0.3, 0.1, 0.0):
        size = _support(result, trust)
        if size == result.kernel.shape:
            break
        smaller = fit(pairs, size, start=resized(result.kernel, size))
        fewer = result.kernel.size - smaller.kernel.size
        allowed = 1 + (fewer + 3 * math.sqrt(2 * fewer)) / pixels
        if smaller.residual <= max(math.sqrt(allowed) * result.residual, 1e-6 * frame_span):
            return smaller
    return result


def _support(result: Fit, trust: float) -> tuple[int, int]:
    """The smallest odd size about the origin outside which lies a ten-thousandth and `trust` times the deviations."""
    kernel = result.kernel
    sides = []
    for axis in (0, 1):
        profile, spurious = kernel.sum(1 - axis), result.deviation.sum(1 - axis)
        reach = kernel.shape[axis] // 2
        distance = np.abs(np.arange(len(profile)) - reach)
        while reach > 1 and profile[distance >= reach].sum() <= 1e-4 + trust * spurious[distance >= reach].sum():
            reach -= 1
        sides.append(2 * reach + 1)
    return sides[0], sides[1]


def resized(kernel: Array, size: tuple[int, int]) -> Array:
    """The kernel cut or padded about its origin, sum 1."""
    for axis, length in enumerate(size):
        change = (length - kernel.shape[axis]) // 2
        if change > 0:
            kernel = np.pad(kernel, [(change, change) if a == axis else (0, 0) for a in (0, 1)])
        elif change < 0:
            kernel = kernel.take(range(-change, kernel.shape[axis] + change), axis)
    return kernel / max(float(kernel.sum()), 1e-300)
