"""An activation that can be undone: one learned monotone spline a channel, applied to every pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deblur.layers import rational_quadratic
from deblur.layers.transform import Conditioning, Transform

__all__ = ["SplineActivation"]


class SplineActivation(Transform):
    """z = s_c(x), s_c the monotone rational-quadratic spline of channel c; it starts as the identity.

    Args:
        channels: C.
        bins: Pieces of the spline.
        bound: It bends within [-bound, bound].
        context_features: K of the context, to which the spline's parameters are linear.

    Reference: Durkan et al., "Neural Spline Flows", arXiv:1906.04032; as an activation: Inverse-Flow,
    arXiv:2410.14634, section 4.

    Example:
        >>> import torch
        >>> layer = SplineActivation(2)
        >>> x = torch.randn(1, 2, 4, 4)
        >>> torch.allclose(layer(x)[0], x, atol=1e-5)
        True
    """

    def __init__(self, channels: int, *, bins: int = 8, bound: float = 4.0, context_features: int = 0) -> None:
        super().__init__()
        rational_quadratic.check(bins, bound)
        self.bound = bound
        self.spline = nn.Parameter(torch.zeros(channels, rational_quadratic.parameters(bins)))
        self.conditioning = Conditioning(context_features, self.spline.numel())

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the bent image and the sum of the slopes' logarithms."""
        z, log_slope = rational_quadratic.forward(x, self._read(context), self.bound)
        return z, log_slope.sum((1, 2, 3))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return x by the root of a quadratic."""
        return rational_quadratic.inverse(z, self._read(context), self.bound)

    def _read(self, context: Tensor | None) -> Tensor:
        """Return the splines (B or 1, C, 1, 1, parameters)."""
        changes: Tensor = self.conditioning(context, self.spline)
        return (self.spline + changes.view(-1, *self.spline.shape))[:, :, None, None]
