"""A small density to train in tests: independent pixels of a learned gray, conditional on the noise where asked.

Its figures are known: with pixels N(mean, spread^2), noisy ones are N(mean, spread^2 + sigma^2), and Tweedie's denoiser
is Wiener's. As a script it is the command `deblur` that knows this architecture.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deblur.flows import FLOWS


class Density(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.rand(channels))
        self.log_spread = nn.Parameter(torch.zeros(channels))
        self.net = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.SiLU(), nn.Conv2d(4, channels, 3, padding=1))
        self.register_buffer("initialised", torch.tensor(False))
        self.dequantisation = None

    @torch.no_grad()
    def initialise(self, x: Tensor, context: Tensor | None = None) -> None:
        self.mean.copy_(x.mean((0, 2, 3)))
        nn.init.zeros_(self.net[2].weight)
        nn.init.zeros_(self.net[2].bias)
        self.initialised.fill_(True)

    def _law(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        variance = (2 * self.log_spread).exp()[None, :, None, None]
        if context is not None:
            variance = variance + context.square()[:, None, None, None]
        return self.mean[None, :, None, None], variance

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        mean, variance = self._law(x, context)
        bend = 1e-2 * self.net(x).square()  # no density any more, but something that depends on its neighbours
        return (-0.5 * (x - mean).square() / variance - 0.5 * (2 * torch.pi * variance).log() - bend).sum((1, 2, 3))

    def bound(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.log_prob(x, context)

    def sample(
        self,
        n: int,
        shape: tuple[int, int, int],
        temperature: float = 1.0,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        mean, variance = self._law(torch.zeros(n, *shape), context)
        return mean + temperature * variance.sqrt() * torch.randn(n, *shape, generator=generator)


@dataclass(frozen=True, kw_only=True)
class Settings:
    channels: int = 1

    def build(self) -> Density:
        return Density(self.channels)


FLOWS["density"] = Settings

if __name__ == "__main__":
    from deblur.cli import main

    sys.exit(main())
