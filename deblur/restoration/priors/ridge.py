"""White gradients: the quadratic prior of the Wiener filter."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from deblur.restoration.priors.splitting import Level, SplittingPrior
from deblur.restoration.restorer import check_positive
from deblur.restoration.symbols import Symbol, gradients

__all__ = ["Ridge"]


@dataclass(frozen=True, kw_only=True)
class Ridge(SplittingPrior):
    """Minimise ||W (K x - y)||^2 / sigma^2 + weight * ||grad x||^2: z = 0, whatever F x is.

    Args:
        weight: 1 / (mean squared gradient) of the scenes expected.
        steps: levels, all alike.
    """

    weight: float = 65.0
    steps: int = 10

    def __post_init__(self) -> None:
        check_positive(weight=self.weight, steps=self.steps)

    @property
    def symbol(self) -> Symbol:
        """|grad|^2."""
        return gradients

    def schedule(self, sigma: float) -> list[Level]:
        """The same level so many times."""
        return [Level(q=self.weight * sigma**2, penalty=0.0, index=index) for index in range(self.steps)]

    def warm(self, steps: int) -> Ridge:
        """The same, so many times."""
        return replace(self, steps=steps)

    def pull(self, image: Tensor, level: Level) -> Tensor:
        """-F^T F x."""
        pulled = -4 * image
        for axis in (-2, -1):
            last = image.shape[axis] - 1
            for to, start, length in ((1, 0, last), (0, last, 1), (0, 1, last), (last, 0, 1)):  # circular
                pulled.narrow(axis, to, length).add_(image.narrow(axis, start, length))
        return pulled
