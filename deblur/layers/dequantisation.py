"""Dequantisation: from stored levels to light on the unit interval, with the noise that a density needs.

Stored levels are single points, at which a density could grow without bound; noise spreads each over its cell. With k
in 0 .. 255 and noise u in [0, 1)^D,

    v = (k + u) / 256        log P(k) >= E[log p(v) - log q(u | k)] - D log 256

with equality for the true posterior q. `forward` returns v and -log q(u | k), which is 0 for uniform noise. The factor
256^-D is where bits per dim gets its 8 from (`deblur.flows`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from deblur.errors import DtypeError
from deblur.layers.coupling_net import CouplingNet

__all__ = ["LEVELS", "UniformDequantisation", "VariationalDequantisation"]

LEVELS = 256


class UniformDequantisation(nn.Module):
    """v = (k + u) / 256 with u uniform on [0, 1).

    Example:
        >>> import torch
        >>> k = torch.tensor([[[[0, 128, 255]]]], dtype=torch.uint8)
        >>> v, log_det = UniformDequantisation()(k)
        >>> (v * 256).floor().int(), log_det
        (tensor([[[[  0, 128, 255]]]], dtype=torch.int32), tensor([0.]))
    """

    def forward(self, levels: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Return v (B, C, H, W) of the default type, in [0, 1), and zeros (B,).

        Args:
            levels: k (B, C, H, W), uint8.
            generator: Where the noise comes from, on the device of `levels`; torch's own without.

        Raises:
            DtypeError: Not uint8.
        """
        k, u = _levels_and_noise(levels, generator)
        return _within(k, u), k.new_zeros(len(k))


class VariationalDequantisation(nn.Module):
    """v = (k + u) / 256 with u = sigmoid(m + exp(s) logit(u0)), u0 uniform; a network computes m and s from k.

    The noise starts as uniform (m = s = 0); training makes the bound tighter.

    Args:
        channels: C.
        hidden, activation: See `CouplingNet`.

    Reference: Ho et al., "Flow++", arXiv:1902.00275, section 3.1, with one elementwise map for its flow.

    Example:
        >>> import torch
        >>> layer = VariationalDequantisation(1, hidden=4)
        >>> v, log_det = layer(torch.zeros(2, 1, 4, 4, dtype=torch.uint8))
        >>> torch.allclose(log_det, torch.zeros(2), atol=1e-3)  # uniform noise
        True
    """

    def __init__(self, channels: int, *, hidden: int = 32, activation: str = "silu") -> None:
        super().__init__()
        self.net = CouplingNet(channels, hidden, 2 * channels, activation=activation)

    def forward(self, levels: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Return v (B, C, H, W) in [0, 1) and -log q(u | k) (B,); arguments and errors as for uniform noise."""
        k, u0 = _levels_and_noise(levels, generator)
        u0 = u0.clamp(1e-6, 1 - 1e-6)
        noise = u0.log() - torch.log1p(-u0)
        shift, log_scale = self.net(k / LEVELS - 0.5).chunk(2, 1)
        logit = shift + log_scale.exp() * noise
        # log du/du0, with sigmoid' = 1 / ((1 + e^t) (1 + e^-t))
        log_slope = log_scale - _log_steepness(logit) + _log_steepness(noise)
        return _within(k, torch.sigmoid(logit)), log_slope.sum((1, 2, 3))


def _log_steepness(logit: Tensor) -> Tensor:
    """Return -log of the sigmoid's derivative."""
    return F.softplus(logit) + F.softplus(-logit)


def _levels_and_noise(levels: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    if levels.dtype != torch.uint8:
        raise DtypeError(f"expected levels 0 to 255 as uint8, got {levels.dtype}; floats need no dequantisation")
    k = levels.to(torch.get_default_dtype())
    return k, torch.rand(k.shape, generator=generator, dtype=k.dtype, device=k.device)


def _within(k: Tensor, u: Tensor) -> Tensor:
    """Return (k + u) / 256, kept below (k + 1) / 256 where rounding would reach it."""
    below_next = torch.nextafter((k + 1) / LEVELS, torch.zeros_like(k))
    return torch.minimum((k + u) / LEVELS, below_next)
