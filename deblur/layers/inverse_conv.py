"""The inverse of a masked convolution as a layer: image to latent inverts, latent to image convolves (Inverse-Flow)."""

from __future__ import annotations

from torch import Tensor

from deblur.layers.masked_weight import MaskedTransform

__all__ = ["InverseConv"]


class InverseConv(MaskedTransform):
    """z = A^-1 x, with A a masked convolution of learned taps; sampling is the plain convolution A z.

    log_det = -H W log|det D| with D the anchor: 0 for a unit one. A pixel of z depends on all of x toward the corner,
    where that of `MaskedConv` depends on as many as it has taps. The gradient is one transposed solve and one
    correlation (`deblur.ops`), and itself differentiable.

    Args:
        channels, kernel_size, orientation, anchor, context_features: See `MaskedWeight`.

    Reference: Nagar and Varma, "Inverse-Flow", arXiv:2410.14634 (its Theorem 1 is transposed as printed).

    Example:
        >>> import torch
        >>> layer = InverseConv(3, anchor="lu")
        >>> x = torch.randn(2, 3, 8, 8)
        >>> z, log_det = layer(x)
        >>> torch.allclose(layer.inverse(z), x, atol=1e-5), log_det.shape
        (True, torch.Size([2]))
    """

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return A^-1 x and -log|det A|."""
        z, log_det = self.masked.solve(x, context)
        return z, -log_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return A z."""
        return self.masked.conv(z, context)[0]
