"""Restoration in light with a prior on what people see: one accelerated descent while the penalty rises.

A camera adds up light, y = K x, and stores a curve of it; noise after the curve, and the steps that people see, are
alike in dark and bright. So the unknown is the stored scene u, x = g(u), and what is minimised is

    sum over pixels of w (s'(y) (y - K g(u)))^2 / (2 sigma^2) + R(u),    w = (active / deviation)^2

s' being the slope of storing at what was observed, fixed, so that the data stay linear in light; `active` is 0 where
the frame clips and the scene, blurred, is brighter than that (Whyte et al. 2014), and the mirror of it at black. R is
split as in `hqs`: with z = prox(F u) for a penalty that rises from step to step, a step is

    u <- u + momentum + step * M (G K^T W (y - K g(u)) + q F^T (z - F u)),    G = diag(g'(u)),    M = E P^-1 E

P = K^T K + q F^T F being the equations where weights and slopes are 1, as they are where light varies slowly, and E a
diagonal that makes up for where they are not. Steps and momentum are those of Chebyshev's semi-iteration (Golub and
Varga 1961), constants, so that what a pixel becomes depends on its surroundings alone.

Colours are turned into brightness and differences (`opponent`): the differences are weighed down in the data, since
cameras and JPEG blur them, and up in the prior, whose edges all share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from deblur.errors import OptionError
from deblur.restoration import coarse
from deblur.restoration.chebyshev import step_lengths
from deblur.restoration.data_term import DataTerm
from deblur.restoration.priors.splitting import SplittingPrior
from deblur.restoration.problem import Problem
from deblur.restoration.restorer import STEP, Iterate, check_positive
from deblur.restoration.richardson_lucy import RichardsonLucy

__all__ = ["Descent"]

LOWEST, HIGHEST = 0.03, 6.0
"""Eigenvalues of M and the equations that the steps are made for; the highest seen were 5."""

RENEWED = 8
"""Steps after which E is made anew."""

GROWN = 1.5
"""How much larger than noise, and than the least so far, a misfit is that shows a descent diverging."""


@dataclass(frozen=True, kw_only=True)
class Descent:
    """Settings of a descent; calling it with a problem and a prior yields its scenes.

    Args:
        steps: at full size.
        coarse: before them, at half the size.
        polish: steps of `start` between the two: around lamps, half the size is too coarse.
        start: what the first scene is made by.
        chroma: what a colour difference counts in the prior beside brightness.

    Raises:
        OptionError: a setting out of its range.
    """

    steps: int = 16
    coarse: int = 12
    polish: int = 12
    start: RichardsonLucy = field(default_factory=lambda: RichardsonLucy(limit=40, coarse=0))
    chroma: float = 1.5

    def __post_init__(self) -> None:
        check_positive(steps=self.steps, chroma=self.chroma)
        if self.coarse < 0:
            raise OptionError(f"expected coarse of at least 0 steps, got {self.coarse}")

    def expected_steps(self, problem: Problem, prior: SplittingPrior) -> int:
        """Those of the full size."""
        return len(prior.warm(self.steps).schedule(problem.sigma))

    def effort(self, problem: Problem, prior: SplittingPrior) -> float:
        """As of a `Restorer`."""
        steps: float = self.expected_steps(problem, prior)
        started: float = self.start.limit
        if self.coarse and coarse.worthwhile(problem):  # a step at half the size is a quarter of one
            steps, started = steps + self.coarse / 4, started / 4 + self.polish
        return steps * (STEP + prior.effort) + STEP / 3 * started

    def __call__(self, problem: Problem, prior: SplittingPrior) -> Iterator[Iterate]:
        """Yield the scene in light, (C, *blur.scene), after every step at full size."""
        blur = problem.blur
        if self.coarse and coarse.worthwhile(problem):
            smaller = coarse.halved(problem)
            scene = self.start.last(smaller) if self.start.limit else smaller.blur.extend(smaller.blurred)
            for estimate in _descend(smaller, prior.warm(self.coarse), scene, self.chroma):
                scene = estimate.scene
            scene = coarse.doubled(scene, smaller.blur, blur)
            if self.polish:
                scene = replace(self.start, limit=self.polish).last(problem, scene)
        else:
            scene = self.start.last(problem) if self.start.limit else blur.extend(problem.blurred)
        steps = _descend(problem, prior.warm(self.steps), scene, self.chroma)
        del scene  # a plane that would else be kept to the end
        yield from steps


def _descend(problem: Problem, prior: SplittingPrior, light: Tensor, chroma: float) -> Iterator[Iterate]:
    """Yield the scene in light after every level of the prior's schedule, from a scene in light; in one tensor."""
    blur, term = problem.blur, DataTerm(problem, chroma if prior.opponent and not problem.linear else None)
    highest, least, steps = HIGHEST, math.inf, step_lengths(LOWEST, HIGHEST)
    unknown = term.unknown(light)
    light, slope, move = (torch.zeros_like(unknown) for _ in range(3))
    term.follow(unknown, light, slope)
    best = unknown.half()  # near enough to go back to
    scaling: Tensor
    for index, level in enumerate(prior.schedule(problem.sigma)):
        omega = torch.empty_like(term.weight) if index % RENEWED == 0 else None
        size, seen = term.misfit(light, omega)
        if not size <= GROWN * max(least, term.expected):  # the steps were too long: go back, and take shorter ones
            highest, steps = 2 * highest, step_lengths(LOWEST, 2 * highest)
            move.zero_()
            term.follow(unknown.copy_(best), light, slope)
            omega = torch.empty_like(term.weight)
            size, seen = term.misfit(light, omega)
        elif size < least:
            least = size
            best.copy_(unknown)
        if omega is not None:
            scaling = term.scaling(slope, omega)
            del omega
        force = term.gradient(seen, slope)
        del seen
        force.add_(blur.fold(prior.pull(blur.unfold(unknown), level)), alpha=level.q)
        length, damping = next(steps)
        move.mul_(damping).add_(term.precondition(force, scaling, prior.symbol, level.q), alpha=length)
        del force
        term.follow(unknown, light, slope, move)
        yield Iterate(light, size / term.size)
