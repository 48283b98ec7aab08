"""What half-quadratic splitting asks of a prior."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from deblur.restoration.symbols import Symbol

__all__ = ["Level", "SplittingPrior"]


@dataclass(frozen=True)
class Level:
    """One step of a splitting's schedule.

    Attributes:
        q: weight of the coupling ||F x - z||^2 relative to the data term ||W (K x - y)||^2.
        penalty: what the prior's prox wants to know of the step: a penalty beta, or a noise level s.
        index: of the step, from 0, for priors that vary something from one to the next.
    """

    q: float
    penalty: float
    index: int = 0


class SplittingPrior(ABC):
    """A prior sum of rho(F x) over a bank of filters F, each with its own prox.

    The splitting introduces z = F x and alternates z = prox(F x) with a quadratic step that pulls F x to z.

    Attributes:
        lean: whether a pull needs little memory beside the image and itself.
        learned: whether it comes from a file, which its field `file` names.
        effort: Fourier transforms, forth and back, that a pull takes as long as, beyond those a step has room for.
        opponent: whether it sees brightness and colour differences in place of red, green and blue, in a descent.
    """

    lean: ClassVar[bool] = False
    learned: ClassVar[bool] = False
    opponent: ClassVar[bool] = True
    effort: ClassVar[float] = 0.0

    @property
    @abstractmethod
    def symbol(self) -> Symbol:
        """Sum of |F(w1, w2)|^2 over the filters."""

    @abstractmethod
    def schedule(self, sigma: float) -> list[Level]:
        """The steps for a noise level sigma in (0, 1)."""

    def warm(self, steps: int) -> SplittingPrior:
        """The prior with a schedule of so many levels, from a scene that is nearly right; here its own schedule."""
        del steps
        return self

    @abstractmethod
    def pull(self, image: Tensor, level: Level) -> Tensor:
        """F^T (prox(F x) - F x) of an image (C, H, W) on a circular grid: a small difference, exactly."""
