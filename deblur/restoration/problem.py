"""The problem that every restorer is given: a blurred frame and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deblur.psf import Kernel, MaskedForm
from deblur.psf.operator import Blur, of_channel

__all__ = ["ALL", "Problem", "channel_norms"]

ALL = slice(None)
"""Every channel."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A blurred frame and what is known about it: blurred = kernel * scene + noise.

    Args:
        blurred: (C, H, W) float, in linear proportion to light (or taken as if it were), full scale 1.
        kernel: the blur, (kh, kw) or (C, kh, kw), its origin at tap (kh // 2, kw // 2); an array is checked and
            normalised, a tensor taken as it is.
        sigma: standard deviation that the data term is weighed with, in the units of `blurred`: noise and misfit
            together (see `deblur.noise`).
        boundary: see `deblur.psf.operator.BOUNDARIES`.
        mask: (1 or C, H, W) bool, False where a pixel of the frame is not to be believed (saturated, transparent).
        weights: (1 or C, H, W) in [0, 1], how much a pixel's error counts beside the others'; None: all alike.
        preconditioner: a name in `deblur.restoration.preconditioners.PRECONDITIONERS`.
    """

    blurred: Tensor
    kernel: Kernel | npt.NDArray[np.floating] | Tensor
    sigma: float = 0.01
    boundary: str = "unknown"
    mask: Tensor | None = None
    weights: Tensor | None = None
    preconditioner: str = "circulant"

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, Kernel | Tensor):
            object.__setattr__(self, "kernel", Kernel(self.kernel))

    @property
    def factors(self) -> tuple[MaskedForm, ...]:
        """The masked convolutions whose product the blur is, where they are known."""
        return self.kernel.factors if isinstance(self.kernel, Kernel) else ()

    @cached_property
    def blur(self) -> Blur:
        """The blur as an operator."""
        height, width = self.blurred.shape[-2:]
        return Blur(
            self.kernel,
            (height, width),
            self.boundary,
            dtype=self.blurred.dtype,
            device=self.blurred.device,
        )

    @property
    def right_hand_side(self) -> Tensor:
        """K^T W y, the data's part of the normal equations' right-hand side; made anew, as it is used once."""
        plain = self.mask is None and self.weights is None
        return self.blur.adjoint(self.blurred if plain else self.masked(self.blurred.clone()))

    @cached_property
    def scale(self) -> Tensor:
        """The norm of K^T W y of every channel, (C,): what residuals are relative to."""
        return channel_norms(self.right_hand_side)

    def masked(self, frame: Tensor, channel: slice = ALL) -> Tensor:
        """W in place: zero the pixels of a frame, or of one channel of it, that are not believed, weigh the others."""
        if self.mask is not None:
            frame.masked_fill_(~of_channel(self.mask, channel), 0)
        return frame if self.weights is None else frame.mul_(of_channel(self.weights, channel))


def channel_norms(values: Tensor) -> Tensor:
    """The norm of every channel of values (C, H, W) by itself, (C,)."""
    real = torch.view_as_real(values) if values.is_complex() else values  # torch's norm of complex ones is slow
    norms: Tensor = torch.linalg.vector_norm(real.flatten(1), dim=1)
    return norms
