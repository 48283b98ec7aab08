"""Richardson-Lucy: the maximum likelihood for photon noise, with an unknown border and total variation, accelerated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from deblur.bands import bands
from deblur.errors import OptionError
from deblur.restoration import coarse
from deblur.restoration.problem import Problem
from deblur.restoration.restorer import STEP, Iterate, Restorer, check_positive

__all__ = ["RichardsonLucy"]

DARKEST, BRIGHTEST = 1e-4, 50.0
"""Between these the scene is kept, full scale being 1: a multiplicative step cannot leave zero."""

SPARSE = 4
"""Of so many rows and columns one is looked at to tell the residual."""

FARTHEST = 2.0
"""The factor by which the momentum may change a pixel in one step, at most."""

LEAST_SEEN = 0.02
"""The share of a pixel's light that falls into the frame, below which it stays nearly as it was."""


@dataclass(frozen=True, kw_only=True)
class RichardsonLucy(Restorer):
    """Iterate x <- x / (K^T W 1 - lambda div(grad x / |grad x|)) * K^T W (y / K x), lambda = tv * sigma.

    The fixed points maximise the Poisson likelihood of photon counts (Richardson 1972, Lucy 1974), lambda being the
    weight of a total variation that holds the noise down (Dey et al. 2006) and follows the noise level. The scene
    outside the frame is estimated too (Bertero and Boccacci 2005); what the frame hardly sees stays nearly as it
    was. Where the frame clips, y / K x is at least 1: there the scene may be as bright as it likes. Steps go on in the
    direction of the last one (Nesterov 1983), in the logarithm, where light stays positive (Biggs and Andrews 1997);
    the first are taken at half the size. Only an early end regularises beside the total variation: lower `limit`.

    Args:
        tv: weight of the total variation relative to sigma, 0 for none.
        coarse: steps at half the size before the first; 0 for none.
        limit: steps at most.
        tolerance: residual relative to the frame at which to stop; 0 runs to the limit.

    Raises:
        OptionError: a setting out of its range.

    Example:
        >>> import numpy as np
        >>> problem = Problem(blurred=torch.full((1, 16, 16), 0.5), kernel=np.full((3, 3), 1 / 9))
        >>> round(RichardsonLucy()(problem).image.mean().item(), 4)
        0.5
    """

    tv: float = 0.3
    coarse: int = 60
    limit: int = 20
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        check_positive(limit=self.limit)
        if not 0 <= self.tv < 10:
            raise OptionError(f"expected tv in [0, 10), got {self.tv}")
        if self.coarse < 0:
            raise OptionError(f"expected coarse of at least 0 steps, got {self.coarse}")

    @property
    def lean(self) -> bool:
        """Its Fourier transforms are taken one channel at a time."""
        return True

    def effort(self, problem: Problem) -> float:
        """A third of a solver's step each; those at half the size are a quarter of one."""
        return STEP / 3 * (self.limit + self.coarse / 4)

    def estimates(self, problem: Problem) -> Iterator[Iterate]:
        """Yield the scene after every multiplicative step."""
        if self.coarse and coarse.worthwhile(problem):
            smaller = coarse.halved(problem)
            scene = replace(self, coarse=0, limit=self.coarse).last(smaller)
            return self._from(problem, coarse.doubled(scene, smaller.blur, problem.blur))
        return self._from(problem, problem.blur.extend(problem.blurred))

    def last(self, problem: Problem, scene: Tensor | None = None) -> Tensor:
        """The scene after `limit` steps, (C, *blur.scene), from one that is given or as `estimates` begins."""
        steps = self.estimates(problem) if scene is None else self._from(problem, scene)
        for _ in range(self.limit - 1):
            next(steps)
        return next(steps).scene

    def _from(self, problem: Problem, scene: Tensor) -> Iterator[Iterate]:
        blur, observed = problem.blur, problem.blurred.clamp_min(DARKEST)
        alike = not problem.masks and len(blur.taps) == 1
        share = blur.adjoint(problem.masked(torch.ones_like(observed[:1] if alike else observed)))
        some = problem.masked(observed.clone())[..., ::SPARSE, ::SPARSE]
        scale = some.norm().clamp_min(DARKEST)
        weight = self.tv * problem.sigma
        scene = scene.clamp(DARKEST, BRIGHTEST)
        ahead, index = scene.clone(), 0
        while True:
            ratio = blur(ahead)
            for rows in bands(ratio):
                band = torch.div(observed[:, rows], ratio[:, rows].clamp_min_(DARKEST), out=ratio[:, rows])
                if problem.clipped is not None:
                    band.copy_(torch.where(problem.clipped[:, rows], band.clamp_min(1), band))
            residual = float((some - some / ratio[..., ::SPARSE, ::SPARSE]).norm() / scale)
            following = blur.adjoint(problem.masked(ratio))
            for rows in bands(scene):
                band, part = following[:, rows], share[:, rows].clamp_min(LEAST_SEEN)
                band.add_((LEAST_SEEN - share[:, rows]).clamp_min_(0)).div_(part).mul_(ahead[:, rows])
                if weight:
                    band.div_(_curvature(ahead, 4 * weight, rows).mul_(-weight).add_(1).clamp_min_(0.1))
                band.clamp_(DARKEST, BRIGHTEST)
                momentum = (band / scene[:, rows]).clamp_(1 / FARTHEST, FARTHEST).pow_(index / (index + 3))
                scene[:, rows] = band
                band.mul_(momentum).clamp_(DARKEST, BRIGHTEST)
            ahead, index = following, index + 1
            yield Iterate(scene, residual)


def _curvature(image: Tensor, flat: float, rows: slice) -> Tensor:
    """div(grad x / sqrt(|grad x|^2 + flat^2)) in some rows, by forward differences and their adjoint.

    Where differences are below `flat` this is diffusion; the explicit step is stable for flat >= 4 times its weight.
    """
    above = int(rows.start > 0)
    part = image[..., rows.start - above : rows.stop + 1, :]
    below = part.shape[-2] - (rows.stop - rows.start) - above
    dx = torch.diff(part, dim=-1, append=part[..., -1:])
    dy = torch.diff(part, dim=-2, append=part[..., -1:, :])
    magnitude = (dx * dx).addcmul_(dy, dy).add_(max(flat, 1e-6) ** 2).rsqrt_()
    dx.mul_(magnitude)
    dy.mul_(magnitude)
    divergence = dx + dy
    divergence[..., 1:].sub_(dx[..., :-1])
    divergence[..., 1:, :].sub_(dy[..., :-1, :])
    return divergence[..., above : part.shape[-2] - below, :]
