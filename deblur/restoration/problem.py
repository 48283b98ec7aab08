"""The problem that every restorer is given: a blurred frame and what is known about it.

    y = K x + noise in light,  u = curve.encode(x) the stored values that people see and priors act on

A pixel's noise is told in stored values, sigma * deviation; where the frame clips, it says only "at least so bright".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deblur.psf import Kernel, MaskedForm
from deblur.psf.operator import Blur, of_channel
from deblur.transfer import TRANSFERS, Transfer

__all__ = ["ALL", "Problem", "channel_norms"]

ALL = slice(None)
"""Every channel."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A blurred frame and what is known about it: blurred = kernel * scene + noise.

    It is `plain` where light itself is what is seen and its noise is the same everywhere: then it is quadratic.

    Args:
        blurred: (C, H, W) float, in linear proportion to light (or taken as if it were), full scale 1.
        kernel: the blur, (kh, kw) or (C, kh, kw), its origin at tap (kh // 2, kw // 2); an array is checked and
            normalised, a tensor taken as it is.
        sigma: standard deviation that the data term is weighed with, in stored values (`curve`): noise and misfit
            together (see `deblur.noise`).
        boundary: see `deblur.psf.operator.BOUNDARIES`.
        mask: (1 or C, H, W) bool, False where a pixel of the frame is not to be believed (saturated, transparent).
        weights: (1 or C, H, W) in [0, 1], how much a pixel's error counts beside the others'; None: all alike.
        preconditioner: a name in `deblur.restoration.preconditioners.PRECONDITIONERS`.
        curve: between light and stored values, in which sigma is told and priors act.
        deviation: (1 or C, H, W), the noise of each pixel relative to sigma; None: alike.
        clipped: (1 or C, H, W) bool, True where the frame says only "at least so bright"; None: nowhere.
        crushed: (1 or C, H, W) bool, True where it says only "at most so bright"; None: nowhere.
        chroma: what the two colour differences of a frame of three channels count in the data term beside brightness.
    """

    blurred: Tensor
    kernel: Kernel | npt.NDArray[np.floating] | Tensor
    sigma: float = 0.01
    boundary: str = "unknown"
    mask: Tensor | None = None
    weights: Tensor | None = None
    preconditioner: str = "circulant"
    curve: Transfer = TRANSFERS["linear"]
    deviation: Tensor | None = None
    clipped: Tensor | None = None
    crushed: Tensor | None = None
    chroma: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, Kernel | Tensor):
            object.__setattr__(self, "kernel", Kernel(self.kernel))

    @property
    def plain(self) -> bool:
        """Whether the data term is quadratic but for what clips: light as it is, noise alike everywhere."""
        return self.linear and self.deviation is None and self.chroma == 1

    @property
    def linear(self) -> bool:
        """Whether stored values are light."""
        return self.curve.name == "linear"

    @property
    def masks(self) -> bool:
        """Whether there are pixels that count less than others, or not at all."""
        return self.mask is not None or self.weights is not None

    @property
    def clips(self) -> bool:
        """Whether there are pixels that only bound the light."""
        return self.clipped is not None or self.crushed is not None

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

    def believing(self) -> Problem:
        """The problem in which clipped pixels do not count."""
        if not self.clips:
            return self
        mask = torch.ones_like(self.blurred, dtype=torch.bool)
        for plane in (self.clipped, self.crushed):
            mask = mask if plane is None else mask & ~plane
        return replace(self, mask=mask if self.mask is None else mask & self.mask, clipped=None, crushed=None)

    def bounded(self, scene: Tensor) -> Problem:
        """The problem in which clipped pixels count only where this scene, blurred, is beyond what they allow."""
        if not self.clips:
            return self
        rest = self.blurred - self.blur(scene)
        counted = torch.ones_like(rest, dtype=torch.bool)
        if self.clipped is not None:
            counted &= ~self.clipped | (rest > 0)
        if self.crushed is not None:
            counted &= ~self.crushed | (rest < 0)
        return replace(self, mask=counted if self.mask is None else counted & self.mask, clipped=None, crushed=None)

    @property
    def right_hand_side(self) -> Tensor:
        """K^T W y, the data's part of the normal equations' right-hand side; made anew, as it is used once."""
        return self.blur.adjoint(self.masked(self.blurred.clone()) if self.masks else self.blurred)

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
