"""Sparse derivatives: sum |grad x|^p + sum |c hess x|^p; total variation for p = 1, a hyper-Laplacian for p < 1."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor

from deblur.bands import bands
from deblur.errors import OptionError
from deblur.restoration.priors.splitting import Level, SplittingPrior
from deblur.restoration.restorer import check_positive
from deblur.restoration.symbols import Symbol, curvature, gradients

__all__ = ["RAMP", "SparseDerivatives", "shrink"]

BAND = 1 << 16
"""Pixels of an image that are worked on at a time: what is made of them fits the processor's cache."""

RAMP = 0.05
"""Width of the ramp, as a share of the threshold, by which a prox that jumps from zero is made continuous."""

_AROUND = 2  # rows beyond a band that it depends on


def shrink(magnitude: Tensor, beta: float, power: float) -> Tensor:
    """argmin over w >= 0 of w^power + beta / 2 (w - magnitude)^2, pointwise, for magnitude >= 0.

    For power = 1 this is the soft threshold at 1 / beta. For power < 1 (Krishnan and Fergus 2009, eq. 5) the non-zero
    stationary point is found by fixed-point iteration from above, w <- m - p / beta w^(p - 1), and kept where it
    beats 0. Around the magnitude where both are as good, a narrow ramp stands for the jump: at a jump, a rounding error
    decides, and the steps that follow spread what it decided.

    Example:
        >>> shrink(torch.tensor([0.5, 2.0]), beta=1.0, power=1.0)
        tensor([0., 1.])
    """
    if power == 1:
        return (magnitude - 1 / beta).clamp_min_(0)
    # Below the threshold zero wins; above it the fixed point is a contraction (derivation: equate both energies).
    edge = (2 * (1 - power) / beta) ** (1 / (2 - power))
    threshold = edge + power / beta * edge ** (power - 1)
    w = magnitude.clamp_min(threshold)
    for _ in range(4):
        w = magnitude - power / beta * w.clamp_min_(edge).pow_(power - 1)
    share = (magnitude - threshold).div_(RAMP * threshold).add_(0.5).clamp_(0, 1)
    return w.mul_(share)


@dataclass(frozen=True, kw_only=True)
class SparseDerivatives(SplittingPrior):
    """Minimise weight / (2 sigma^2) ||W (K x - y)||^2 + sum over pixels of |grad x|^p + |c hess x|^p.

    It is the negative logarithm of an image density whose derivatives have heavy tails; p = 0.8 is that of
    photographs (Levin et al. 2007), p = 1 total variation. The second derivatives (x_xx, x_yy, sqrt(2) x_xy) keep
    slopes from breaking into stairs (Chambolle and Lions 1997) and restore what first ones miss. One magnitude is
    taken over all channels, so that edges of the colours stay together (Blomgren and Chan 1998).

    Args:
        power: p, in (0, 1].
        weight: of the data term; larger trusts the data more.
        second: c, the weight of the second derivatives; 0 for none.
        first, last, factor: the penalty beta runs from `first` to `last`, each `factor` times the one before.
        repeats: steps per penalty.
        isotropic: whether the two first derivatives share one magnitude, or each has its own. The second always
        share.

    Raises:
        OptionError: a setting out of its range.

    Example:
        >>> len(SparseDerivatives(first=1, last=256, factor=2).schedule(0.01))
        9
    """

    lean: ClassVar[bool] = True

    power: float = 0.8
    weight: float = 0.35
    second: float = 0.4
    first: float = 0.5
    last: float = 256.0
    factor: float = 1.6
    repeats: int = 1
    isotropic: bool = True

    def __post_init__(self) -> None:
        check_positive(power=self.power, weight=self.weight, first=self.first, last=self.last, repeats=self.repeats)
        if self.power > 1:
            raise OptionError(f"expected power in (0, 1], got {self.power}; larger powers are no longer sparse")
        if not 0 <= self.second < math.inf:
            raise OptionError(f"expected second to be at least 0, got {self.second}")
        if not 1.05 <= self.factor <= 100:
            raise OptionError(f"expected factor in [1.05, 100], got {self.factor}")

    @property
    def symbol(self) -> Symbol:
        """|grad|^2 + c^2 |hess|^2; the same object for equal c, so that what is made of it can be kept."""
        return _symbol(self.second)

    def schedule(self, sigma: float) -> list[Level]:
        """Penalties from `first` to `last`."""
        levels, beta = [], self.first
        while beta <= self.last * 1.0001:
            levels += [Level(q=beta * sigma**2 / self.weight, penalty=beta)] * self.repeats
            beta *= self.factor
        return levels

    def warm(self, steps: int) -> SparseDerivatives:
        """Penalties from a sixteenth to twice the last one: a descent's steps are shorter than a splitting's."""
        first, last = self.last / 16, 2 * self.last
        return replace(self, first=first, last=last, factor=(last / first) ** (1 / max(1, steps - 1)), repeats=1)

    def pull(self, image: Tensor, level: Level) -> Tensor:
        """F^T (prox(F x) - F x), F being the first derivatives and c times the second, by circular differences.

        On a processor it is done in bands of rows, so that no derivative of the whole image is ever held.
        """
        height, parts = image.shape[-2], bands(image, BAND)
        if height <= parts[0].stop + 2 * _AROUND:
            return self._pull(image, level)
        pulled = torch.empty_like(image)
        for rows in parts:
            around = torch.arange(rows.start - _AROUND, rows.stop + _AROUND, device=image.device) % height
            pulled[..., rows, :] = self._pull(image.index_select(-2, around), level)[..., _AROUND:-_AROUND, :]
        return pulled

    def _pull(self, image: Tensor, level: Level) -> Tensor:
        """The same in one piece."""
        dx, dy = _forward(image, -1), _forward(image, -2)
        if self.second:
            dxx, dyy, dxy = _backward(dx, -1), _backward(dy, -2), _forward(dx, -2)
            self._shrink(((dxx, 1), (dyy, 1), (dxy, 2)), self.second, level)
        for parts in [((dx, 1), (dy, 1))] if self.isotropic else [((dx, 1),), ((dy, 1),)]:
            self._shrink(parts, 1.0, level)
        if self.second:  # what the first derivatives' adjoint is to be applied to
            dx.sub_(_forward(dxx, -1)).sub_(_backward(dxy, -2), alpha=2)
            dy.sub_(_forward(dyy, -2))
        return _backward(dx, -1).add_(_backward(dy, -2)).neg_()

    def _shrink(self, parts: Iterable[tuple[Tensor, int]], scale: float, level: Level) -> None:
        """Replace responses d, counted so many times, by scale * (prox - 1)(scale * d), in place; one magnitude."""
        squared = sum(count * d.square().sum(0, keepdim=True) for d, count in parts)
        magnitude = torch.as_tensor(squared).sqrt_().mul_(scale)
        factor = shrink(magnitude, level.penalty, self.power).div_(magnitude.clamp_min_(1e-20)).sub_(1).mul_(scale**2)
        for d, _ in parts:
            d.mul_(factor)


def _forward(image: Tensor, axis: int) -> Tensor:
    return torch.roll(image, -1, axis).sub_(image)


def _backward(image: Tensor, axis: int) -> Tensor:
    """Minus the adjoint of `_forward`."""
    return torch.roll(image, 1, axis).neg_().add_(image)


@cache
def _symbol(second: float) -> Symbol:
    if not second:
        return gradients
    return lambda w1, w2: gradients(w1, w2) + second**2 * curvature(w1, w2)
