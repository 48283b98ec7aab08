"""Regularised least squares: the Wiener filter of a picture whose outside is unknown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from deblur.restoration.normal_equations import NormalEquations
from deblur.restoration.problem import Problem
from deblur.restoration.restorer import Iterate, Restorer, check_positive
from deblur.restoration.symbols import gradients

__all__ = ["Wiener"]


@dataclass(frozen=True, kw_only=True)
class Wiener(Restorer):
    """Minimise ||W (K x - y)||^2 + q ||grad x||^2.

    This is the Wiener filter for scenes whose gradients are white with variance sigma^2 / q; q = `weight` * sigma^2.
    The equations are solved step by step from the frame extended by its border, preconditioned as the problem asks,
    until the residual moves no pixel of the frame any more: a step is the residual made an image by the preconditioner,
    and its largest pixel says more than a norm over the picture, in which an unsolved border drowns.

    Args:
        weight: 1 / (mean squared gradient) of the scenes expected; larger is smoother.
        tolerance: largest change of a pixel in one step to stop at, full scale being 1.
        limit: steps at most.

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

    def __post_init__(self) -> None:
        check_positive(weight=self.weight, tolerance=self.tolerance, limit=self.limit)

    def estimates(self, problem: Problem) -> Iterator[Iterate]:
        """Yield the scene after every step, with the largest change of a pixel that the frame shows."""
        equations = NormalEquations(problem, gradients, self.weight * problem.sigma**2)
        blur, scene = problem.blur, problem.blur.extend(problem.blurred)
        for estimate in equations.solve(problem.right_hand_side, scene):
            change = max(_largest(blur.crop(a - b)) for a, b in zip(estimate.scene, scene, strict=True))
            scene = estimate.scene
            yield Iterate(scene, change)


def _largest(values: Tensor) -> float:
    return float(values.abs().max())
