"""Curves between stored values and linear light, value by value; `deblur.transfer` makes transfers of them.

Each is finite, strictly increasing and invertible on [0, infinity), and knows its slope: above 1 a power goes on as a
power and a table along its last segment; PQ and HLG, whose own formulas end there, as the power that touches them at 1.

Source: IEC 61966-2-1 (sRGB); Rec. ITU-R BT.2100-2 (PQ, HLG), BT.2020-2 (BT.709's curve).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from deblur.errors import OptionError

__all__ = ["BT709", "HLG", "PQ", "Curve", "Gamma", "Linear", "SRGBCurve", "Table"]

_AROUND = 1 / 256  # stored values over which a slope is taken that has no formula


class Curve(Protocol):
    """A strictly increasing curve on [0, infinity) with f(0) = 0; both functions work value by value."""

    def to_linear(self, x: Tensor) -> Tensor:
        """Stored value to linear light."""

    def from_linear(self, y: Tensor) -> Tensor:
        """Linear light to stored value."""

    def slope(self, x: Tensor, y: Tensor) -> Tensor:
        """Slope dy / dx of `to_linear` at x, whose light y is."""


def _rise(curve: Curve, x: Tensor, y: Tensor) -> Tensor:
    """The slope of a curve over a distance at which a table of integers is no longer stairs."""
    return (curve.to_linear(x + _AROUND) - y) / _AROUND


@dataclass(frozen=True)
class Linear:
    """Stored values that are linear light already."""

    def to_linear(self, x: Tensor) -> Tensor:
        """Give x itself."""
        return x

    def from_linear(self, y: Tensor) -> Tensor:
        """Give y itself."""
        return y

    def slope(self, x: Tensor, y: Tensor) -> Tensor:
        """1."""
        return torch.ones_like(x)


@dataclass(frozen=True)
class SRGBCurve:
    """The sRGB curve: a power of 2.4 with a linear toe (IEC 61966-2-1)."""

    def to_linear(self, x: Tensor) -> Tensor:
        """x / 12.92 up to 0.04045, ((x + 0.055) / 1.055)^2.4 above."""
        return torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055).pow(2.4))

    def from_linear(self, y: Tensor) -> Tensor:
        """12.92 y up to 0.04045 / 12.92, 1.055 y^(1/2.4) - 0.055 above."""
        return torch.where(y <= 0.04045 / 12.92, y * 12.92, 1.055 * y.pow(1 / 2.4) - 0.055)

    def slope(self, x: Tensor, y: Tensor) -> Tensor:
        """1 / 12.92 in the toe, 2.4 y / (x + 0.055) above."""
        return torch.where(x <= 0.04045, 1 / 12.92, 2.4 * y / (x + 0.055))


@dataclass(frozen=True)
class Gamma:
    """A plain power law, linear light = stored ** exponent."""

    exponent: float

    def to_linear(self, x: Tensor) -> Tensor:
        """x ** exponent."""
        return x.pow(self.exponent)

    def from_linear(self, y: Tensor) -> Tensor:
        """y ** (1 / exponent)."""
        return y.pow(1 / self.exponent)

    def slope(self, x: Tensor, y: Tensor) -> Tensor:
        """exponent y / x."""
        return self.exponent * y / x.clamp_min(1e-12)


@dataclass(frozen=True)
class BT709:
    """A video camera's curve: a power of 1 / 0.45 with a linear toe (BT.709, BT.601 and BT.2020 share it)."""

    def to_linear(self, x: Tensor) -> Tensor:
        """x / 4.5 up to 4.5 beta, ((x + alpha - 1) / alpha)^(1 / 0.45) above."""
        alpha, beta = _BT709
        return torch.where(x <= 4.5 * beta, x / 4.5, ((x + (alpha - 1)) / alpha).pow(1 / 0.45))

    def from_linear(self, y: Tensor) -> Tensor:
        """4.5 y up to beta, alpha y^0.45 - (alpha - 1) above."""
        alpha, beta = _BT709
        return torch.where(y <= beta, y * 4.5, alpha * y.pow(0.45) - (alpha - 1))

    def slope(self, x: Tensor, y: Tensor) -> Tensor:
        """1 / 4.5 in the toe, y / (0.45 (x + alpha - 1)) above."""
        alpha, beta = _BT709
        return torch.where(x <= 4.5 * beta, 1 / 4.5, y / (0.45 * (x + (alpha - 1))))


_BT709 = (1.09929682680944, 0.018053968510807)  # alpha and beta, exact enough that both parts meet


