"""Search in a few parameters: Newton steps on a function that is cheap in batches, from central differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from deblur.estimation.non_negative import Array

__all__ = ["descend"]


def descend(cost: Callable[[Array], Array], start: Array, scales: Array, lowest: Array, rounds: int = 12) -> Array:
    """Minimise a smooth function of a few parameters from a start near its minimum.

    Each round takes the gradient and the Hessian by central differences over half of `scales`, in one batch, makes the
    Hessian positive by the magnitude of its eigenvalues, and steps; a step is at most `scales` long on every axis, and
    is halved until it gains.

    Args:
        cost: of a batch of points (B, P): (B,).
        start: (P,).
        scales: (P,), by how much a parameter may change before the cost ceases to look quadratic.
        lowest: (P,), bounds from below.
        rounds: steps at most.

    Returns:
        (P,).

    Example:
        >>> descend(lambda p: ((p - 3) ** 2).sum(1), np.zeros(2), np.ones(2), np.full(2, -9.0)).round(3)
        array([3., 3.])
    """
    point, count = np.maximum(start, lowest), len(start)
    value = float(cost(point[None])[0])
    for _ in range(rounds):
        offsets = _stencil(count) * (scales / 2)
        values = cost(np.maximum(point + offsets, lowest))
        gradient, hessian = _derivatives(values, value, count)
        eigenvalues, axes = np.linalg.eigh(hessian)
        magnitudes = np.maximum(np.abs(eigenvalues), 1e-3 * max(float(np.abs(eigenvalues).max()), 1e-12))
        step = -axes @ ((axes.T @ gradient) / magnitudes)  # in halves of the scales
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        shares = 0.5 ** np.arange(6)
        tried = np.maximum(point + shares[:, None] * step * scales / 2, lowest)
        outcomes = cost(tried)
        best = int(np.argmin(outcomes))
        if not outcomes[best] < value:
            break
        gain, point, value = value - float(outcomes[best]), tried[best], float(outcomes[best])
        if gain < 1e-6 * max(abs(value), 1.0) and np.abs(step).max() < 0.02:
            break
    return point


def _stencil(count: int) -> Array:
    """Offsets: plus and minus each axis, then the two diagonals of every pair of axes."""
    identity = np.eye(count)
    rows = [sign * axis for axis in identity for sign in (1, -1)]
    for i in range(count):
        for j in range(i):
            rows += [identity[i] + identity[j], -identity[i] - identity[j]]
    return np.array(rows)


def _derivatives(values: Array, centre: float, count: int) -> tuple[Array, Array]:
    """Gradient and Hessian from the values at the stencil."""
    plus, minus = values[0 : 2 * count : 2], values[1 : 2 * count : 2]
    gradient = (plus - minus) / 2
    hessian = np.diag(plus + minus - 2 * centre)
    pairs = values[2 * count :].reshape(-1, 2).sum(1) - 2 * centre
    index = 0
    for i in range(count):
        for j in range(i):
            hessian[i, j] = hessian[j, i] = (pairs[index] - hessian[i, i] - hessian[j, j]) / 2
            index += 1
    return gradient, hessian
