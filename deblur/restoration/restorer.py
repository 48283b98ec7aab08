"""What every restorer shares: the record it returns, and the one loop that drives it."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from deblur.errors import OptionError
from deblur.progress import OnStep, Step
from deblur.restoration.problem import Problem

__all__ = ["Iterate", "Restoration", "Restorer", "check_positive"]


@dataclass(frozen=True)
class Iterate:
    """One step's result: the scene so far, and a residual relative to the right-hand side or the data."""

    scene: Tensor
    residual: float


@dataclass(frozen=True)
class Restoration:
    """What a restorer returns.

    Attributes:
        image: (C, H, W), the scene at the pixels of the blurred frame.
        status: `converged` (the tolerance was met or the schedule is complete), `limit` (it stopped at the limit of
            steps) or `diverged` (a step was not finite; the image is the last one that was).
        residual: the last step's relative residual.
        steps: steps taken.
        seconds: time taken.
        method, sigma: what was run and the noise level it was given (NaN where none was needed).
        noise: the same in dark, middle and bright parts, where it differs.
        notes: lines a user should see.
        trusted: the mean share of the restoration in the image; the rest is the file's (`deblur.trusting`).
    """

    image: Tensor
    status: str
    residual: float
    steps: int
    seconds: float
    method: str = ""
    sigma: float = math.nan
    noise: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    trusted: float = 1.0

    @property
    def untouched(self) -> bool:
        """Whether nothing of a restoration is in the image: it is the file's, to the bit."""
        return self.trusted == 0


STEP = 20.0
"""Fourier transforms that a step of a solver takes as long as, with what it does to each pixel."""


class Restorer(ABC):
    """Settings of a method; calling it with a problem restores the frame.

    A child is a frozen keyword-only dataclass with the fields `limit` (steps at most) and `tolerance` (stop when the
    relative residual falls below it; 0 runs to the limit), and yields its estimates from `estimates`.
    """

    limit: int
    tolerance: float
    whole: ClassVar[bool] = False
    """Whether the method needs the whole frame: its result may not be put together from tiles."""
    apart: ClassVar[bool] = False
    """Whether no channel's result depends on another channel."""
    least_noise: float = 0.0
    """The share of the noise that a frame shows which it is taken to have at least, whatever is told."""
    caution: float = 1.0
    """What the kernel's misfit counts, beside noise (`deblur.noise`)."""

    @property
    def learned(self) -> bool:
        """Whether the method's prior comes from a file, which another may take the place of."""
        return False

    @property
    def lean(self) -> bool:
        """Whether most of the memory it works in is that of one channel, so that three may be larger."""
        return False

    @abstractmethod
    def estimates(self, problem: Problem) -> Iterator[Iterate]:
        """Yield the scene after every step. Stops by itself where the method has an end of its own."""

    def expected_steps(self, problem: Problem) -> int:
        """How many steps there will be at most, for the progress report."""
        return self.limit

    def effort(self, problem: Problem) -> float:
        """How many Fourier transforms, forth and back, it takes as long as: an estimate, to tell the time by."""
        return STEP * self.expected_steps(problem)

    def __call__(self, problem: Problem, on_step: OnStep | None = None) -> Restoration:
        """Restore `problem`; `on_step` is told after every step.

        Raises:
            DeblurError: the problem does not fit the method. Numerical trouble is a status instead.
        """
        start = time.perf_counter()
        total = self.expected_steps(problem)
        image, residual, index, status = problem.blurred, math.inf, 0, "converged"
        for index, estimate in enumerate(self.estimates(problem), 1):
            if not (math.isfinite(estimate.residual) and math.isfinite(float(estimate.scene.sum()))):
                status = "diverged"
                break
            image, residual = problem.blur.crop(estimate.scene), estimate.residual
            if on_step is not None:
                on_step(Step(index, total, f"residual {residual:.2g}"))
            if residual <= self.tolerance:
                break
            if index >= self.limit:
                status = "limit" if self.tolerance > 0 else "converged"
                break
        return Restoration(image.contiguous(), status, residual, index, time.perf_counter() - start)


def check_positive(**settings: float) -> None:
    """Raise OptionError for the first setting that is not a finite number above zero."""
    for name, value in settings.items():
        if not (math.isfinite(value) and value > 0):
            raise OptionError(f"expected {name} to be a finite number above 0, got {value}")
