"""A masked convolution that inverts as the first codes for such flows did: one pixel after the other, in the language.

What is slow about it is not the arithmetic, which is that of the wavefront, but H * W dependent steps of a few small
operations each, where the wavefront has H + W - 1 and runs them in compiled code.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from deblur.layers.masked_conv import MaskedConv
from deblur.layers.transform import Transform
from deblur.ops import geometry

__all__ = ["PixelLoop", "with_pixel_loops"]


class PixelLoop(Transform):
    """`MaskedConv` with the same weights, its inverse by substitution in raster order, a whole batch at once."""

    def __init__(self, conv: MaskedConv) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As the layer does."""
        result: tuple[Tensor, Tensor] = self.conv(x, context)
        return result

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Pixel by pixel, each from those above and to the left."""
        weight = self.conv.masked.weight(context)[0][0]
        k = weight.shape[-1]
        z = geometry.flip(z, self.conv.masked.orientation)
        height, width = z.shape[2:]
        x = z.new_zeros(*z.shape[:2], height + k - 1, width + k - 1)  # zeros above and to the left
        anchor = torch.linalg.inv(weight[:, :, 0, 0])
        window_weight = weight.flip(2, 3)
        for i in range(height):
            for j in range(width):
                earlier = torch.einsum("oiab,niab->no", window_weight, x[:, :, i : i + k, j : j + k])
                x[:, :, i + k - 1, j + k - 1] = (z[:, :, i, j] - earlier) @ anchor.T  # the pixel itself is still 0
        return geometry.flip(x[:, :, k - 1 :, k - 1 :], self.conv.masked.orientation)


def with_pixel_loops(flow: nn.Module) -> nn.Module:
    """Return a copy of the flow whose masked convolutions invert by pixels."""
    flow = copy.deepcopy(flow)
    for parent in list(flow.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, MaskedConv):
                setattr(parent, name, PixelLoop(child))
    return flow
