"""Activation normalisation: a shift and a scale a channel, set once from a batch and learned from there."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deblur.layers.transform import Conditioning, Transform

__all__ = ["ActNorm"]

_LEAST_STD = 1e-6


class ActNorm(Transform):
    """z = (x + shift) * exp(log_scale), both per channel.

    The identity until `initialise` makes each channel of z have mean 0 and variance 1 on a batch; the buffer
    `initialised` says that it did. With data in several processes, call it on the whole batch in one and broadcast.

    Args:
        channels: C.
        context_features: K of the context, to which shift and log_scale are linear.

    Reference: Kingma and Dhariwal, "Glow", arXiv:1807.03039, section 3.1.

    Example:
        >>> import torch
        >>> layer = ActNorm(2)
        >>> z = layer.initialise(5 + 3 * torch.randn(4, 2, 8, 8))
        >>> bool(layer.initialised), torch.allclose(z.var((0, 2, 3), correction=0), torch.ones(2), atol=1e-4)
        (True, True)
    """

    initialised: Tensor

    def __init__(self, channels: int, *, context_features: int = 0) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.conditioning = Conditioning(context_features, 2 * channels)
        self.register_buffer("initialised", torch.tensor(False))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the normalised image, and H W times the sum of log_scale."""
        shift, log_scale = self._read(context)
        z = (x + shift[..., None, None]) * log_scale.exp()[..., None, None]
        return z, (x.shape[2] * x.shape[3] * log_scale.sum(1)).expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return z * exp(-log_scale) - shift."""
        shift, log_scale = self._read(context)
        return z * (-log_scale).exp()[..., None, None] - shift[..., None, None]

    @torch.no_grad()
    def initialise(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Set shift and log_scale from x (B, C, H, W), and return z; what was there before is overwritten."""
        variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
        self.shift.copy_(-mean)
        self.log_scale.copy_(-variance.sqrt().clamp_min(_LEAST_STD).log())
        self.initialised.fill_(True)
        z: Tensor = self(x, context)[0]
        return z

    def _read(self, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return shift and log_scale (B, C), B being 1 without context features."""
        both = torch.cat((self.shift, self.log_scale)) + self.conditioning(context, self.shift)
        shift, log_scale = both.chunk(2, 1)
        return shift, log_scale
