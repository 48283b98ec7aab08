"""Maximum likelihood of dequantised pixels; the literature reports its bound as bits per dim.

A pixel of 8 bits k becomes v = (k + u) / 256 with u uniform in [0, 1) (Theis, van den Oord and Bethge 2016), and
-log p(v) is minimised; its mean bounds what the picture costs under the model from above. A model with a learned
dequantisation of its own is given the levels themselves, and draws u from torch's generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deblur.layers.dequantisation import LEVELS
from deblur.training.objectives.objective import Batch, Objective

__all__ = ["Likelihood"]


@dataclass(frozen=True, kw_only=True)
class Likelihood(Objective):
    """-log p(v), in nats a pixel."""

    terms: ClassVar[tuple[str, ...]] = ("loss", "bits_per_dim")
    figures: ClassVar[tuple[str, ...]] = ("bits_per_dim",)

    def draw(
        self, shape: tuple[int, ...], generator: np.random.Generator
    ) -> dict[str, npt.NDArray[np.float32] | float]:
        """`uniform`, in [0, 1), for every pixel."""
        return {"uniform": generator.random(shape, dtype=np.float32)}

    def inputs(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Dequantised pixels in [0, 1), no context."""
        return (_levels(batch) + batch["uniform"]) / LEVELS, None

    def loss(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """`loss` in nats a pixel and `bits_per_dim`."""
        cost = self._bits_per_dim(model, batch).mean()
        return {"loss": (cost - math.log2(LEVELS)) * math.log(2), "bits_per_dim": cost.detach()}

    @torch.no_grad()
    def validate(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """`bits_per_dim`."""
        device = batch["clean"].device
        generator = torch.Generator(device).manual_seed(0)
        return {"bits_per_dim": self._bits_per_dim(model, batch, generator)}

    def sample(
        self, model: Any, count: int, shape: tuple[int, int, int], temperature: float, generator: torch.Generator
    ) -> Tensor:
        """Samples of the model."""
        pictures: Tensor = model.sample(count, shape=shape, temperature=temperature, generator=generator)
        return pictures

    def _bits_per_dim(self, model: Any, batch: Batch, generator: torch.Generator | None = None) -> Tensor:
        learned = model.dequantisation is not None and any(True for _ in model.dequantisation.parameters())
        pixels = _levels(batch).to(torch.uint8) if learned else self.inputs(batch)[0]
        cost: Tensor = model.bits_per_dim(pixels, generator=generator)
        return cost


def _levels(batch: Batch) -> Tensor:
    return torch.round(batch["clean"] * (LEVELS - 1))
