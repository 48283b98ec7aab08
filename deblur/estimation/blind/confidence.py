"""How far to trust a kernel, and what a user should be told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deblur.estimation.blind import taps
from deblur.estimation.blind.candidates import Candidate, Judge
from deblur.estimation.blind.choice import Choice
from deblur.estimation.blind.scouting import Scout, outlined

__all__ = ["Trust", "confidence"]

DETAIL = 0.5
"""Pixels by which kernels are smoothed before they are compared."""
UNSURE = 0.5
"""Confidence below which a warning says so."""


@dataclass(frozen=True)
class Trust:
    """The confidence in [0, 1], the starts' agreement it is made of, the energy of a delta, and warnings."""

    value: float
    agreement: float
    energy_without_blur: float
    warnings: tuple[str, ...]


def confidence(choice: Choice, scouts: Sequence[Scout], judge: Judge) -> Trust:
    """How much the starts' kernels look like the chosen one, and what is odd about it.

    Every scout's kernel, of all windows that hold the chosen one, is compared with that before its refinement, at the
    scale of the scout, at the best shift and in detail (`taps.similarity` at half a pixel: smoother, kernels that are
    wrong look alike). The agreement is the mean; the confidence rises linearly from 0 at an agreement of .6 to 1 at
    full agreement. Runs that start apart, and see different edges, end together where the frame determines the kernel.
    It is no probability: a low one says that the choice was between several.
    """
    chosen, kernel = choice.best, choice.best.kernel
    used = taps.extent(taps.prune(kernel))
    alike = [_similar(chosen.origin or chosen, one) for one in scouts if one.side >= used]
    agreement = float(np.mean(alike)) if alike else 0.8
    value = float(np.clip((agreement - 0.6) / 0.4, 0, 1))
    delta = np.zeros_like(chosen.kernel)
    delta[delta.shape[0] // 2, delta.shape[1] // 2] = 1
    sharp = judge.energy(delta)
    warnings = []
    rows, columns = (np.arange(n) for n in kernel.shape)
    y, x = (kernel.sum(1) * rows).sum(), (kernel.sum(0) * columns).sum()
    distance = np.hypot(rows[:, None] - y, columns[None] - x)
    near = float(kernel[distance < 1.5].sum())
    radius = float(np.sqrt((kernel * distance**2).sum()))
    if near > 0.9 or (radius < 3 and sharp <= chosen.energy):
        warnings.append("the kernel is next to a single tap: there is little or no blur to remove")
    rim = float(kernel.sum() - kernel[1:-1, 1:-1].sum())
    if rim > 0.05:
        warnings.append(f"the kernel touches the rim of its window ({rim:.0%} of it lies there): give a larger size")
    if value < UNSURE:
        warnings.append(
            f"runs from different starts disagree (agreement {agreement:.2f}): the frame may have too little texture "
            "or too much noise; look at the kernel before using it"
        )
    return Trust(value, agreement, sharp, tuple(warnings))


def _similar(chosen: Candidate, scout: Scout) -> float:
    """How alike a kernel and a scout's are at the scale of the scout."""
    return taps.similarity(outlined(chosen.kernel, scout.view.scale), scout.candidate.kernel, DETAIL)
