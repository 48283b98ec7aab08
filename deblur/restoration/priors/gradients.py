"""Sparse gradients: sum |grad x|^p, total variation for p = 1 and a hyper-Laplacian for p < 1."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deblur.errors import OptionError
from deblur.restoration.base import check_positive
from deblur.restoration.priors.base import Level
from deblur.restoration.symbols import Symbol, gradients

__all__ = ["SparseGradients", "shrink"]


def shrink(magnitude: Tensor, beta: float, power: float) -> Tensor:
    """argmin over w >= 0 of w^power + beta / 2 (w - magnitude)^2, pointwise, for magnitude >= 0.

    For power = 1 this is the soft threshold at 1 / beta. For power < 1 (Krishnan and Fergus 2009, eq. 5) the non-zero
    stationary point is found by fixed-point iteration from above, w <- m - p / beta w^(p - 1), and kept where it
    beats 0.

    Example:
        >>> shrink(torch.tensor([0.5, 2.0]), beta=1.0, power=1.0)
        tensor([0., 1.])
    """
    if power == 1:
        return (magnitude - 1 / beta).clamp_min_(0)
    # Below this magnitude zero wins; above it the fixed point is a contraction (derivation: equate both energies).
    edge = (2 * (1 - power) / beta) ** (1 / (2 - power))
    threshold = edge + power / beta * edge ** (power - 1)
    w = magnitude.clamp_min(threshold)
    for _ in range(4):
        w = magnitude - power / beta * w.clamp_min_(edge).pow_(power - 1)
    return torch.where(magnitude > threshold, w, 0)


@dataclass(frozen=True, kw_only=True)
class SparseGradients:
    """Minimise weight / (2 sigma^2) ||W (K x - y)||^2 + sum over pixels of |grad x|^power.

    The gradient of a pixel is taken jointly: its two directions and all channels share one magnitude, so that edges
    of the colours stay together (vectorial total variation, Blomgren and Chan 1998). It is the negative logarithm of
    an image density in which gradients have heavy tails; power = 0.8 is that of photographs (Levin et al. 2007).

    Args:
        power: in (0, 1].
        weight: of the data term; larger trusts the data more.
        first, last, factor: the penalty beta runs from `first` to `last`, each `factor` times the one before.
        repeats: steps per penalty.
        joint: whether both directions share one magnitude (isotropic), or each has its own.

    Raises:
        OptionError: a setting out of its range.

    Example:
        >>> len(SparseGradients(repeats=1).schedule(0.01))
        9
    """

    power: float = 0.8
    weight: float = 0.3
    first: float = 1.0
    last: float = 256.0
    factor: float = 2.0
    repeats: int = 1
    joint: bool = True

    def __post_init__(self) -> None:
        check_positive(
            power=self.power, weight=self.weight, first=self.first, last=self.last, factor=self.factor - 1,
            repeats=self.repeats,
        )  # fmt: skip
        if self.power > 1:
            raise OptionError(f"expected power in (0, 1], got {self.power}; larger powers are no longer sparse")

    @property
    def symbol(self) -> Symbol:
        """|D_x|^2 + |D_y|^2."""
        return gradients

    def schedule(self, sigma: float) -> list[Level]:
        """Penalties from `first` to `last`."""
        levels, beta = [], self.first
        while beta <= self.last * 1.0001:
            levels += [Level(q=beta * sigma**2 / self.weight, penalty=beta)] * self.repeats
            beta *= self.factor
        return levels

    def pull(self, image: Tensor, level: Level) -> Tensor:
        """Minus the divergence of the shrunk gradient, by circular differences."""
        dx = torch.roll(image, -1, -1).sub_(image)
        dy = torch.roll(image, -1, -2).sub_(image)
        for group in ((dx, dy),) if self.joint else ((dx,), (dy,)):
            squared = sum(d.square().sum(0, keepdim=True) for d in group)
            magnitude = torch.as_tensor(squared).sqrt_()
            scale = shrink(magnitude, level.penalty, self.power).div_(magnitude.clamp_min(1e-20))
            for d in group:
                d.mul_(scale)
        pulled = torch.roll(dx, 1, -1).sub_(dx)
        return pulled.add_(torch.roll(dy, 1, -2)).sub_(dy)
