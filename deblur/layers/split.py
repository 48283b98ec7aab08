"""Split: half of the channels leave the flow as latents, standardised by what the other half says about them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deblur.layers.affine_coupling import bounded
from deblur.layers.coupling_net import CouplingNet, halves
from deblur.layers.transform import Shape

__all__ = ["Split"]


class Split(nn.Module):
    """x = (a, b) -> a, which goes on, and the latent e = (b - mean(a)) * exp(-log_scale(a)), a standard normal.

    This is the learned prior b ~ N(mean(a), exp(log_scale(a))^2) written as a map, so that every latent of a flow has
    the same law. It is invertible as a map from an image to the pair; because that is not a map from images to images,
    it is no `Transform`.

    Args:
        channels: C, at least 2; a has the larger half where C is odd.
        learned: False for mean 0 and scale 1, whatever a.
        hidden, activation: See `CouplingNet`.
        context_features: K of the context, which the network reads too.

    Raises:
        OptionError: Fewer than two channels.

    Example:
        >>> import torch
        >>> split = Split(4, hidden=8)
        >>> x = torch.randn(2, 4, 6, 6)
        >>> kept, latent, log_det = split(x)
        >>> kept.shape, latent.shape, torch.equal(split.inverse(kept, latent), x)
        (torch.Size([2, 2, 6, 6]), torch.Size([2, 2, 6, 6]), True)
    """

    def __init__(
        self,
        channels: int,
        *,
        learned: bool = True,
        hidden: int = 64,
        activation: str = "relu",
        context_features: int = 0,
    ) -> None:
        super().__init__()
        self.sizes = halves(channels)
        kept, left = self.sizes
        self.net = None
        if learned:
            self.net = CouplingNet(kept, hidden, 2 * left, activation=activation, context_features=context_features)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return a (B, C - C // 2, H, W), the latent (B, C // 2, H, W), and log_det (B,) of the map to both."""
        kept, left = torch.split(x, self.sizes, 1)
        if self.net is None:
            return kept, left, x.new_zeros(len(x))
        mean, log_scale = self._prior(kept, context)
        return kept, (left - mean) * (-log_scale).exp(), -log_scale.sum((1, 2, 3))

    def inverse(self, kept: Tensor, latent: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the x that was split into these two."""
        if self.net is not None:
            mean, log_scale = self._prior(kept, context)
            latent = latent * log_scale.exp() + mean
        return torch.cat((kept, latent), 1)

    def output_shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        """Return the shapes of what goes on and of what leaves."""
        return (self.sizes[0], *shape[1:]), (self.sizes[1], *shape[1:])

    def _prior(self, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        assert self.net is not None
        mean, h = self.net(kept, context).chunk(2, 1)
        return mean, bounded(h)
