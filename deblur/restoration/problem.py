"""The problem that every restorer is given: a blurred frame and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deblur.psf.operator import Blur, of_channel

__all__ = ["ALL", "Problem", "channel_norms"]

ALL = slice(None)
"""Every channel."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A blurred frame and what is known about it: blurred = psf * scene + noise.

    Args:
        blurred: (C, H, W) float, in linear proportion to light (or taken as if it were), full scale 1.
        psf: (kh, kw) or (C, kh, kw), summing to 1, its origin at tap (kh // 2, kw // 2).
        sigma: standard deviation that the data term is weighed with, in the units of `blurred`: noise and misfit
            together (see `deblur.noise`).
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


def channel_norms(values: Tensor) -> Tensor:
    """The norm of every channel of values (C, H, W) by itself, (C,)."""
    real = torch.view_as_real(values) if values.is_complex() else values  # torch's norm of complex ones is slow
    norms: Tensor = torch.linalg.vector_norm(real.flatten(1), dim=1)
    return norms
