"""The spline coupling: one part of the channels says by which monotone spline the other is bent."""

from __future__ import annotations

import torch
from torch import Tensor

from deblur.layers import rational_quadratic
from deblur.layers.coupling_net import CouplingNet, halves
from deblur.layers.transform import Transform

__all__ = ["SplineCoupling"]


class SplineCoupling(Transform):
    """z_b = s(x_b), with s the rational-quadratic spline that a network makes of x_a; z_a = x_a.

    Beyond [-bound, bound] it is the identity, so that values far from the data do not grow; the scales of affine
    couplings multiply from layer to layer there. It starts as the identity.

    Args:
        channels: C, at least 2; x_a has the larger half where C is odd.
        hidden, activation: See `CouplingNet`.
        bins: Pieces of a spline.
        bound: Splines bend within [-bound, bound].
        context_features: K of the context, which the network reads too.

    Raises:
        OptionError: Fewer than two channels, an unknown activation, bins or a bound that make no spline.

    Reference: Durkan et al., "Neural Spline Flows", arXiv:1906.04032, section 3.

    Example:
        >>> import torch
        >>> layer = SplineCoupling(4, hidden=8)
        >>> far = torch.full((1, 4, 2, 2), 1e6)
        >>> torch.equal(layer(far)[0], far)
        True
    """

    def __init__(
        self,
        channels: int,
        *,
        hidden: int = 64,
        activation: str = "relu",
        bins: int = 8,
        bound: float = 4.0,
        context_features: int = 0,
    ) -> None:
        super().__init__()
        rational_quadratic.check(bins, bound)
        self.sizes = halves(channels)
        self.bound = bound
        self.parameters_each = rational_quadratic.parameters(bins)
        self.net = CouplingNet(
            self.sizes[0],
            hidden,
            self.sizes[1] * self.parameters_each,
            activation=activation,
            context_features=context_features,
        )

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and the sum of the slopes' logarithms."""
        a, b = torch.split(x, self.sizes, 1)
        bent, log_slope = rational_quadratic.forward(b, self._read(a, context), self.bound)
        return torch.cat((a, bent), 1), log_slope.sum((1, 2, 3))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Undo it: the network reads the same half."""
        a, b = torch.split(z, self.sizes, 1)
        return torch.cat((a, rational_quadratic.inverse(b, self._read(a, context), self.bound)), 1)

    def _read(self, a: Tensor, context: Tensor | None) -> Tensor:
        """Return the splines (B, C // 2, H, W, parameters)."""
        shapes: Tensor = self.net(a, context)
        return shapes.view(len(a), self.sizes[1], self.parameters_each, *a.shape[2:]).movedim(2, -1)
