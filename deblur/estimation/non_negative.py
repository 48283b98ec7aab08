"""Least squares over non-negative kernels: an active-set method for the quadratic programme of a kernel's taps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.linalg

__all__ = ["Array", "free_inverse_diagonal", "non_negative"]

Array = npt.NDArray[np.float64]


def non_negative(matrix: Array, right: Array, start: Array | None = None, limit: int = 60) -> Array:
    """argmin over k >= 0 of k^T matrix k / 2 - right^T k, exactly.

    Block principal pivoting (Portugal, Judice and Vicente 1994): solve on the free taps, then exchange at once all
    those that violate their sign or that of their gradient; where that stops making progress, only the last of them
    (Murty's rule, which ends). Each round is one Cholesky factorisation of the free taps.

    Args:
        matrix: (n, n), symmetric positive definite.
        right: (n,).
        start: (n,), a first guess; its positive taps are taken as free.
        limit: rounds at most; after them the negative taps of the last solution are set to zero.

    Returns:
        (n,), at least 0.

    Example:
        >>> non_negative(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([2.0, -1.0]))
        array([1., 0.])
    """
    count = len(right)
    free = np.ones(count, dtype=bool) if start is None else start > 0
    solution, slope = np.zeros(count), np.zeros(count)
    fewest, patience = count + 1, 10
    tiny = 1e-14 * max(float(np.abs(right).max()), 1e-300)
    for _ in range(limit):
        solution[:] = 0
        if free.any():
            solution[free] = _solve(matrix[np.ix_(free, free)], right[free])
        slope = matrix @ solution - right
        wrong = np.where(free, solution < 0, slope < -tiny)
        violations = int(wrong.sum())
        if not violations:
            return np.maximum(solution, 0)
        if violations < fewest:
            fewest, patience = violations, 10
        else:
            patience -= 1
        if patience > 0:
            free ^= wrong
        else:
            last = int(np.flatnonzero(wrong)[-1])
            free[last] = ~free[last]
    return np.maximum(solution, 0)


def free_inverse_diagonal(matrix: Array, free: npt.NDArray[np.bool_]) -> Array:
    """The variances of taps whose precision is `matrix`: those of the free ones jointly, of each other one given these.

    Args:
        matrix: (n, n), symmetric positive definite.
        free: (n,), the taps that are not held at zero.

    Returns:
        (n,), positive.

    Example:
        >>> free_inverse_diagonal(np.diag([4.0, 2.0]), np.array([True, False]))
        array([0.25, 0.5 ])
    """
    held = ~free
    variances = np.empty(len(matrix))
    if not free.any():
        return np.asarray(1 / np.diag(matrix))
    inverse = np.linalg.inv(matrix[np.ix_(free, free)])
    variances[free] = np.maximum(np.diag(inverse), 0)
    if held.any():
        cross = matrix[np.ix_(held, free)]
        reduced = np.diag(matrix)[held] - np.einsum("ij,jk,ik->i", cross, inverse, cross, optimize=True)
        variances[held] = 1 / np.maximum(reduced, 1e-12 * np.diag(matrix)[held])
    return variances


def _solve(matrix: Array, right: Array) -> Array:
    try:
        factor = scipy.linalg.cho_factor(matrix, lower=True, check_finite=False)
        return np.asarray(scipy.linalg.cho_solve(factor, right, check_finite=False))
    except np.linalg.LinAlgError:  # flat scenes: the taps are not told apart
        return np.asarray(np.linalg.lstsq(matrix, right, rcond=1e-12)[0])
