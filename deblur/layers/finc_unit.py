"""The FInC unit: the channels in four parts, each a masked convolution that looks toward another corner."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from deblur.errors import OptionError
from deblur.layers.inverse_conv import InverseConv
from deblur.layers.masked_conv import MaskedConv
from deblur.layers.transform import Transform
from deblur.ops.geometry import ORIENTATIONS

__all__ = ["FIncUnit"]


_KINDS = {"conv": MaskedConv, "inverse": InverseConv}


class FIncUnit(Transform):
    """Four masked convolutions side by side, one for each orientation; together they see all around a pixel.

    The parts are as equal as C allows, the first ones larger; below four channels there are as many parts as channels.

    Args:
        channels: C.
        kernel_size, anchor, context_features: See `deblur.layers.masked_weight`.
        direction: "conv", image to latent convolves (FInC Flow); "inverse", it inverts (Inverse-Flow).

    Raises:
        OptionError: An unknown direction or anchor, or a size below 1.

    Reference: Kallappa, Nagar and Varma, "FInC Flow", arXiv:2301.09266, section 4.

    Example:
        >>> import torch
        >>> unit = FIncUnit(6)
        >>> unit.sizes
        [2, 2, 1, 1]
        >>> x = torch.randn(1, 6, 8, 8)
        >>> torch.allclose(unit.inverse(unit(x)[0]), x, atol=1e-5)
        True
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        *,
        anchor: str = "unit",
        direction: str = "conv",
        context_features: int = 0,
    ) -> None:
        super().__init__()
        if direction not in _KINDS:
            raise OptionError(f"expected a direction of conv or inverse, got {direction!r}")
        kind = _KINDS[direction]
        parts = min(4, channels)
        self.sizes = [channels // parts + (i < channels % parts) for i in range(parts)]
        self.parts = nn.ModuleList(
            kind(size, kernel_size, orientation=orientation, anchor=anchor, context_features=context_features)
            for size, orientation in zip(self.sizes, ORIENTATIONS, strict=False)
        )

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the parts' results side by side, and the sum of their log-determinants."""
        pairs = [part(each, context) for part, each in zip(self._parts, torch.split(x, self.sizes, 1), strict=True)]
        return torch.cat([z for z, _ in pairs], 1), torch.stack([log_det for _, log_det in pairs]).sum(0)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Invert every part."""
        pieces = zip(self._parts, torch.split(z, self.sizes, 1), strict=True)
        return torch.cat([part.inverse(each, context) for part, each in pieces], 1)

    @property
    def _parts(self) -> list[Transform]:
        return cast("list[Transform]", list(self.parts))
