"""Layers one after another: their maps compose, their log-determinants add up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from deblur.layers.transform import Shape, Transform

__all__ = ["Composition"]


class Composition(Transform):
    """z = f_n(... f_1(x)), log_det the sum of theirs; every layer gets the same context.

    Args:
        transforms: The layers in the order from image to latent; none make the identity.

    Example:
        >>> import torch
        >>> from deblur.layers import ActNorm, Squeeze
        >>> step = Composition([Squeeze(), ActNorm(4)])
        >>> step(torch.zeros(2, 1, 6, 8))[0].shape, step.output_shape((1, 6, 8))
        (torch.Size([2, 4, 3, 4]), (4, 3, 4))
    """

    def __init__(self, transforms: Iterable[Transform]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(transforms)

    @property
    def transforms(self) -> list[Transform]:
        """The layers, from image to latent."""
        return cast("list[Transform]", list(self.layers))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the latent and the sum of the log-determinants."""
        log_det = x.new_zeros(len(x))
        for transform in self.transforms:
            x, more = transform(x, context)
            log_det = log_det + more
        return x, log_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Undo the layers, the last one first."""
        for transform in reversed(self.transforms):
            z = transform.inverse(z, context)
        return z

    @torch.no_grad()
    def initialise(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Initialise one layer after another, each on what those before it make of x."""
        for transform in self.transforms:
            x = transform.initialise(x, context)
        return x

    def output_shape(self, shape: Shape) -> Shape:
        """Return the last layer's output shape."""
        for transform in self.transforms:
            shape = transform.output_shape(shape)
        return shape
