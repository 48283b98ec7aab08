"""Noise-conditional likelihood with score matching: a density of pictures at every noise level, and a denoiser.

A clean picture x gets noise of its own level, log sigma uniform, y = x + sigma n; the model is p(y | sigma). Two terms:

    -likelihood log p(y | sigma) / D                                likelihood, in nats a pixel
    weight * tilt(sigma) * mean (sigma d log p(y | sigma) / dy + n)^2    denoising score matching (Vincent 2011)

The second is, by Tweedie's formula (Robbins 1956), the error of the denoiser y + sigma^2 d log p / dy as a share of the
noise's: it is what a restoration asks of a prior. That share falls as the noise grows, about as sigma^-3/4 for
photographs; the tilt, (sigma / (10 / 255))^tilt, makes up for it, so that every noise level counts alike. Its gradient
goes through the model twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deblur.errors import OptionError
from deblur.flows.flow import bits_per_dim
from deblur.flows.noise_conditional import denoise
from deblur.noise import LEAST_SIGMA, MOST_SIGMA
from deblur.training.objectives.objective import Batch, Objective

__all__ = ["Denoising"]

_JUDGED = (10, 25, 50)
"""The noise levels of validation, in 255ths of full scale."""

_TILTED_FROM = 10 / 255
"""The sigma at which the tilt changes nothing."""


@dataclass(frozen=True, kw_only=True)
class Denoising(Objective):
    """-log p(y | sigma) and the score's error.

    Args:
        likelihood: weight of the likelihood (of the model's `bound` on it); 0 for score matching alone, which leaves a
            density's level free, and its bits per dim without a meaning.
        weight: of score matching; 0 for likelihood alone, which takes half the time a step.
        tilt: the exponent above; 0 weighs every noise level by its share of the noise.
        lowest: the smallest sigma, full scale 1.
        highest: the largest one.
    """

    likelihood: float = 1.0
    weight: float = 0.0
    tilt: float = 0.0
    lowest: float = LEAST_SIGMA
    highest: float = MOST_SIGMA

    terms: ClassVar[tuple[str, ...]] = ("loss", "bits_per_dim", "score_error")
    figures: ClassVar[tuple[str, ...]] = ("bits_per_dim", *(f"psnr_{level}" for level in _JUDGED))

    def __post_init__(self) -> None:
        for name in ("likelihood", "weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise OptionError(f"expected {name} to be 0 or more, got {getattr(self, name):g}")
        if self.likelihood == self.weight == 0:
            raise OptionError("expected a likelihood or a weight above 0, got 0 for both")
        if not math.isfinite(self.tilt):
            raise OptionError(f"expected a finite tilt, got {self.tilt:g}")
        if not 0 < self.lowest <= self.highest < math.inf:
            raise OptionError(f"expected 0 < lowest <= highest, got {self.lowest:g} and {self.highest:g}")

    def draw(
        self, shape: tuple[int, ...], generator: np.random.Generator
    ) -> dict[str, npt.NDArray[np.float32] | float]:
        """`noise`, standard normal for every pixel, and `sigma`."""
        return {
            "sigma": self.lowest * (self.highest / self.lowest) ** generator.random(),
            "noise": generator.standard_normal(shape, dtype=np.float32),
        }

    def inputs(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Noisy pixels and their sigma (B,)."""
        sigma = batch["sigma"]
        return batch["clean"] + _spread(sigma) * batch["noise"], sigma

    def loss(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """`loss`, `bits_per_dim` of noisy pixels, `score_error`, 1 for a score of 0; NaN for what has no weight."""
        noisy, sigma = self.inputs(batch)[0], batch["sigma"]
        loss, cost, error = noisy.new_zeros(()), noisy.new_full((), math.nan), noisy.new_full((), math.nan)
        if self.likelihood > 0:
            density = model.bound(noisy, sigma).mean()
            loss = -self.likelihood / noisy[0].numel() * density
            cost = bits_per_dim(density.detach(), noisy[0].numel())
        if self.weight > 0:
            noisy.requires_grad_()
            (score,) = torch.autograd.grad(model.log_prob(noisy, sigma).sum(), noisy, create_graph=True)
            errors = (_spread(sigma) * score + batch["noise"]).square().mean((1, 2, 3))
            loss = loss + self.weight * ((sigma / _TILTED_FROM) ** self.tilt * errors).mean()
            error = errors.detach().mean()
        return {"loss": loss, "bits_per_dim": cost, "score_error": error}

    def validate(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """`bits_per_dim`, their mean over sigma = 10, 25 and 50 / 255, and the denoiser's PSNR at each, `psnr_25`."""
        clean, figures, costs = batch["clean"], {}, []
        for level in _JUDGED:
            sigma = torch.full_like(batch["sigma"], level / 255)
            noisy = clean + level / 255 * batch["noise"]
            denoised = denoise(model, noisy, sigma)[0]
            with torch.no_grad():
                costs.append(bits_per_dim(model.bound(noisy, sigma), noisy[0].numel()))
            figures[f"psnr_{level}"] = -10 * (denoised - clean).square().mean((1, 2, 3)).log10()
        return {"bits_per_dim": torch.stack(costs).mean(0), **figures}

    def sample(
        self, model: Any, count: int, shape: tuple[int, int, int], temperature: float, generator: torch.Generator
    ) -> Tensor:
        """Samples at the smallest sigma, denoised once."""
        device = next(model.parameters()).device
        sigma = torch.full((count,), self.lowest, device=device)
        with torch.no_grad():
            noisy = model.sample(count, temperature=temperature, generator=generator, context=sigma, shape=shape)
        return denoise(model, noisy, sigma)[0]


def _spread(sigma: Tensor) -> Tensor:
    return sigma[:, None, None, None]
