"""The monotone rational-quadratic spline on [-bound, bound], continued by the identity outside.

Between two knots (x_k, y_k), (x_k+1, y_k+1) with slopes d_k, d_k+1, s = dy / dx of the knots and t the place in 0 .. 1,

    y = y_k + dy (s t^2 + d_k t (1 - t)) / n        n = s + (d_k+1 + d_k - 2 s) t (1 - t)
    dy/dx = s^2 (d_k+1 t^2 + 2 s t (1 - t) + d_k (1 - t)^2) / n^2

(Durkan et al., "Neural Spline Flows", arXiv:1906.04032, equations 4 and 5); the inverse is the root of a quadratic
(equations 6 to 8). The outermost slopes are 1, as the tails'.

A spline's `shape` is a tensor (..., 3 * bins - 1): widths, heights and inner slopes before softmax and softplus; zeros
are the identity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from deblur.errors import OptionError

__all__ = ["check", "forward", "inverse", "parameters"]

_LEAST_BIN = 1e-3  # of the interval
_LEAST_SLOPE = 1e-3
_MOST_BINS = 100


def check(bins: int, bound: float) -> None:
    """Refuse what makes no spline.

    Raises:
        OptionError: Fewer than 2 or more than 100 bins, or a bound that is not positive.
    """
    if not 2 <= bins <= _MOST_BINS:
        raise OptionError(f"expected 2 to {_MOST_BINS} bins, got {bins}; 8 is usual")
    if not bound > 0:
        raise OptionError(f"expected a positive bound, got {bound}; 4 suits values of unit variance")


def parameters(bins: int) -> int:
    """How many numbers shape one spline."""
    return 3 * bins - 1


def forward(x: Tensor, shape: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """Return y and log dy/dx, elementwise.

    Args:
        x: Any shape (...).
        shape: (..., 3 * bins - 1), or anything that broadcasts to it.
        bound: The interval's half-width.
    """
    knots = _knots(shape, bound)
    inside = x.clamp(-bound, bound)
    piece = _piece(knots, inside, knots.x)
    t = (inside - piece.x) / piece.width
    y, log_slope = _evaluate(piece, t)
    outside = x.abs() >= bound
    return torch.where(outside, x, y), log_slope.masked_fill(outside, 0.0)


def inverse(y: Tensor, shape: Tensor, bound: float) -> Tensor:
    """Return x with forward(x) = y."""
    knots = _knots(shape, bound)
    inside = y.clamp(-bound, bound)
    piece = _piece(knots, inside, knots.y)
    height, slope, bend = piece.height, piece.height / piece.width, piece.bend
    above = inside - piece.y
    a = height * (slope - piece.left) + above * bend
    b = height * piece.left - above * bend
    c = -slope * above
    root = (b.square() - 4 * a * c).clamp_min(0).sqrt()
    x = piece.x + piece.width * (2 * c / (-b - root))
    return torch.where(y.abs() >= bound, y, x)


@dataclass(frozen=True)
class _Knots:
    """Places and slopes of the bins + 1 knots, each (..., bins + 1)."""

    x: Tensor
    y: Tensor
    slope: Tensor


@dataclass(frozen=True)
class _Piece:
    """The bin an element falls into: its lower left knot, its size, and the slopes at its ends."""

    x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor
    left: Tensor
    right: Tensor

    @property
    def bend(self) -> Tensor:
        """d_k+1 + d_k - 2 s."""
        return self.right + self.left - 2 * self.height / self.width


def _knots(shape: Tensor, bound: float) -> _Knots:
    bins = (shape.shape[-1] + 1) // 3
    widths, heights, slopes = torch.split(shape, [bins, bins, bins - 1], -1)
    offset = math.log(math.expm1(1 - _LEAST_SLOPE))  # softplus(offset) = 1 - _LEAST_SLOPE
    inner = F.pad(_LEAST_SLOPE + F.softplus(slopes + offset), (1, 1), value=1.0)
    return _Knots(_places(widths, bound), _places(heights, bound), inner)


def _places(sizes: Tensor, bound: float) -> Tensor:
    """Knots from -bound to bound with gaps in the softmax's proportions, none below `_LEAST_BIN` of the interval."""
    bins = sizes.shape[-1]
    shares = _LEAST_BIN + (1 - _LEAST_BIN * bins) * sizes.softmax(-1)
    inner = bound * (2 * shares.cumsum(-1)[..., :-1] - 1)
    return F.pad(F.pad(inner, (1, 0), value=-bound), (0, 1), value=bound)


def _piece(knots: _Knots, place: Tensor, along: Tensor) -> _Piece:
    """The bin of each element, found among the knots' places `along` one axis."""
    index = (place[..., None] >= along[..., 1:-1]).sum(-1, keepdim=True)
    ends = torch.cat((index, index + 1), -1)

    def pick(values: Tensor) -> tuple[Tensor, Tensor]:
        left, right = values.expand(*index.shape[:-1], values.shape[-1]).gather(-1, ends).unbind(-1)
        return left, right

    (x, next_x), (y, next_y), (left, right) = pick(knots.x), pick(knots.y), pick(knots.slope)
    return _Piece(x, y, next_x - x, next_y - y, left, right)


def _evaluate(piece: _Piece, t: Tensor) -> tuple[Tensor, Tensor]:
    slope = piece.height / piece.width
    both = t * (1 - t)
    n = slope + piece.bend * both
    y = piece.y + piece.height * (slope * t.square() + piece.left * both) / n
    numerator = piece.right * t.square() + 2 * slope * both + piece.left * (1 - t).square()
    return y, 2 * slope.log() + numerator.log() - 2 * n.log()
