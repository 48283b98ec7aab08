"""The record that every estimator returns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from deblur.psf import Kernel

__all__ = ["Estimate", "Region"]

Region = tuple[int, int, int, int]
"""A rectangle of a frame: x and y of its top left pixel, width and height."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What an estimator returns.

    Attributes:
        kernel: with all that is known about it: its confidence (1 says that its misfit is that of the noise alone), its
            source, its factors.
        method: what was run: `pair`, `masked`, `blind`, or the shape that was fitted (`motion`).
        status: `converged`, `limit` (the steps were used up) or `diverged` (a step was not finite; the kernel is the
            last one that was).
        sigma: standard deviation of the frames' noise, full scale 1; NaN where none was needed.
        tap_confidence: (kh, kw), for each tap the share of it that is not uncertainty, in [0, 1]; or None.
        warnings: one line each, what a user should know before the kernel is used.
        notes: one line each, what was done to the frames first, such as black bars that were left out.
        region: the part of the first frame that was used; None for all of it.
        seconds: time taken.
        steps: iterations taken.
        boundary: what the estimator took to lie outside the frame (see `deblur.psf.operator.BOUNDARIES`).
        details: what else may interest a reader, by name: numbers, texts, lists and arrays. No code depends on it.

    Example:
        >>> Estimate(kernel=Kernel([[1.0]], confidence=0.8), method="pair").confidence
        0.8
    """

    kernel: Kernel
    method: str
    status: str = "converged"
    sigma: float = math.nan
    tap_confidence: npt.NDArray[np.float64] | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    region: Region | None = None
    seconds: float = 0.0
    steps: int = 0
    boundary: str = "unknown"
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def confidence(self) -> float:
        """How sure it is that the kernel is the blur, in [0, 1]."""
        return 1.0 if self.kernel.confidence is None else self.kernel.confidence

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the kernel."""
        return self.kernel.shape[0], self.kernel.shape[1]
