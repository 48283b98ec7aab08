"""What the learned prior says of a kernel: how well it explains the frame, and how to make it better.

    x = what half-quadratic splitting with the flow of `deblur.restoration.priors.flow` restores with k
    D(k) = mean M (k * x - y)^2 / sigma^2                                                           (`misfit`)
    k = argmin over k >= 0 of  sum_c ||M (x_c * k - d_c)||^2 + prox e ||k - k_old||^2               (`gradients`)

A scene that looks like a photograph cannot explain the frame by a wrong kernel: the prior takes the ghosts and the
ringing away that would have to be there. In noise that tells more than what other priors say of the kernel.

The scenes that `variational` and the pyramid restore hold little but edges, so that a kernel fitted to them stays
blurred and keeps taps that belong to texture. A learned prior restores texture too, and the last refinement alternates
that scene and the kernel. As any alternation between maxima it would go on to a kernel that is too sharp, so it takes
two passes only, from a kernel that is nearly right.

The scene is restored for more noise than there is: what a kernel that is a little wrong misses, `MISFIT`. All runs on
one thread of torch each: convolutions that are summed up in another order round differently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deblur.device import using_threads
from deblur.estimation.blind import taps
from deblur.estimation.blind.gradients import Gradients, next_kernel
from deblur.estimation.blind.periodic import Array
from deblur.estimation.blind.planes import RANGE, best_part
from deblur.estimation.blind.pyramid import Plane
from deblur.restoration.hqs import HalfQuadraticSplitting
from deblur.restoration.priors.flow import FlowPrior
from deblur.restoration.problem import Problem

__all__ = ["Learned", "misfit"]


MISFIT = 0.015
"""What the blurred scene misses the frame by, as a share of the frame's range."""

SIDES = (256, 320)
"""Pixels a side that the refinement looks at, from small kernels to large ones."""

_PRIOR = FlowPrior(steps=6, first=0.2, weight=0.5)
_INNER = 8


def misfit(planes: Sequence[Plane], kernel: Array) -> float:
    """D of a kernel (k, k), the mean over the frames; less is better.

    Example:
        >>> frame = np.add.outer(np.arange(40) % 9 < 4, np.arange(40) % 11 < 5).astype(np.float32) / 2
        >>> delta, line = np.zeros((2, 5, 5), np.float32)
        >>> delta[2, 2], line[2] = 1, 0.2
        >>> misfit([Plane(frame)], delta) < misfit([Plane(frame)], line)
        True
    """
    values = []
    for plane in planes:
        problem, scene = _restored(plane, kernel)
        error = problem.masked(problem.blurred - problem.blur(scene))
        seen = error.numel() if problem.mask is None else float(problem.mask.sum())
        values.append(float(error.square().sum()) / (seen * problem.sigma**2))
    return float(np.mean(values))


@dataclass(frozen=True, kw_only=True)
class Learned:
    """Settings of the refinement.

    Args:
        passes: alternations; 0 returns the kernel as it is.
        prox, floor: of the kernel step.
    """

    passes: int = 2
    prox: float = 0.1
    floor: float = 0.05

    def __call__(self, planes: Sequence[Plane], kernel: Array) -> Array:
        """Refine a kernel (k, k); its sum stays 1, its centroid may move by a fraction of a pixel."""
        side = int(np.clip(6 * kernel.shape[0], *SIDES))
        scenes = [Gradients(best_part(plane, side), kernel.shape[0]) for plane in planes]
        for _ in range(self.passes):
            for scene in scenes:
                scene.mean = scene.differences(_restored(scene.plane, kernel)[1][0].numpy())
            kernel = taps.prune(next_kernel(scenes, kernel, self.prox, self.floor), floor=0.03)
        return kernel


def _restored(plane: Plane, kernel: Array) -> tuple[Problem, Tensor]:
    """The scene (1, H', W'), larger than the frame, and what it solves."""
    values, believed = torch.from_numpy(plane.values)[None], plane.believed
    mask = None if believed is None else torch.from_numpy(believed > 0)[None]
    problem = Problem(
        blurred=values if mask is None else torch.where(mask, values, values[mask].mean()),
        kernel=torch.from_numpy(np.asarray(kernel, dtype=np.float64)),
        sigma=math.hypot(plane.sigma, MISFIT * RANGE),
        mask=mask,
    )
    with using_threads(1), torch.no_grad():
        *_, last = HalfQuadraticSplitting(prior=_PRIOR, inner=_INNER).estimates(problem)
    return problem, last.scene
