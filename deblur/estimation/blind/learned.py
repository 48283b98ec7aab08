"""The last refinement: alternate the scene that the learned prior restores, and the kernel.

    x = what half-quadratic splitting with the flow of `deblur.restoration.priors.flow` restores with k
    k = argmin over k >= 0 of  sum_c ||M (x_c * k - d_c)||^2 + prox e ||k - k_old||^2               (`gradients`)

The scenes that `variational` and the pyramid restore hold little but edges, so that a kernel fitted to them stays
blurred and keeps taps that belong to texture. A learned prior restores texture too. As any alternation between
maxima it would go on to a kernel that is too sharp, so it takes two passes only, from a kernel that is nearly right.
The scene is restored for more noise than there is: what a kernel that is a little wrong misses, `misfit`.

It runs on one thread of torch: convolutions that are summed up in another order round differently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from deblur.estimation.blind import taps
from deblur.estimation.blind.gradients import Gradients, kernel_step
from deblur.estimation.blind.periodic import Array
from deblur.estimation.blind.planes import RANGE
from deblur.estimation.blind.pyramid import Plane
from deblur.light import threads
from deblur.restoration.base import Problem
from deblur.restoration.hqs import HalfQuadraticSplitting
from deblur.restoration.priors.flow import FlowPrior

__all__ = ["Learned"]


@dataclass(frozen=True, kw_only=True)
class Learned:
    """Settings of the refinement.

    Args:
        passes: alternations; 0 returns the kernel as it is.
        levels: of the splitting, from noise of `first`, full scale 1.
        first: see `levels`.
        weight: of the prior.
        inner: steps of its linear solver per level.
        misfit: what the blurred scene misses the frame by, as a share of the frame's range.
        prox, floor: of the kernel step.
    """

    passes: int = 2
    levels: int = 6
    first: float = 0.2
    weight: float = 0.5
    inner: int = 8
    misfit: float = 0.015
    prox: float = 0.1
    floor: float = 0.05

    def __call__(self, planes: Sequence[Plane], kernel: Array) -> Array:
        """Refine a kernel (k, k); its sum stays 1, its centroid may move by a fraction of a pixel."""
        scenes = [Gradients(plane, kernel.shape[0]) for plane in planes]
        with threads(1), torch.no_grad():
            for _ in range(self.passes):
                for scene in scenes:
                    scene.mean = scene.differences(self._restored(scene.plane, kernel))
                kernel = taps.prune(kernel_step(scenes, kernel, self.prox, self.floor), floor=0.03)
        return kernel

    def _restored(self, plane: Plane, kernel: Array) -> Array:
        """The scene, larger than the frame."""
        values, believed = torch.from_numpy(plane.values)[None], plane.believed
        mask = None if believed is None else torch.from_numpy(believed)[None]
        problem = Problem(
            blurred=values if mask is None else torch.where(mask > 0, values, values[mask > 0].mean()),
            psf=kernel,
            sigma=math.hypot(plane.sigma, self.misfit * RANGE),
            mask=mask,
        )
        prior = FlowPrior(steps=self.levels, first=self.first, weight=self.weight)
        *_, last = HalfQuadraticSplitting(prior=prior, inner=self.inner).estimates(problem)
        return np.asarray(last.scene[0].numpy())
