"""The quarter-plane factor of a symbol: a masked convolution whose exact inverse is stable, from a cepstrum.

The exponential of a quarter-plane series is a quarter-plane series, and so is its reciprocal. So of a symbol with the
real and even logarithm log P = F[c], the lags of one quadrant, half of an axis and a quarter of the origin, give

    A = exp F[c on the quadrant],        the product of the four quadrants' factors being P

(Ekstrom and Woods 1976). `deblur.psf.cepstrum` factors blurs so, `deblur.layers.masked_whitening` a spectrum.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["quarter_plane"]


def quarter_plane(cepstrum: Tensor) -> Tensor:
    """The taps of A, uncut, as the cepstrum (..., grid, grid): `[..., a, b]` a rows and b columns away; grid is even.

    Example:
        >>> quarter_plane(torch.zeros(4, 4))  # log P = 0: the identity
        tensor([[1., 0., 0., 0.],
                [0., 0., 0., 0.],
                [0., 0., 0., 0.],
                [0., 0., 0., 0.]])
    """
    grid = cepstrum.shape[-1]
    lag = torch.arange(grid, dtype=cepstrum.dtype, device=cepstrum.device)
    share = ((grid // 2 - lag).sign() + lag.sign()) / 2  # an axis belongs to two quadrants, and so does grid / 2
    taps: Tensor = torch.fft.irfft2(torch.fft.rfft2(cepstrum * torch.outer(share, share)).exp(), s=(grid, grid))
    return taps
