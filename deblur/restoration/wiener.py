"""Regularised least squares: the Wiener filter of a picture whose outside is unknown, in light or as a camera sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar

from torch import Tensor

from deblur.restoration.descent import Descent
from deblur.restoration.normal_equations import NormalEquations
from deblur.restoration.priors.ridge import Ridge
from deblur.restoration.priors.splitting import Level
from deblur.restoration.problem import Problem
from deblur.restoration.restorer import STEP, Iterate, Restorer, check_positive
from deblur.restoration.richardson_lucy import RichardsonLucy
from deblur.restoration.symbols import gradients

__all__ = ["MADE_UP", "Wiener"]

MADE_UP = 4
"""How many times the steps a solver takes where the outside of the frame is made up."""


@dataclass(frozen=True, kw_only=True)
class Wiener(Restorer):
    """Minimise ||W (K x - y)||^2 + q ||grad x||^2.

    This is the Wiener filter for scenes whose gradients are white with variance sigma^2 / q; q = `weight` * sigma^2.
    The equations are solved step by step from the frame extended by its border, preconditioned as the problem asks,
    until the residual moves no pixel of the frame any more: a step is the residual made an image by the preconditioner,
    and its largest pixel says more than a norm over the picture, in which an unsolved border drowns.

    Where the problem is not plain a descent of a few steps takes the place of the equations; where it clips, they are
    solved once more for the pixels whose bound the first solution breaks.

    Args:
        weight: 1 / (mean squared gradient) of the scenes expected; larger is smoother.
        tolerance: largest change of a pixel in one step to stop at, full scale being 1.
        limit: steps at most.
        descent: how a problem is solved that is not plain.

    Example:
        >>> import torch, numpy as np
        >>> problem = Problem(blurred=torch.full((1, 16, 16), 0.5), kernel=np.full((3, 3), 1 / 9))
        >>> round(Wiener()(problem).image.mean().item(), 4)
        0.5
    """

    apart: ClassVar[bool] = True

    weight: float = 65.0
    tolerance: float = 5e-4
    limit: int = 200
    descent: Descent = field(
        default_factory=lambda: Descent(steps=2, coarse=8, polish=0, start=RichardsonLucy(coarse=0, limit=8))
    )

    def __post_init__(self) -> None:
        check_positive(weight=self.weight, tolerance=self.tolerance, limit=self.limit)

    @property
    def lean(self) -> bool:
        """Its Fourier transforms are taken one channel at a time."""
        return True

    def expected_steps(self, problem: Problem) -> int:
        """Those of the descent, or as many as it may take."""
        return self.limit if problem.plain else self.descent.steps * (MADE_UP if problem.boundary == "replicate" else 1)

    def effort(self, problem: Problem) -> float:
        """Of the descent; the equations are solved in about ten steps."""
        return STEP * 10 if problem.plain else self.descent.effort(problem, Ridge())

    def estimates(self, problem: Problem) -> Iterator[Iterate]:
        """Yield the scene after every step, with the largest change of a pixel that the frame shows."""
        if problem.plain:
            yield from self._solutions(problem)
            return
        descent = self.descent
        if problem.boundary == "replicate":  # a border pixel that stands for many takes more of them
            descent = replace(descent, steps=MADE_UP * descent.steps)
        for estimate in descent(problem, Ridge(weight=self.weight)):
            yield replace(estimate, residual=max(estimate.residual, 2 * self.tolerance))  # it ends by itself

    def _solutions(self, problem: Problem) -> Iterator[Iterate]:
        blur, scene, bounds = problem.blur, problem.blur.extend(problem.blurred), problem.clips
        solved = problem.believing()
        while True:
            equations = NormalEquations(solved, gradients, self.weight * problem.sigma**2)
            for estimate in equations.correct(scene, Ridge().pull(blur.unfold(scene), _ANY)):
                change = max(_largest(blur.crop(a - b)) for a, b in zip(estimate.scene, scene, strict=True))
                scene = estimate.scene
                if bounds and change <= self.tolerance:
                    break
                yield Iterate(scene, change)
            if not bounds:
                return
            solved, bounds = problem.bounded(scene), False


_ANY = Level(q=0.0, penalty=0.0)


def _largest(values: Tensor) -> float:
    return float(values.abs().max())
