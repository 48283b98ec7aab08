"""Transfer curves: from the values a file stores to linear light, where blurring happens, and back.

A lens and a shutter add up light; a file stores a curve of it. `Transfer.decode` undoes the curve, `Transfer.encode`
applies it again. `deblur.images.icc` reads the curve of an ICC profile.

Restored values overshoot and float files exceed 1, so every curve is finite, strictly increasing and invertible on the
whole real line: below 0 it is continued as an odd function, f(-x) = -f(x); above 1 a power goes on as a power and a
table along its last segment. Decoding and encoding again gives back float32 values to 1e-6 (relative above 1).

The work is done in pieces that fit the processor's cache: one new tensor is allocated, or none with `out=`.

Source: IEC 61966-2-1 (sRGB).

Example:
    >>> x = torch.tensor([-0.5, 0.0, 0.5, 1.0, 2.0])
    >>> TRANSFERS["srgb"].decode(x)
    tensor([-0.2140,  0.0000,  0.2140,  1.0000,  4.9538])
    >>> torch.allclose(TRANSFERS["srgb"].encode(TRANSFERS["srgb"].decode(x)), x, atol=1e-6)
    True
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from deblur.errors import OptionError, ShapeError

__all__ = ["LEAST_SLOPE", "TRANSFERS", "Curve", "Gamma", "Linear", "SRGBCurve", "Table", "Transfer"]

LEAST_SLOPE = 1 / 16
"""The least slope that a curve is taken to have: a power law has none at black, where nothing could then move."""

_AROUND = 1 / 256  # stored values over which a table's slope is taken
_PIECE = 1 << 18  # values treated at a time: 1 MiB of float32


class Curve(Protocol):
    """A strictly increasing curve on [0, infinity) with f(0) = 0; both functions work value by value."""

    def to_linear(self, x: Tensor) -> Tensor:
        """Stored value to linear light."""

    def from_linear(self, y: Tensor) -> Tensor:
        """Linear light to stored value."""

    def slope(self, x: Tensor, y: Tensor) -> Tensor:
        """Slope dy / dx of `to_linear` at x, whose light y is."""


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
        """Slope over a distance at which a table of integers is no longer stairs."""
        return (self.to_linear(x + _AROUND) - y) / _AROUND


@dataclass(frozen=True)
class Transfer:
    """A named transfer curve, or three of them for red, green and blue.

    Args:
        name: what the user is told: `srgb`, `linear`, `gamma 2.2`, the name of a profile.
        curves: one curve for all channels, or one for each.
    """

    name: str
    curves: tuple[Curve, ...]

    def decode(self, stored: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Stored values to linear light.

        Args:
            stored: any shape, floating point, 1.0 = white; with three curves (..., 3, H, W).
            out: a contiguous tensor of that shape for the result; may be `stored` itself.

        Returns:
            `out`, or one new tensor.
        """
        return self._map(stored, out, "to_linear")

    def encode(self, linear: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Linear light to stored values: the exact inverse of `decode`, with the same arguments."""
        return self._map(linear, out, "from_linear")

    def slope(self, stored: Tensor, linear: Tensor) -> Tensor:
        """Slope of `decode` at stored values whose light is given, at least LEAST_SLOPE: one new tensor.

        Example:
            >>> at = torch.tensor([0.01, 1.0])
            >>> TRANSFERS["srgb"].slope(at, TRANSFERS["srgb"].decode(at))
            tensor([0.0774, 2.2749])
        """
        slopes = torch.empty_like(stored, memory_format=torch.contiguous_format)
        each = stored.unbind(-3) if len(self.curves) > 1 else [stored]
        lights, targets = (values.unbind(-3) if len(self.curves) > 1 else [values] for values in (linear, slopes))
        for index, (x, y, target) in enumerate(zip(each, lights, targets, strict=True)):
            curve = self.curves[index % len(self.curves)]
            torch.clamp(curve.slope(x.abs(), y.abs()), min=LEAST_SLOPE, out=target)
        return slopes

    def _map(self, values: Tensor, out: Tensor | None, direction: str) -> Tensor:
        out = torch.empty_like(values, memory_format=torch.contiguous_format) if out is None else out
        if out.shape != values.shape or not out.is_contiguous():
            raise ShapeError(f"expected a contiguous out of shape {tuple(values.shape)}, got {tuple(out.shape)}")
        if len(self.curves) == 1:
            _map_pieces(self.curves[0], direction, values, out)
        elif values.ndim >= 3 and values.shape[-3] == len(self.curves):
            for channel, curve in enumerate(self.curves):
                plane, target = values.select(-3, channel), out.select(-3, channel)
                if target.is_contiguous():
                    _map_pieces(curve, direction, plane, target)
                else:
                    target.copy_(_map_pieces(curve, direction, plane, torch.empty_like(plane)))
        else:
            raise ShapeError(
                f"expected (..., {len(self.curves)}, H, W) for the curves of the transfer '{self.name}', "
                f"got {tuple(values.shape)}; use another transfer"
            )
        return out


def _map_pieces(curve: Curve, direction: str, values: Tensor, out: Tensor) -> Tensor:
    """Apply an odd curve piece by piece: sign(x) f(|x|)."""
    function = getattr(curve, direction)
    source, target = values.reshape(-1), out.view(-1)
    for start in range(0, source.numel(), _PIECE):
        piece = source[start : start + _PIECE].detach()
        torch.copysign(function(piece.abs()), piece, out=target[start : start + _PIECE])
    return out


TRANSFERS: dict[str, Transfer] = {
    "srgb": Transfer("srgb", (SRGBCurve(),)),
    "linear": Transfer("linear", (Linear(),)),
}
"""The named transfers, as `--transfer` takes them."""
