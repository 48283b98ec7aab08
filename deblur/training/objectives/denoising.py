"""Noise-conditional likelihood with score matching: a density of pictures at every noise level, and a denoiser.

A clean picture x gets noise of its own level, log sigma uniform, y = x + sigma n; the model is p(y | sigma). Two terms:

    -log p(y | sigma) / D                                  likelihood, in nats a pixel
    weight * mean (sigma d log p(y | sigma) / dy + n)^2    denoising score matching (Vincent 2011)

The second is, by Tweedie's formula (Robbins 1956), the error of the denoiser y + sigma^2 d log p / dy as a share of the
noise's: it is what a restoration asks of a prior. Its gradient goes through the model twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deblur.errors import OptionError
from deblur.flows.flow import bits_per_dim
from deblur.training.objectives.base import Batch, Objective

__all__ = ["Denoising", "denoise"]

_JUDGED = (10, 25, 50)
"""The noise levels of validation, in 255ths of full scale."""


@dataclass(frozen=True, kw_only=True)
class Denoising(Objective):
    """-log p(y | sigma) and the score's error.

    Args:
        weight: of score matching; 0 for likelihood alone, which takes half the time a step.
        lowest: the smallest sigma, full scale 1.
        highest: the largest one.
    """

    weight: float = 0.0
    lowest: float = 1 / 255
    highest: float = 60 / 255

    terms: ClassVar[tuple[str, ...]] = ("loss", "bits_per_dim", "score_error")
    figures: ClassVar[tuple[str, ...]] = ("bits_per_dim", *(f"psnr_{level}" for level in _JUDGED))

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf:
            raise OptionError(f"expected a weight of 0 or more, got {self.weight:g}")
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
        """`loss`, `bits_per_dim` of noisy pixels, and `score_error`, 1 for a score of 0; NaN where it has no weight."""
        noisy, sigma = self.inputs(batch)
        noisy.requires_grad_(self.weight > 0)
        density = model.log_prob(noisy, sigma)
        loss = -density.mean() / noisy[0].numel()
        error = torch.full_like(loss, math.nan)
        if self.weight > 0:
            (score,) = torch.autograd.grad(density.sum(), noisy, create_graph=True)
            error = (_spread(batch["sigma"]) * score + batch["noise"]).square().mean()
            loss = loss + self.weight * error
        cost = bits_per_dim(density.detach().mean(), noisy[0].numel())
        return {"loss": loss, "bits_per_dim": cost, "score_error": error.detach()}

    def validate(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """`bits_per_dim`, their mean over sigma = 10, 25 and 50 / 255, and the denoiser's PSNR at each, `psnr_25`."""
        clean, figures, costs = batch["clean"], {}, []
        for level in _JUDGED:
            sigma = torch.full_like(batch["sigma"], level / 255)
            noisy = clean + level / 255 * batch["noise"]
            denoised, density = denoise(model, noisy, sigma)
            costs.append(bits_per_dim(density, noisy[0].numel()))
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


def denoise(model: Any, noisy: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Tweedie's denoiser y + sigma^2 d log p(y | sigma) / dy (B, C, H, W), and log p (B,)."""
    with torch.enable_grad():
        pixels = noisy.detach().requires_grad_()
        density: Tensor = model.log_prob(pixels, sigma)
        (score,) = torch.autograd.grad(density.sum(), pixels)
    return noisy + _spread(sigma.square()) * score, density.detach()


def _spread(sigma: Tensor) -> Tensor:
    return sigma[:, None, None, None]
