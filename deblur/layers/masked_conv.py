"""The masked convolution as a layer: image to latent convolves, latent to image inverts exactly (FInC Flow)."""

from __future__ import annotations

from torch import Tensor

from deblur.layers.masked_weight import MaskedTransform

__all__ = ["MaskedConv"]


class MaskedConv(MaskedTransform):
    """z = A x, with A a masked convolution of learned taps; sampling inverts it by the wavefront.

    log_det = H W log|det D| with D the anchor: 0 for a unit one. The density costs a convolution, a sample a solve.

    Args:
        channels, kernel_size, orientation, anchor, context_features: See `MaskedWeight`.

    Reference: Kallappa, Nagar and Varma, "FInC Flow", arXiv:2301.09266.

    Example:
        >>> import torch
        >>> layer = MaskedConv(3, orientation="bottom_left")
        >>> x = torch.randn(2, 3, 8, 8)
        >>> z, log_det = layer(x)
        >>> torch.allclose(layer.inverse(z), x, atol=1e-5), log_det.tolist()
        (True, [0.0, 0.0])
    """

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return A x and log|det A|."""
        return self.masked.conv(x, context)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return A^-1 z."""
        return self.masked.solve(z, context)[0]
