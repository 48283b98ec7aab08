"""The taps of an invertible masked convolution, as parameters that keep mask and anchor whatever an optimizer does.

There is no mask to multiply with and no anchor to repair: the taps beside the anchor are the parameters, and the anchor
D, a matrix, is read from parameters of its own (`triangular`). See `deblur.ops` for what is computed with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from deblur.errors import OptionError
from deblur.layers.transform import Conditioning, Transform
from deblur.layers.triangular import LUMatrix, UnitTriangle
from deblur.ops import masked_conv2d, masked_conv2d_solve
from deblur.ops.geometry import ORIENTATIONS

__all__ = ["MaskedTransform", "MaskedWeight"]

_STD = 0.05
_Operation: TypeAlias = Callable[..., Tensor]


class MaskedWeight(nn.Module):
    """A masked convolution with learned taps: applied, inverted, and its log-determinant.

    Args:
        channels: C.
        kernel_size: Taps a side.
        orientation: The corner the taps look toward: top_left, top_right, bottom_left or bottom_right.
        anchor: "unit", lower-triangular with ones on the diagonal, so that volume is kept; or "lu", any matrix.
        context_features: K of the context. Every output channel's taps beside the anchor are multiplied by a factor
            linear in it, 1 at first, and so are the logarithms of an "lu" anchor's pivots shifted.

    The taps start as N(0, .05^2), as in FInC Flow, or smaller where they are many, so that the inverse is stable.

    Raises:
        OptionError: An unknown anchor or orientation, or a size below 1.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        *,
        orientation: str = "top_left",
        anchor: str = "unit",
        context_features: int = 0,
    ) -> None:
        super().__init__()
        if channels < 1 or kernel_size < 1:
            raise OptionError(f"expected channels and kernel_size of at least 1, got {channels} and {kernel_size}")
        if anchor not in ("unit", "lu"):
            raise OptionError(f"expected an anchor of unit or lu, got {anchor!r}")
        if orientation not in ORIENTATIONS:
            raise OptionError(f"expected an orientation of {', '.join(ORIENTATIONS)}, got {orientation!r}")
        self.kernel_size = kernel_size
        self.orientation = orientation
        self.anchor = LUMatrix(channels, context_features) if anchor == "lu" else UnitTriangle(channels)
        free = kernel_size**2 - 1
        std = min(_STD, 0.3 / max(channels * free, 1) ** 0.5)
        self.taps = nn.Parameter(torch.randn(channels, channels, free) * std) if free else None
        self.gate = Conditioning(context_features if free else 0, channels)

    def weight(self, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the taps (B, C, C, kh, kw) and log|det D| (B,); B is 1 where the context makes no difference."""
        anchor, log_abs_det = self.anchor(context)
        if self.taps is None:
            return anchor[..., None, None], log_abs_det
        taps = self.taps * (1 + self.gate(context, self.taps))[..., None, None]
        batch = max(len(anchor), len(taps))
        both = torch.cat((anchor[..., None].expand(batch, -1, -1, -1), taps.expand(batch, -1, -1, -1)), -1)
        return both.view(*both.shape[:3], self.kernel_size, self.kernel_size), log_abs_det

    def conv(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the masked convolution of x (B, C, H, W) and its log-determinant (B,)."""
        return self._run(masked_conv2d, x, context)

    def solve(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the x whose masked convolution is y, and the log-determinant of the *convolution* (B,)."""
        return self._run(masked_conv2d_solve, y, context)

    def _run(self, operation: _Operation, image: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        weight, log_abs_det = self.weight(context)
        log_det = (image.shape[2] * image.shape[3] * log_abs_det).expand(len(image))
        if len(weight) == 1:
            return operation(image, weight[0], orientation=self.orientation), log_det
        # each image has a weight of its own: the batch becomes groups of channels of one image
        image_of_all = image.reshape(1, -1, *image.shape[2:])
        result = operation(image_of_all, weight.flatten(0, 1), orientation=self.orientation, groups=len(image))
        return result.view_as(image), log_det


class MaskedTransform(Transform):
    """A layer of one masked convolution, whichever way round it runs; its options are those of `MaskedWeight`."""

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        *,
        orientation: str = "top_left",
        anchor: str = "unit",
        context_features: int = 0,
    ) -> None:
        super().__init__()
        self.masked = MaskedWeight(
            channels, kernel_size, orientation=orientation, anchor=anchor, context_features=context_features
        )
