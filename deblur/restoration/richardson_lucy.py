"""Richardson-Lucy: the maximum likelihood for photon noise, with an unknown border and optional total variation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from deblur.errors import OptionError
from deblur.restoration.base import Estimate, Problem, Restorer, check_positive

__all__ = ["RichardsonLucy"]


@dataclass(frozen=True, kw_only=True)
class RichardsonLucy(Restorer):
    """Iterate x <- x / (K^T W 1 - tv div(grad x / |grad x|)) * K^T W (y / K x).

    The fixed points maximise the Poisson likelihood of photon counts (Richardson 1972, Lucy 1974); the scene outside
    the frame is estimated with it (Bertero and Boccacci 2005), and pixels that only the unseen part feeds stay as
    they were. Stopping early is the regularisation, and it is chosen from the noise: the iteration ends when the
    frame is explained to within sigma (the discrepancy principle), or at `limit`.

    Args:
        tv: weight of the total variation (Dey et al. 2006), 0 for none; .002 is mild, above .1 it may diverge.
        limit: steps at most.
        tolerance: relative residual to stop at; 0 leaves it to the discrepancy.

    Example:
        >>> import numpy as np
        >>> problem = Problem(blurred=torch.full((1, 16, 16), 0.5), psf=np.full((3, 3), 1 / 9))
        >>> RichardsonLucy()(problem).status
        'converged'
    """

    tv: float = 0.002
    limit: int = 100
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        check_positive(limit=self.limit)
        if not 0 <= self.tv < 1:
            raise OptionError(f"expected tv in [0, 1), got {self.tv}")

    def estimates(self, problem: Problem) -> Iterator[Estimate]:
        """Yield the scene after every multiplicative step."""
        blur, tiny = problem.blur, 1e-6
        observed = problem.blurred.clamp_min(0)
        believed = problem.masked(torch.ones_like(observed))
        share = blur.adjoint(believed).clamp_min(1e-3)
        scene = blur.extend(observed).clamp_min(tiny)
        scale = observed.norm().clamp_min(tiny)
        target = float(problem.sigma * believed.sum().sqrt() / scale)
        while True:
            ratio = problem.masked(observed / blur(scene).clamp_min(tiny))
            step = (blur.adjoint(ratio) + (1e-3 - blur.adjoint(believed)).clamp_min(0)) / share
            scene = (scene * step / (1 - self.tv * _curvature(scene)).clamp_min(0.1)).clamp_min(tiny)
            residual = float(problem.masked(blur(scene) - observed).norm() / scale)
            yield Estimate(scene, residual)
            if residual <= target:
                return


def _curvature(image: Tensor) -> Tensor:
    """div(grad x / |grad x|), by forward differences and their adjoint; 0 where the image is flat."""
    dx = torch.diff(image, dim=-1, append=image[..., -1:])
    dy = torch.diff(image, dim=-2, append=image[..., -1:, :])
    magnitude = (dx.square() + dy.square()).sqrt().clamp_min(1e-4)
    dx, dy = dx / magnitude, dy / magnitude
    zero_x, zero_y = torch.zeros_like(dx[..., :1]), torch.zeros_like(dy[..., :1, :])
    return torch.diff(dx, dim=-1, prepend=zero_x) + torch.diff(dy, dim=-2, prepend=zero_y)
