"""Richardson-Lucy: the maximum likelihood for photon noise, with an unknown border and optional total variation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from deblur.errors import OptionError
from deblur.restoration.problem import Problem
from deblur.restoration.restorer import Iterate, Restorer, check_positive

__all__ = ["RichardsonLucy"]


@dataclass(frozen=True, kw_only=True)
class RichardsonLucy(Restorer):
    """Iterate x <- x / (K^T W 1 - lambda div(grad x / |grad x|)) * K^T W (y / K x), lambda = tv * sigma.

    The fixed points maximise the Poisson likelihood of photon counts (Richardson 1972, Lucy 1974), lambda being the
    weight of a total variation that holds the noise down (Dey et al. 2006) and follows the noise level. The scene
    outside the frame is estimated too (Bertero and Boccacci 2005); what the frame hardly sees stays nearly as it
    was. Without total variation only an early end regularises: lower `limit`.

    Args:
        tv: weight of the total variation relative to sigma, 0 for none.
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

    tv: float = 0.2
    limit: int = 100
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        check_positive(limit=self.limit)
        if not 0 <= self.tv < 10:
            raise OptionError(f"expected tv in [0, 10), got {self.tv}")

    def estimates(self, problem: Problem) -> Iterator[Iterate]:
        """Yield the scene after every multiplicative step."""
        blur, tiny, least = problem.blur, 1e-6, 0.02
        observed = problem.blurred.clamp_min(0)
        believed = problem.masked(torch.ones_like(observed))
        share = blur.adjoint(believed)
        unseen, share = (least - share).clamp_min(0), share.clamp_min(least)
        scene = blur.extend(observed).clamp_min(tiny)
        scale = observed.norm().clamp_min(tiny)
        weight = self.tv * problem.sigma
        while True:
            ratio = problem.masked(observed / blur(scene).clamp_min(tiny))
            step = (blur.adjoint(ratio) + unseen) / share
            scene = (scene * step / (1 - weight * _curvature(scene, 4 * weight)).clamp_min(0.1)).clamp_min(tiny)
            yield Iterate(scene, float(problem.masked(blur(scene) - observed).norm() / scale))


def _curvature(image: Tensor, flat: float) -> Tensor:
    """div(grad x / sqrt(|grad x|^2 + flat^2)), by forward differences and their adjoint.

    Where differences are below `flat` this is diffusion; the explicit step is stable for flat >= 4 times its weight.
    """
    dx = torch.diff(image, dim=-1, append=image[..., -1:])
    dy = torch.diff(image, dim=-2, append=image[..., -1:, :])
    magnitude = (dx.square() + dy.square() + max(flat, 1e-6) ** 2).sqrt()
    dx, dy = dx / magnitude, dy / magnitude
    zero_x, zero_y = torch.zeros_like(dx[..., :1]), torch.zeros_like(dy[..., :1, :])
    return torch.diff(dx, dim=-1, prepend=zero_x) + torch.diff(dy, dim=-2, prepend=zero_y)
