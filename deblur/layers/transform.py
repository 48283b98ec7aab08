"""What every layer of a flow is: an invertible map with the logarithm of its Jacobian's determinant.

A flow is a density by change of variables. With z = f(x) and a density of z,

    log p(x) = log p(f(x)) + log |det df/dx|

so a layer gives z and log |det df/dx| together, of the direction just evaluated, per image. Layers in a row add them.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn

from deblur.errors import OptionError, ShapeError

__all__ = ["Conditioning", "Shape", "Transform", "check_counts"]

Shape: TypeAlias = tuple[int, int, int]
"""Channels, rows and columns of an image."""


class Transform(nn.Module):
    """An invertible map of images (B, C, H, W), possibly conditioned on a context (B, K).

    `log_det` is (B,), a natural logarithm, of the direction just evaluated. The context is what the map depends on
    beside the image, such as the noise level. A layer made with `context_features=0` ignores it; one with K > 0
    requires it, and before training does not depend on it unless its docstring says so.

    The laws of all of them are in `tests/layers/test_laws.py`: the round trip both ways, log_det against the Jacobian,
    and derivatives to second order.
    """

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and log_det (B,), the logarithm of |det dz/dx|."""
        raise NotImplementedError

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the x with forward(x) = z."""
        raise NotImplementedError

    @torch.no_grad()
    def initialise(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Set the parameters that are set from data from this batch, and return z; only this method does so."""
        z: Tensor = self(x, context)[0]
        return z

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of z for images of this shape."""
        return shape


class Conditioning(nn.Module):
    """The context's part of some parameters: a linear map of it without offset, zero at first.

    Args:
        context_features: K of the context (B, K); 0 for a layer without one.
        outputs: The number of parameters that it adds to.
    """

    def __init__(self, context_features: int, outputs: int) -> None:
        super().__init__()
        self.context_features = context_features
        self.weight = nn.Parameter(torch.zeros(outputs, context_features)) if context_features else None
        self.outputs = outputs

    def forward(self, context: Tensor | None, like: Tensor) -> Tensor:
        """Return (B, outputs), or zeros (1, outputs) without context features; `like` says which type and device.

        Raises:
            ShapeError: The context is missing, or has another number of features.
        """
        if self.weight is None:
            return like.new_zeros(1, self.outputs)
        if context is None or context.dim() != 2 or context.shape[1] != self.context_features:
            got = "none" if context is None else str(tuple(context.shape))
            raise ShapeError(
                f"expected a context (B, {self.context_features}), which this layer is made for, got {got}"
            )
        return nn.functional.linear(context, self.weight)


_MOST = 4096


def check_counts(**counts: int) -> None:
    """Raise OptionError for the first number that is below 1, or larger than any model's."""
    for name, count in counts.items():
        if not 1 <= count <= _MOST:
            raise OptionError(f"expected {name} of 1 to {_MOST}, got {count:.6g}")
