"""Half-quadratic splitting: alternate a prior's prox with the quadratic step of the unknown boundary.

Where a camera's curve bends the data term, or noise depends on light, a `Descent` takes the place of the two steps.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from deblur.errors import OptionError
from deblur.restoration.descent import Descent
from deblur.restoration.normal_equations import NormalEquations
from deblur.restoration.priors.splitting import SplittingPrior
from deblur.restoration.problem import Problem
from deblur.restoration.restorer import STEP, Iterate, Restorer, check_positive
from deblur.restoration.wiener import MADE_UP, Wiener

__all__ = ["HalfQuadraticSplitting"]


@dataclass(frozen=True, kw_only=True)
class HalfQuadraticSplitting(Restorer):
    """Minimise ||W (K x - y)||^2 / (2 sigma^2) + R(x) (Geman and Yang 1995; Krishnan and Fergus 2009).

    With z = F x the prior's filter responses, each step of the prior's schedule takes

        z = prox(F x)                                                  pointwise
        x = argmin ||W (K x - y)||^2 + q ||F x - z||^2                 (K^T W K + q F^T F) x = K^T W y + q F^T z

    the second by a few steps of `NormalEquations` from the last x, while q grows.

    Args:
        prior: what R is.
        inner: steps of the linear solver per quadratic step.
        denoise_from: the noise level from which on z is taken once more after the last x, and returned; below it, the
            share (sigma / denoise_from)^2 of that step is taken. For an F that is the identity.
        descent: how a problem is solved that is not plain (`Problem.plain`).
        least_noise, caution: as `Restorer` says.
        limit: steps of the schedule at most.
        tolerance: not used to stop by default (0): the schedule is the stopping rule.
    """

    prior: SplittingPrior
    inner: int = 5
    denoise_from: float = math.inf
    descent: Descent = field(default_factory=Descent)
    least_noise: float = 0.0
    caution: float = 1.0
    limit: int = 1000
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        if self.inner < 1 or self.limit < 1:
            raise OptionError(f"expected inner and limit of at least 1, got {self.inner} and {self.limit}")
        if not self.denoise_from > 0:
            raise OptionError(f"expected denoise_from above 0, got {self.denoise_from:g}")
        check_positive(caution=self.caution)

    @property
    def learned(self) -> bool:
        """As the prior is."""
        return self.prior.learned

    @property
    def lean(self) -> bool:
        """As the prior is: quadratic steps are taken one channel at a time."""
        return self.prior.lean

    def expected_steps(self, problem: Problem) -> int:
        """The length of the prior's schedule."""
        steps = len(self.prior.schedule(problem.sigma))
        return min(self.limit, steps if problem.plain else self.descent.expected_steps(problem, self.prior))

    def effort(self, problem: Problem) -> float:
        """As the prior says: its own, beside the steps'."""
        if problem.plain:
            return (STEP + self.prior.effort) * self.expected_steps(problem)
        return self.descent.effort(problem, self.prior)

    def estimates(self, problem: Problem) -> Iterator[Iterate]:
        """Yield the scene after every step of the schedule."""
        return self._alternate(problem) if problem.plain else self.descent(problem, self.prior)

    def _alternate(self, problem: Problem) -> Iterator[Iterate]:
        whole, blur, scene = problem, problem.blur, problem.blur.extend(problem.blurred)
        if not blur.free:  # few steps of conjugate gradients reach what the frame hardly sees: begin where it is solved
            first = Wiener()
            for estimate in itertools.islice(first.estimates(problem), first.limit):
                scene = estimate.scene
                if estimate.residual <= first.tolerance:
                    break
        equations = misfit = None
        inner = self.inner if blur.free else MADE_UP * self.inner
        schedule = self.prior.schedule(problem.sigma)
        for level in schedule:
            if misfit is None or whole.clips:
                problem = whole.bounded(scene)
                misfit, equations = problem.masked(problem.blurred - blur(scene)), None
            if equations is None or equations.q != level.q:
                equations = NormalEquations(problem, self.prior.symbol, level.q)
            pull = self.prior.pull(blur.unfold(scene), level)
            estimate = equations.refine(scene, misfit, pull, inner)
            scene = estimate.scene
            if level is schedule[-1] and (share := min(1.0, (problem.sigma / self.denoise_from) ** 2)):
                estimate = replace(estimate, scene=scene.add(self.prior.pull(scene, level), alpha=share))
            yield estimate
