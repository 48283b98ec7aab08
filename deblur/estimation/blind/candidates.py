"""Choosing among kernels without knowing the truth: which one makes the simplest scene that explains the frame?

    E(k) = min over S of  sum (k * S - y)^2 + lambda #{grad S != 0},     lambda = 3e-4 + 4 sigma^2

A wrong kernel needs ghosts of edges to explain the frame, a kernel that is too sharp leaves slopes that cost many small
edges, a shifted one costs nothing: as it should be. lambda grows with the noise, below which an edge means nothing.

Every climb hands in its kernels of the finest three levels, the coarser ones resampled. With little noise the finest
wins. With much of it the finest fits the noise, and the kernel of a coarser level, smooth, is the better one. E sees
most of that; the finest level's E counts 1 + 1.5 sigma times, for the noise of the taps that E itself has fitted.

E is cheap and makes a short list of kernels that differ. It prefers kernels that are too small, and where the scene is
one of few edges, a part of the true kernel can explain the frame by a scene with those edges doubled. The evidence F
(`evidence`) sees this, and hardly sees what E sees. So the score of a kernel is

    F(k) + 0.2 log E(k)

Both judge by edges, which drown in noise; the misfit D of the scene that the learned prior restores (`learned`) does
not. So in noise, for kernels up to 37 taps, 0.1 min(1, (sigma / .004)^2) log D is added for the best of the short list.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from deblur.estimation.blind import taps
from deblur.estimation.blind.evidence import evidence
from deblur.estimation.blind.l0 import FewEdges
from deblur.estimation.blind.learned import misfit
from deblur.estimation.blind.periodic import Array
from deblur.estimation.blind.planes import best_part
from deblur.estimation.blind.pyramid import Plane

__all__ = ["ALIKE", "Candidate", "Judge", "candidates", "price", "short_list"]

DEPTH = 3  # levels of a pyramid that hand in a kernel
ALIKE = 0.97  # similarity from which two kernels are one on the short list
SHARE = 0.2  # of log E in the score
LEARNED = 0.1  # of log D, in noise
PART = (128, 148)  # pixels a side that D is computed from
QUIET = 0.004  # noise below which log D tells less than its share


@dataclass(frozen=True, eq=False)
class Candidate:
    """A kernel (k, k), the start and the level (0 the finest) it is from, its energy, and its score once it has one."""

    kernel: Array
    start: str
    level: int
    energy: float
    score: float = math.inf
    origin: Candidate | None = None
    """What it was refined from."""


@dataclass(frozen=True)
class Judge:
    """E for a set of frames that share the blur; prepared once for kernels up to `margin` taps a side."""

    planes: Sequence[Plane]
    margin: int
    steps: list[FewEdges] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", [FewEdges.of(plane.values, self.margin) for plane in self.planes])

    def energy(self, kernel: Array) -> float:
        """E of a kernel, the sum over the frames."""
        return sum(
            step.energy(kernel, 3e-4 + 4 * plane.sigma**2, plane.believed)
            for plane, step in zip(self.planes, self.steps, strict=True)
        )

    def score(self, kernel: Array, energy: float) -> float:
        """The evidence of a kernel and its energy (priced or not) together; less is better."""
        return evidence(self.planes, taps.tight(kernel)) + SHARE * float(np.log(max(energy, 1e-12)))

    @property
    def share(self) -> float:
        """What log D counts: the more the more noise there is; nothing in little noise or where kernels are large."""
        if self.margin > PART[1] // 4:
            return 0.0
        noise = min(1.0, max(plane.sigma for plane in self.planes) / QUIET) ** 2
        return LEARNED * noise if noise > 0.4 else 0.0

    def second_opinion(self, kernel: Array) -> float:
        """What the learned prior adds to the score."""
        side = int(np.clip(4 * self.margin, *PART))
        parts = [best_part(plane, side) for plane in self.planes]  # the same ones for every kernel
        return self.share * float(np.log(max(misfit(parts, taps.tight(kernel)), 1e-12)))


def short_list(found: Sequence[Candidate], count: int) -> list[Candidate]:
    """The kernels of least energy that differ from each other, best first."""
    chosen: list[Candidate] = []
    for candidate in sorted(found, key=lambda one: one.energy):
        if len(chosen) < count and all(taps.similarity(candidate.kernel, c.kernel) < ALIKE for c in chosen):
            chosen.append(candidate)
    return chosen


def candidates(found: Sequence[Array], size: int, start: str, judge: Judge) -> list[Candidate]:
    """The kernels of the finest levels of a pyramid, at full size, each with its energy."""
    handed = []
    for level, kernel in enumerate(reversed(found[-DEPTH:])):
        if level:
            fine = round(kernel.shape[0] * 2 ** (level / 2))
            kernel = taps.enlarge(kernel, fine + 1 - fine % 2, 2 ** (level / 2))
        kernel = taps.window(taps.prune(kernel, 0), size)
        energy = price(level, judge.planes) * judge.energy(kernel)
        handed.append(Candidate(kernel, start, level, energy))
    return handed


def price(level: int, planes: Sequence[Plane]) -> float:
    """What the energy of a level's kernel is multiplied by."""
    return 1 if level else 1 + 1.5 * max(plane.sigma for plane in planes)
