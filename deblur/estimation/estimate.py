"""The record that every estimator returns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Estimate", "Region"]

Region = tuple[int, int, int, int]
"""A rectangle of a frame: x and y of its top left pixel, width and height."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What an estimator returns.

    Attributes:
        kernel: (kh, kw) float64, sum 1, its origin at tap (kh // 2, kw // 2).
        method: what was run: `pair`, `masked`, `blind`, or the shape that was fitted (`motion`).
        status: `converged`, `limit` (the steps were used up) or `diverged` (a step was not finite; the kernel is the
            last one that was).
        sigma: standard deviation of the frames' noise, full scale 1; NaN where none was needed.
        confidence: how far to trust the kernel, in [0, 1]; 1 says that its misfit is that of the noise alone.
        tap_confidence: (kh, kw), for each tap the share of it that is not uncertainty, in [0, 1]; or None.
        warnings: one line each, what a user should know before the kernel is used.
        region: the part of the first frame that was used; None for all of it.
        seconds: time taken.
        steps: iterations taken.
        details: what else is known, by name: numbers, texts, lists and arrays.

    Example:
        >>> Estimate(kernel=np.ones((1, 1)), method="pair").size
        (1, 1)
    """

    kernel: npt.NDArray[np.float64]
    method: str
    status: str = "converged"
    sigma: float = math.nan
    confidence: float = 1.0
    tap_confidence: npt.NDArray[np.float64] | None = None
    warnings: tuple[str, ...] = ()
    region: Region | None = None
    seconds: float = 0.0
    steps: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the kernel."""
        return self.kernel.shape[0], self.kernel.shape[1]
