"""The affine coupling: one part of the channels says how the other is shifted and scaled."""

from __future__ import annotations

import torch
from torch import Tensor

from deblur.layers.coupling_net import CouplingNet, halves
from deblur.layers.transform import Transform

__all__ = ["AffineCoupling", "bounded"]


def bounded(h: Tensor) -> Tensor:
    """Return the log-scale 2 tanh(h / 2): h where it is small, never beyond 2, so a scale stays within e^-2 .. e^2."""
    return 2 * torch.tanh(h / 2)


class AffineCoupling(Transform):
    """z_b = (x_b + shift(x_a)) * exp(log_scale(x_a)), z_a = x_a, with |log_scale| < 2.

    The first half of the channels (the larger one, where C is odd) is x_a. It starts as the identity.

    Args:
        channels: C, at least 2.
        hidden: Channels within the network.
        activation: See `CouplingNet`.
        context_features: K of the context, which the network reads too.

    Raises:
        OptionError: Fewer than two channels, or an unknown activation.

    Reference: Dinh et al., "Density estimation using Real NVP", arXiv:1605.08803; the bound is FInC Flow's.

    Example:
        >>> import torch
        >>> layer = AffineCoupling(4, hidden=8)
        >>> x = torch.randn(1, 4, 6, 6)
        >>> torch.equal(layer(x)[0], x)
        True
    """

    def __init__(self, channels: int, *, hidden: int = 64, activation: str = "relu", context_features: int = 0) -> None:
        super().__init__()
        self.sizes = halves(channels)
        self.net = CouplingNet(
            self.sizes[0], hidden, 2 * self.sizes[1], activation=activation, context_features=context_features
        )

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and the sum of the log-scales."""
        a, b = torch.split(x, self.sizes, 1)
        shift, log_scale = self._read(a, context)
        return torch.cat((a, (b + shift) * log_scale.exp()), 1), log_scale.sum((1, 2, 3))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Undo it: the network reads the same half."""
        a, b = torch.split(z, self.sizes, 1)
        shift, log_scale = self._read(a, context)
        return torch.cat((a, b * (-log_scale).exp() - shift), 1)

    def _read(self, a: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        shift, h = self.net(a, context).chunk(2, 1)
        return shift, bounded(h)
