"""Transfer curves: from the values a file stores to linear light, where blurring happens, and back.

A lens and a shutter add up light; a file stores a curve of it. `Transfer.decode` undoes the curve, `Transfer.encode`
applies it again. `deblur.images.icc` reads the curve of an ICC profile.

Restored values overshoot and float files exceed 1, so every curve is finite, strictly increasing and invertible on the
whole real line: below 0 it is continued as an odd function, f(-x) = -f(x); above 1 a power goes on as a power and a
table along its last segment; PQ and HLG, whose own formulas end there, as the power that touches them at 1. Decoding
and encoding again gives back float32 values to 1e-6 (relative above 1).

The work is done in pieces that fit the processor's cache: one new tensor is allocated, or none with `out=`.

Source: IEC 61966-2-1 (sRGB); Rec. ITU-R BT.2100-2 (PQ, HLG), BT.2020-2 (BT.709's curve); Rec. ITU-T H.273 (codes).

Example:
    >>> x = torch.tensor([-0.5, 0.0, 0.5, 1.0, 2.0])
    >>> TRANSFERS["srgb"].decode(x)
    tensor([-0.2140,  0.0000,  0.2140,  1.0000,  4.9538])
    >>> torch.allclose(TRANSFERS["srgb"].encode(TRANSFERS["srgb"].decode(x)), x, atol=1e-6)
    True
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deblur.curves import BT709, HLG, PQ, Curve, Gamma, Linear, SRGBCurve
from deblur.errors import ShapeError

__all__ = ["LEAST_SLOPE", "TRANSFERS", "Transfer", "coded"]

LEAST_SLOPE = 1 / 16
"""The least slope that a curve is taken to have, of that at 1/2: a power law has none at black, where nothing could
then move."""

_PIECE = 1 << 18  # values treated at a time: 1 MiB of float32


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
        """Slope of `decode` at stored values whose light is given, not below LEAST_SLOPE: one new tensor.

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
            middle = x.new_tensor(0.5)
            least = LEAST_SLOPE * float(curve.slope(middle, curve.to_linear(middle)))
            torch.clamp(curve.slope(x.abs(), y.abs()), min=least, out=target)
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


_CODED: dict[int, Transfer] = {
    **dict.fromkeys((1, 6, 14, 15), Transfer("BT.709", (BT709(),))),
    4: Transfer("gamma 2.2", (Gamma(2.2),)),
    5: Transfer("gamma 2.8", (Gamma(2.8),)),
    8: TRANSFERS["linear"],
    13: TRANSFERS["srgb"],
    16: Transfer("PQ", (PQ(),)),
    18: Transfer("HLG", (HLG(),)),
}


def coded(code: int) -> Transfer | None:
    """The transfer characteristics that ITU-T H.273 gives this number (cICP, nclx); None for another one.

    Example:
        >>> coded(18).name, coded(2)
        ('HLG', None)
    """
    return _CODED.get(code)