@dataclass(frozen=True)
class PQ:
    """Perceptual quantisation (SMPTE ST 2084): white, 1, is 10 000 cd / m^2.

    The formula is 0 up to 7e-7 and infinite at 2: below 2^-16 a straight line takes its place, above 1 a power.
    """

    def to_linear(self, x: Tensor) -> Tensor:
        """(max(x^(1/m2) - c1, 0) / (c2 - c3 x^(1/m2)))^(1/m1)."""
        wide = x.double()
        inside = _pq(wide.clamp(_PQ_TOE, 1))
        return torch.where(wide < _PQ_TOE, _PQ_LEAST * (wide / _PQ_TOE), inside * wide.clamp_min(1) ** _PQ_POWER).to(
            x.dtype
        )

    def from_linear(self, y: Tensor) -> Tensor:
        """((c1 + c2 y^m1) / (1 + c3 y^m1))^m2."""
        wide = y.double()
        power = wide.clamp(_PQ_LEAST, 1) ** _M1
        inside = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
        below = _PQ_TOE * (wide / _PQ_LEAST)
        return torch.where(wide < _PQ_LEAST, below, inside * wide.clamp_min(1) ** (1 / _PQ_POWER)).to(y.dtype)

    def slope(self, x: Tensor, y: Tensor) -> Tensor:
        """Slope over a small distance."""
        return _rise(self, x, y)


_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def _pq(x: Tensor) -> Tensor:
    root = x ** (1 / _M2)
    return ((root - _C1) / (_C2 - _C3 * root)) ** (1 / _M1)


_PQ_TOE = 2.0**-16
_PQ_LEAST = float(_pq(torch.tensor(_PQ_TOE, dtype=torch.float64)))
_PQ_POWER = (1 / (1 - _C1) + _C3 / (_C2 - _C3)) / (_M1 * _M2)  # d log y / d log x at 1


@dataclass(frozen=True)
class HLG:
    """Hybrid log-gamma (ARIB STD-B67), as the camera applies it: light of the scene, its peak at 1.

    Above 1 the power goes on that touches it there: the formula's exponential would overflow.
    """

    def to_linear(self, x: Tensor) -> Tensor:
        """x^2 / 3 up to 1/2, (exp((x - c) / a) + b) / 12 above."""
        wide = x.double()
        bright = (((wide.clamp(0.5, 1) - _HLG_C) / _HLG_A).exp() + _HLG_B) / 12
        above = bright * wide.clamp_min(1) ** _HLG_POWER
        return torch.where(wide <= 0.5, wide.square() / 3, above).to(x.dtype)

    def from_linear(self, y: Tensor) -> Tensor:
        """sqrt(3 y) up to 1/12, a log(12 y - b) + c above."""
        wide = y.double()
        bright = _HLG_A * (12 * wide.clamp(1 / 12, 1) - _HLG_B).log() + _HLG_C
        above = bright * wide.clamp_min(1) ** (1 / _HLG_POWER)
        return torch.where(wide <= 1 / 12, (3 * wide).sqrt(), above).to(y.dtype)

    def slope(self, x: Tensor, y: Tensor) -> Tensor:
        """Slope over a small distance."""
        return _rise(self, x, y)


_HLG_A = 0.17883277
_HLG_B = 1 - 4 * _HLG_A
_HLG_C = 0.5 - _HLG_A * math.log(4 * _HLG_A)
_HLG_POWER = (12 - _HLG_B) / (12 * _HLG_A)  # d log y / d log x at 1


@dataclass(frozen=True)
class Table:
    """Samples of the curve at equal steps of the stored value over [0, 1], joined by straight lines.

    The samples are moved to start at 0 (a constant light is not changed by a blur of sum 1) and lifted by as little as
    makes them strictly increasing, so that the flat toe of a table of 16-bit integers stays invertible.
    """

    samples: tuple[float, ...]
    _linear: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.samples) < 2 or not self.samples[-1] > self.samples[0]:
            raise OptionError(
                f"expected at least two samples that rise from the first to the last, got {len(self.samples)} samples"
            )
        rising, step = [0.0], 1 / (len(self.samples) - 1)
        for sample in self.samples[1:]:
            # Slope at least 1/16 of the height: float32 keeps 6e-8 of the height, hence 1e-6 of the stored value.
            rising.append(max(sample - self.samples[0], rising[-1] + step * (rising[-1] / 16 + 2**-10)))
        object.__setattr__(self, "_linear", torch.tensor(rising, dtype=torch.float64))

    def to_linear(self, x: Tensor) -> Tensor:
        """Interpolate the table; beyond 1 its last segment goes on."""
        position = x.double() * (len(self.samples) - 1)
        table = self._linear.to(x.device)
        left = position.floor().clamp_(0, len(self.samples) - 2).long()
        return torch.lerp(table[left], table[left + 1], position - left).to(x.dtype)

    def from_linear(self, y: Tensor) -> Tensor:
        """Find the segment of y and interpolate it the other way."""
        table = self._linear.to(y.device)
        wanted = y.double()
        left = torch.searchsorted(table, wanted, right=True).sub_(1).clamp_(0, len(self.samples) - 2)
        position = (wanted - table[left]) / (table[left + 1] - table[left]) + left
        return (position / (len(self.samples) - 1)).to(y.dtype)

    def slope(self, x: Tensor, y: Tensor) -> Tensor:
        """Slope over a small distance."""
        return _rise(self, x, y)
