"""Preconditioned conjugate gradients over whatever can be added and multiplied: tensors, arrays, batches of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

__all__ = ["conjugate_gradients"]

VectorT = TypeVar("VectorT")


def conjugate_gradients(
    matrix: Callable[[VectorT], VectorT],
    right: VectorT,
    start: VectorT,
    dot: Callable[[VectorT, VectorT], Any],
    precondition: Callable[[VectorT], VectorT] = lambda residual: residual,
) -> Iterator[tuple[VectorT, VectorT]]:
    """Solve matrix(x) = right for a symmetric positive definite matrix (Hestenes and Stiefel 1952).

    The caller decides when to stop. A direction without curvature is not followed.

    Args:
        matrix: the matrix times a vector.
        right: the right-hand side.
        start: the first x.
        dot: the inner product of two vectors: a number, or one for each system of a batch, of a shape that broadcasts.
        precondition: an approximate inverse, symmetric positive definite.

    Yields:
        x and its residual, right - matrix(x), the latter by recurrence; the start first, then after every step.

    Example:
        >>> steps = conjugate_gradients(lambda x: 2 * x, np.ones(3), np.zeros(3), np.vdot)
        >>> [x.tolist() for x, _ in (next(steps), next(steps))]
        [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]
    """
    x: Any = start
    residual: Any = right - matrix(start)  # type: ignore[operator]
    yield x, residual
    z: Any = precondition(residual)
    direction, product = z, dot(residual, z)
    while True:
        image: Any = matrix(direction)
        length = _ratio(product, dot(direction, image))
        x = x + length * direction
        residual = residual - length * image
        yield x, residual
        z = precondition(residual)
        product, previous = dot(residual, z), product
        direction = z + _ratio(product, previous) * direction


def _ratio(above: Any, below: Any) -> Any:
    """above / below, or 0 where below is not positive."""
    if isinstance(below, Tensor):
        return torch.where(below > 0, above / below, 0)
    if isinstance(below, np.ndarray):
        return np.divide(above, below, out=np.zeros_like(below), where=below > 0)
    return above / below if below > 0 else 0.0
