"""The power spectrum of photographs with noise in them, as a layer learns it: a power law, times a table.

    log S(f) = p0 - e^p2 log(l(f) + e^p1)        l = 4 - 2 cos f1 - 2 cos f2, the Laplacian's symbol
    log V(f) = log(S(f) + sigma^2) + T(f, log sigma)

S is the scene's, sigma the noise's standard deviation; T starts at zero, is bilinear between knots uniform in
sqrt(|f| / pi) along each axis and linear between knots of log sigma. Per channel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from deblur.errors import OptionError, ShapeError
from deblur.noise import LEAST_SIGMA, MOST_SIGMA

__all__ = ["Spectrum"]

_POWER_LAW = (-3.84, -3.25, 0.55)  # of gray photographs on [0, 1]
_FREQUENCIES = 8  # knots along each axis
_LEVELS = 6  # knots in log sigma


class Spectrum(nn.Module):
    """The variance V of an image's component at each frequency, of pixels in [0, 1].

    Args:
        channels: C, each with a spectrum of its own.
        context_features: K of the context (B, K), whose first feature is log sigma; the others are ignored. 0 for
            images without noise: V = S exp(T).

    Raises:
        OptionError: A negative number of features, or no channel.

    Example:
        >>> import torch
        >>> spectrum = Spectrum(1)
        >>> low, high = spectrum(torch.tensor([0.1, 3.0]), torch.tensor([0.0])).flatten().exp().tolist()
        >>> low > 100 * high
        True
    """

    def __init__(self, channels: int, *, context_features: int = 0) -> None:
        super().__init__()
        if channels < 1 or context_features < 0:
            raise OptionError(
                f"expected at least 1 channel and no negative context, got {channels} and {context_features}"
            )
        self.context_features = context_features
        self.power_law = nn.Parameter(torch.tensor(_POWER_LAW).repeat(channels, 1))
        levels = _LEVELS if context_features else 1
        self.table = nn.Parameter(torch.zeros(channels, levels, _FREQUENCIES, _FREQUENCIES))

    def forward(self, rows: Tensor, columns: Tensor, context: Tensor | None = None) -> Tensor:
        """Return log V (B, C, rows, columns); B is 1 without context features.

        Args:
            rows, columns: Frequencies in radians a pixel, -pi to pi, each of one axis.
            context: (B, K), see above.

        Raises:
            ShapeError: The context is missing, or has another number of features.
        """
        laplacian = (2 - 2 * rows.cos())[:, None] + (2 - 2 * columns.cos())
        level, floor, power = self.power_law[..., None, None].unbind(1)
        log_variance = (level - power.exp() * (laplacian + floor.exp()).log())[None]
        table = _between(rows) @ self.table @ _between(columns).T  # (C, levels, rows, columns)
        if not self.context_features:
            return log_variance + table.movedim(1, 0)
        log_sigma = self._log_sigma(context)
        log_variance = torch.logaddexp(log_variance, 2 * log_sigma[:, None, None, None])
        return log_variance + torch.einsum("bl,clhw->bchw", _between_levels(log_sigma), table)

    def _log_sigma(self, context: Tensor | None) -> Tensor:
        if context is None or context.dim() != 2 or context.shape[1] != self.context_features:
            got = "none" if context is None else str(tuple(context.shape))
            raise ShapeError(f"expected a context (B, {self.context_features}), log sigma first, got {got}")
        return context[:, 0]


def _between(frequencies: Tensor) -> Tensor:
    """Return the weights (n, knots) of linear interpolation at these frequencies."""
    return _hats((frequencies.abs() / math.pi).sqrt() * (_FREQUENCIES - 1), _FREQUENCIES)


def _between_levels(log_sigma: Tensor) -> Tensor:
    """Return the weights (B, knots) of linear interpolation at these noise levels; constant beyond the last ones."""
    least, most = math.log(LEAST_SIGMA), math.log(MOST_SIGMA)
    return _hats((log_sigma.clamp(least, most) - least) / (most - least) * (_LEVELS - 1), _LEVELS)


def _hats(place: Tensor, knots: int) -> Tensor:
    """Return (n, knots): 1 at the knot of that index, falling to 0 at its neighbours."""
    index = torch.arange(knots, dtype=place.dtype, device=place.device)
    return (1 - (place[:, None] - index).abs()).clamp_min(0)
