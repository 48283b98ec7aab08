"""Whitening in the frequencies of the cosine transform: the spectrum all photographs share, divided out."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from deblur.layers.spectrum import Spectrum
from deblur.layers.transform import Transform

__all__ = ["DCTWhitening"]


class DCTWhitening(Transform):
    """z = D^T V^-1/2 D x, with D the orthonormal cosine transform (DCT-II) of the frame and V a learned spectrum.

    The transform mirrors the image at its border, so nothing wraps round, and the whitened image is an image again:
    the filter has zero phase. log_det = -1/2 sum log V. Frames of any size are taken. The cost is that of four matrix
    products, H W (H + W) each.

    Args:
        channels: C, each whitened by itself.
        context_features: K of the context (B, K), whose first feature is log sigma: V is that of the scene plus
            sigma^2. So it depends on the context from the start, and pixels are to be in [0, 1].

    Reference: Makhoul, "A fast cosine transform in one and two dimensions", 1980 (the transform).

    Example:
        >>> import torch
        >>> layer = DCTWhitening(1, context_features=1)
        >>> loud = torch.tensor([[math.log(10.0)]])
        >>> x = torch.randn(1, 1, 8, 8)
        >>> torch.allclose(layer(x, loud)[0], x / 10, atol=0.01)  # where all is noise, white noise is what there is
        True
    """

    def __init__(self, channels: int, *, context_features: int = 0) -> None:
        super().__init__()
        self.spectrum = Spectrum(channels, context_features=context_features)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the whitened image and its log-determinant."""
        rows, columns, log_variance = self._read(x, context)
        z = _scaled(x, rows, columns, -0.5 * log_variance)
        return z, (-0.5 * log_variance.sum((1, 2, 3))).expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return D^T V^1/2 D z."""
        rows, columns, log_variance = self._read(z, context)
        return _scaled(z, rows, columns, 0.5 * log_variance)

    def _read(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the transforms of both axes and log V at their frequencies pi k / n."""
        height, width = x.shape[2:]
        both = [torch.arange(n, dtype=x.dtype, device=x.device) * (math.pi / n) for n in (height, width)]
        return _cosines(height, x), _cosines(width, x), self.spectrum(*both, context)


def _cosines(n: int, like: Tensor) -> Tensor:
    """Return the orthonormal DCT-II matrix (n, n): row k is cos(pi k (i + 1/2) / n), scaled to length 1."""
    k = torch.arange(n, dtype=torch.float64, device=like.device)
    matrix = torch.cos(math.pi / n * k[:, None] * (k + 0.5)) * math.sqrt(2 / n)
    matrix[0] *= math.sqrt(0.5)
    return matrix.to(like.dtype)


def _scaled(image: Tensor, rows: Tensor, columns: Tensor, log_scale: Tensor) -> Tensor:
    """Return D^T exp(log_scale) D image."""
    return rows.T @ ((rows @ image @ columns.T) * log_scale.exp()) @ columns
