"""What every restorer shares: the problem it is given, the record it returns, and the one loop that drives it."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deblur.errors import OptionError
from deblur.psf.operator import Blur, of_channel

__all__ = ["ALL", "Estimate", "OnStep", "Problem", "Restoration", "Restorer", "Step"]

ALL = slice(None)
"""Every channel."""


@dataclass(frozen=True)
class Step:
    """Progress of a running restoration: step `index` (from 1) of at most `total`, and the residual so far."""

    index: int
    total: int
    residual: float


OnStep = Callable[[Step], None]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A blurred frame and what is known about it: blurred = psf * scene + noise.

    Args:
        blurred: (C, H, W) float, in linear proportion to light (or taken as if it were), full scale 1.
        psf: (kh, kw) or (C, kh, kw), summing to 1, its origin at tap (kh // 2, kw // 2).
        sigma: standard deviation that the data term is weighed with, in the units of `blurred`: noise and misfit
            together (see `deblur.restoration.noise`).
        boundary: see `deblur.psf.operator.BOUNDARIES`.
        mask: (1 or C, H, W) bool, False where a pixel of the frame is not to be believed (saturated, transparent).
        preconditioner: a name in `deblur.restoration.preconditioners.PRECONDITIONERS`.
    """

    blurred: Tensor
    psf: npt.NDArray[np.floating] | Tensor
    sigma: float = 0.01
    boundary: str = "unknown"
    mask: Tensor | None = None
    preconditioner: str = "circulant"

    @cached_property
    def blur(self) -> Blur:
        """The blur as an operator."""
        height, width = self.blurred.shape[-2:]
        return Blur(
            self.psf,
            (height, width),
            self.boundary,
            dtype=self.blurred.dtype,
            device=self.blurred.device,
        )

    @property
    def data(self) -> Tensor:
        """K^T W y, the data's part of the normal equations' right-hand side; made anew, as it is used once."""
        return self.blur.adjoint(self.blurred if self.mask is None else self.masked(self.blurred.clone()))

    @cached_property
    def size(self) -> Tensor:
        """The norm of K^T W y of every channel, (C,): what residuals are relative to."""
        return channel_norms(self.data)

    def masked(self, frame: Tensor, channel: slice = ALL) -> Tensor:
        """Zero the pixels of a frame, or of one channel of it, that are not to be believed, in place."""
        return frame if self.mask is None else frame.masked_fill_(~of_channel(self.mask, channel), 0)


@dataclass(frozen=True)
class Estimate:
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
        notes: lines a user should see.
    """

    image: Tensor
    status: str
    residual: float
    steps: int
    seconds: float
    method: str = ""
    sigma: float = math.nan
    notes: tuple[str, ...] = ()


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
    """What the kernel's misfit counts, beside noise (`deblur.restoration.noise`)."""

    @property
    def lean(self) -> bool:
        """Whether most of the memory it works in is that of one channel, so that three may be larger."""
        return False

    @abstractmethod
    def estimates(self, problem: Problem) -> Iterator[Estimate]:
        """Yield the scene after every step. Stops by itself where the method has an end of its own."""

    def expected_steps(self, problem: Problem) -> int:
        """How many steps there will be at most, for the progress report."""
        return self.limit

    def __call__(self, problem: Problem, on_step: OnStep | None = None) -> Restoration:
        """Restore `problem`; `on_step` is told after every step.

        Raises:
            DeblurError: the problem does not fit the method. Numerical trouble is a status instead.
        """
        start = time.perf_counter()
        total = self.expected_steps(problem)
        image, residual, index, status = problem.blurred, math.inf, 0, "converged"
        for index, estimate in enumerate(self.estimates(problem), 1):
            if not (math.isfinite(estimate.residual) and bool(torch.isfinite(estimate.scene).all())):
                status = "diverged"
                break
            image, residual = problem.blur.crop(estimate.scene), estimate.residual
            if on_step is not None:
                on_step(Step(index, total, residual))
            if residual <= self.tolerance:
                break
            if index >= self.limit:
                status = "limit" if self.tolerance > 0 else "converged"
                break
        return Restoration(image.contiguous(), status, residual, index, time.perf_counter() - start)


def channel_norms(values: Tensor) -> Tensor:
    """The norm of every channel of values (C, H, W) by itself, (C,)."""
    real = torch.view_as_real(values) if values.is_complex() else values  # torch's norm of complex ones is slow
    norms: Tensor = torch.linalg.vector_norm(real.flatten(1), dim=1)
    return norms


def check_positive(**settings: float) -> None:
    """Raise OptionError for the first setting that is not a finite number above zero."""
    for name, value in settings.items():
        if not (math.isfinite(value) and value > 0):
            raise OptionError(f"expected {name} to be a finite number above 0, got {value}")
