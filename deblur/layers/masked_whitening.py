"""Whitening by masked convolutions: the spectrum all photographs share, divided out, whatever the frame's size.

The spectrum V becomes a masked convolution in the way that a blur does: the cepstrum of V^-1/2 gives the minimum-phase
factor A of one quadrant (`deblur.ops.quarter_plane`), and V is even, so that one factor serves all four:

    A = exp F[quadrant of F^-1[-1/2 log V]]          W = A in all four orientations, one after another

W has the symbol V^-1/2, real and positive: it has zero phase and moves nothing. A is cut to its first taps. Its exact
inverse is
stable, and is what samples are made with: the product of four substitutions along anti-diagonals.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from deblur.errors import OptionError
from deblur.layers.spectrum import Spectrum
from deblur.layers.transform import Transform
from deblur.ops import masked_conv2d, masked_conv2d_solve
from deblur.ops.blocks import blocks
from deblur.ops.geometry import ORIENTATIONS
from deblur.ops.quarter_plane import quarter_plane

__all__ = ["MEAN", "MaskedWhitening"]

MEAN = 0.43
"""Of photographs' stored values: where the learned mean starts."""

_RIM = 8  # rows and columns beside each border whose scale is learned


class MaskedWhitening(Transform):
    """z = rim * A * A * A * A (x - mean), A looking toward each corner in turn, the edge repeated beyond the frame.

    The repeated edge changes the scale of the rows and columns beside a border. Learned numbers (`rim`) make up for
    it, one for each of the first eight on every side.

    Args:
        channels: C, each whitened by itself.
        taps: side of A in taps; 9 are enough, more than 15 gain nothing.
        grid: points a side of the grid that A is made on, even and at least `4 * taps`; at the smallest noise 64
            points alias and 128 do not.
        context_features: K of the context (B, K), whose first feature is log sigma: V is that of the scene plus
            sigma^2. So it depends on the context from the start, and pixels are to be in [0, 1].

    Raises:
        OptionError: fewer taps than 1, or a grid too small for them.

    Reference: Ekstrom and Woods 1976 (the factorisation); Inverse-Flow, arXiv:2410.14634 (exact inverses in a flow).

    Example:
        >>> layer = MaskedWhitening(1, context_features=1)
        >>> loud = torch.tensor([[math.log(10.0)]])
        >>> x = torch.randn(1, 1, 8, 8)
        >>> z, _ = layer(x, loud)  # where all is noise, white noise is what there is
        >>> torch.allclose(z, x / 10, atol=0.05), torch.allclose(layer.inverse(z, loud), x, atol=1e-4)
        (True, True)
    """

    def __init__(self, channels: int, *, taps: int = 15, grid: int = 128, context_features: int = 0) -> None:
        super().__init__()
        if taps < 1 or grid < 4 * taps or grid % 2:
            raise OptionError(f"expected at least 1 tap and an even grid of 4 taps or more, got {taps} and {grid}")
        self.taps, self.grid = taps, grid
        self.spectrum = Spectrum(channels, context_features=context_features)
        self.mean = nn.Parameter(torch.full((channels, 1, 1), MEAN))
        self.rim = nn.Parameter(torch.zeros(1 + min(context_features, 1), 4, _RIM))  # offset, slope in log sigma

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the whitened image and its log-determinant."""
        weight = self.weight(context)
        rim = self._log_scale(x, context)
        z, taps, groups = _depthwise(x - self.mean, weight)
        for orientation in ORIENTATIONS:
            z = masked_conv2d(z, taps, orientation=orientation, groups=groups, border="replicate")
        log_det = _log_det(weight, x.shape[2], x.shape[3]) + x.shape[1] * rim.sum((1, 2, 3))
        return z.view_as(x) * rim.exp(), log_det.expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Undo the four masked convolutions by their exact inverses, the last one first."""
        weight = self.weight(context)
        x, taps, groups = _depthwise(z * (-self._log_scale(z, context)).exp(), weight)
        for orientation in reversed(ORIENTATIONS):
            x = masked_conv2d_solve(x, taps, orientation=orientation, groups=groups, border="replicate")
        return x.view_as(z) + self.mean

    def weight(self, context: Tensor | None = None) -> Tensor:
        """Return the taps of A, (B, C, taps, taps); B is 1 without context features."""
        like = self.spectrum.power_law
        step = 2 * math.pi / self.grid
        rows = step * torch.arange(self.grid, dtype=like.dtype, device=like.device)
        rows = torch.where(rows > math.pi, rows - 2 * math.pi, rows)
        log_variance = self.spectrum(rows, rows[: self.grid // 2 + 1].abs(), context)
        whole = quarter_plane(torch.fft.irfft2(-0.5 * log_variance + 0j, s=(self.grid, self.grid)))
        return whole[..., : self.taps, : self.taps].contiguous()

    def _log_scale(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Return (B, 1, H, W): the sum of what the four sides add; sides shorter than two rims share the middle."""
        height, width = x.shape[2:]
        sides = self.rim[:1]
        if len(self.rim) > 1 and context is not None:
            sides = sides + context[:, :1, None] * self.rim[1:]
        near = [
            nn.functional.pad(sides[..., : min(_RIM, n)], (0, n - min(_RIM, n))) for n in (height, height, width, width)
        ]
        top, bottom, left, right = (side[:, i] for i, side in enumerate(near))
        return ((top + bottom.flip(1))[:, :, None] + (left + right.flip(1))[:, None])[:, None]


def _depthwise(image: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, int]:
    """Return images, taps and groups as an operation takes them: images with a weight of their own become channels."""
    image = image.contiguous() if len(weight) == 1 else image.reshape(1, -1, *image.shape[2:])
    taps = weight.flatten(0, 1)[:, None]
    return image, taps, len(taps)


def _log_det(weight: Tensor, height: int, width: int) -> Tensor:
    """Return four times log|det| of A on a frame, summed over the channels: (B,)."""
    channels = weight.flatten(0, 1)[:, None]
    one = sum(
        block.pixels * block.weight[:, 0, 0, 0].abs().log()
        for block in blocks(channels, height, width, "top_left", "replicate")
    )
    return 4 * torch.as_tensor(one).view(weight.shape[:2]).sum(1)
