"""Four masked convolutions for the normal operator of any blur: stable exact inverses where the blur itself has none.

With K the blur, L a regulariser and q >= 0, the normal operator P = K^T K + q L^T L is factored (see
`deblur.psf.cepstrum`) into minimum-phase masked convolutions, A reading towards the top left, B towards the top right:

    P = A^T A B^T B,    P^-1 = four wavefront solves.

*On a finite frame* A and B no longer commute. `Factors` stands for the matrix (A B)^T (A B), symmetric and positive
definite as a preconditioner must be; it equals K^T K + q L^T L away from the border.

*Why the cut factors are stable too.* Where |A_r / A - 1| < 1 on the torus |z1| = |z2| = 1, no A + t (A_r - A) with
0 <= t <= 1 has a zero there; A has none inside, and by continuity none gets in. That is measured for every factor;
where it does not hold, the minimum-phase margin of `deblur.ops` decides.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from threading import Lock

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from deblur.errors import OptionError, ShapeError
from deblur.ops import masked_conv2d, masked_conv2d_solve
from deblur.ops.minimum_phase import minimum_phase_margin
from deblur.psf import cepstrum

__all__ = ["REGULARISERS", "Factors", "factorize"]

REGULARISERS: dict[str, cepstrum.Symbol] = {  # |L|^2 at the angular frequencies down the rows and along the columns
    "gradient": lambda w1, w2: 4 - 2 * torch.cos(w1) - 2 * torch.cos(w2),  # forward differences along both axes
    "identity": lambda w1, w2: torch.ones_like(w1 + w2),
}

_SIDES = (
    *range(3, 13),
    13,
    15,
    17,
    19,
    21,
    23,
    26,
    29,
    32,
    36,
    40,
    45,
    51,
    57,
    64,
    72,
    81,
    91,
    102,
    115,
)  # to choose from
_SMALLEST_GRID, _FIRST_GRID, _LARGEST_GRID = 256, 512, 1024  # the factors' grid; their error is measured on twice that
_LARGEST_MARGIN = 64  # taps a side beyond which the margin takes seconds
_KEPT = 64  # factorisations in the cache

_cache: OrderedDict[tuple[object, ...], Factors] = OrderedDict()
_lock = Lock()


@dataclass(frozen=True, kw_only=True, eq=False)
class Factors:
    """The factors of P = A^T A B^T B, and how good they are. Shared by every caller: do not change the tensors.

    Attributes:
        a: (ra, sa) float64, the taps of A in orientation top_left; (C, ra, sa) for one kernel per channel. No larger
            than r x r: rows and columns at the end that change nothing are left out.
        b: (rb, sb), the same for B, orientation top_right.
        q: the weight of the regulariser.
        size: r, the taps a side to which the factors were cut.
        error: max |A^T A B^T B / P - 1| over frequencies.
        grid: side of the FFT grid that made the factors; the error was measured on twice that.
        stable: whether both factors are proved to have a stable exact inverse.
        reason: the proof, or what went wrong, in one sentence.
    """

    a: Tensor
    b: Tensor
    q: float
    size: int
    error: float
    grid: int
    stable: bool
    reason: str

    def solve(self, x: Tensor) -> Tensor:
        """P^-1 x = B^-1 A^-1 A^-T B^-T x, four wavefront solves: (A B)^-1 (A B)^-T, symmetric positive definite.

        Args:
            x: (B, C, H, W), zero outside the frame; the factors are taken in its dtype and to its device.
        """
        channels = x.shape[1]
        a, b = self._weight(self.a, x), self._weight(self.b, x)
        x = masked_conv2d_solve(x, b, orientation="top_right", transpose=True, groups=channels)
        x = masked_conv2d_solve(x, a, orientation="top_left", transpose=True, groups=channels)
        x = masked_conv2d_solve(x, a, orientation="top_left", groups=channels)
        return masked_conv2d_solve(x, b, orientation="top_right", groups=channels)

    def apply(self, x: Tensor) -> Tensor:
        """P x = B^T A^T A B x, the exact inverse of `solve`."""
        channels = x.shape[1]
        a, b = self._weight(self.a, x), self._weight(self.b, x)
        x = masked_conv2d(x, b, orientation="top_right", groups=channels)
        x = masked_conv2d(x, a, orientation="top_left", groups=channels)
        x = masked_conv2d(x, a, orientation="top_left", transpose=True, groups=channels)
        return masked_conv2d(x, b, orientation="top_right", transpose=True, groups=channels)

    def _weight(self, factor: Tensor, x: Tensor) -> Tensor:
        """The taps as the depthwise weight (C, 1, rows, columns) for this image."""
        if x.ndim != 4 or (factor.ndim == 3 and factor.shape[0] not in (1, x.shape[1])):
            raise ShapeError(
                f"expected an image (B, C, H, W), C as many as the {factor.shape[0]} kernels, got {tuple(x.shape)}"
                if factor.ndim == 3
                else f"expected an image (B, C, H, W), got {tuple(x.shape)}"
            )
        weight = factor.to(device=x.device, dtype=x.dtype)
        return weight.reshape(-1, 1, *weight.shape[-2:]).expand(x.shape[1], -1, -1, -1)


def factorize(
    kernel: ArrayLike,
    q: float,
    *,
    size: int | None = None,
    tolerance: float = 1e-2,
    max_size: int = 127,
    grid: int | None = None,
    regulariser: str | cepstrum.Symbol = "gradient",
) -> Factors:
    """Factor K^T K + q L^T L into four masked convolutions. The latest 64 results are kept.

    What the sizes trade: an error of 1e-2 restores as well as the exact operator, and one of order 1 still makes a good
    preconditioner. The taps needed grow with the kernel (never fewer than its own side is worth trying) and about as
    1 / sqrt(q); the cost of a solve is 4 r^2 operations a pixel.

    Args:
        kernel: (kh, kw) or (C, kh, kw), any sizes, negative taps included; where its origin lies does not matter.
        q: weight of the regulariser, >= 0; 0 only for a kernel whose spectrum has no zeros.
        size: r, taps a side of the factors; without it, the smallest that meets the tolerance.
        tolerance: for max |A^T A B^T B / P - 1|; where max_size cannot meet it, `error` says what was reached.
        max_size: largest r to try.
        grid: side of the FFT grid; without it, a power of two that grows with the kernel and 1 / sqrt(q), up to 1024,
            until the cepstrum's aliasing stops mattering.
        regulariser: "gradient", "identity", or a function of the angular frequencies (w1, w2) that gives |L|^2 >= 0.

    Raises:
        OptionError: a setting outside its range.
        UnstableInverseError: P is zero somewhere, so that it has no inverse.

    Example:
        >>> from deblur.psf import gaussian
        >>> factors = factorize(gaussian(sigma=1.5), 0.01)
        >>> factors.error < 0.01, factors.stable
        (True, True)
        >>> x = torch.rand(1, 1, 32, 32, dtype=torch.float64)
        >>> bool(torch.allclose(factors.solve(factors.apply(x)), x))
        True
    """
    planes = torch.from_numpy(np.array(kernel, dtype=np.float64, ndmin=2))
    if not 0 <= q < math.inf:
        raise OptionError(f"expected the regulariser's weight q to be 0 or more, got {q}")
    if (size is not None and size < 1) or max_size < 1:
        raise OptionError(
            f"expected a factor of one tap a side or more, got {max_size if size is None else min(size, max_size)}"
        )
    longest = max(*planes.shape[-2:], size or 1)
    if grid is not None and (grid < 2 * longest or grid % 2):
        raise OptionError(f"expected an even grid of at least {2 * longest}, twice the kernel and the taps, got {grid}")
    if isinstance(regulariser, str) and regulariser not in REGULARISERS:
        raise OptionError(
            f"expected a regulariser out of {', '.join(REGULARISERS)}, or a function, got {regulariser!r}"
        )
    key = (planes.numpy().tobytes(), tuple(planes.shape), q, size, tolerance, max_size, grid, regulariser)
    with _lock:
        if key in _cache:
            _cache.move_to_end(key)
            return _cache[key]
    symbol = REGULARISERS[regulariser] if isinstance(regulariser, str) else regulariser
    factors = _factorize(planes, q, size, tolerance, max_size, grid, symbol)
    with _lock:
        _cache[key] = factors
        while len(_cache) > _KEPT:
            _cache.popitem(last=False)
    return factors


def _factorize(
    kernel: Tensor,
    q: float,
    size: int | None,
    tolerance: float,
    max_size: int,
    grid: int | None,
    symbol: cepstrum.Symbol,
) -> Factors:
    """Grow the grid until the taps, and not the aliasing of the cepstrum, limit the error."""
    side = grid or _first_grid(max(*kernel.shape[-2:], size or 1), q)
    while True:
        whole = cepstrum.factors(cepstrum.spectrum(kernel, q, symbol, side))
        target = cepstrum.spectrum(kernel, q, symbol, 2 * side)

        @cache
        def error_at(r: int, whole: tuple[Tensor, Tensor] = whole, target: Tensor = target) -> float:
            return cepstrum.error(whole[0][..., :r, :r], whole[1][..., :r, :r], target)

        r = size or _fewest(error_at, 0.9 * tolerance, min(max_size, side // 2))
        error = error_at(r)
        if grid or error <= tolerance or 2 * side > _LARGEST_GRID:
            break
        if error_at(side // 2) <= min(tolerance, error / 4):  # more taps would help, a finer grid would not
            break
        side *= 2
    loss = min(error, 1.0) / 80  # of |A| twice per factor: the error grows by a tenth at most
    a, b = (cepstrum.trim(factor[..., :r, :r], factor, loss) for factor in whole)
    error = cepstrum.error(a, b, target)
    stable, reason = _proof((a, b), whole)
    if kernel.ndim == 2:
        a, b = a[0], b[0]
    return Factors(a=a, b=b, q=q, size=r, error=error, grid=side, stable=stable, reason=reason)


def _proof(cut: tuple[Tensor, Tensor], whole: tuple[Tensor, Tensor]) -> tuple[bool, str]:
    """Whether both cut factors are minimum-phase, and why."""
    change = max(cepstrum.changed(taps, factor) for taps, factor in zip(cut, whole, strict=True))
    if change < 1:
        return True, f"minimum-phase: the cut changed the factors' spectra by {change:.2g} of themselves, less than 1"
    if max(taps.shape[-2] * taps.shape[-1] for taps in cut) > _LARGEST_MARGIN**2:
        return False, f"not proved minimum-phase: the cut changed the factors' spectra by {change:.2g} of themselves"
    margin = min(minimum_phase_margin(taps[:, None], groups=len(taps)) for taps in cut)
    if margin > 0:
        return True, f"minimum-phase, by a margin of {margin:.2g}"
    return False, f"the cut factors are not minimum-phase (margin {margin:.2g}); take more taps or a larger q"


def _first_grid(size: int, q: float) -> int:
    """The cepstrum's length grows with the kernel's and as 1 / sqrt(q), the inverse width of the dips of P."""
    needed = min(2 * size / math.sqrt(q), _FIRST_GRID) if q else _SMALLEST_GRID
    return int(2 ** math.ceil(math.log2(max(needed, 2 * size, _SMALLEST_GRID))))


def _fewest(error_at: Callable[[int], float], tolerance: float, most: int) -> int:
    """The fewest taps a side that meet the tolerance, by bisection; where none does, the best of those tried."""
    sides: list[int] = [*(side for side in _SIDES if side < most), most]
    best = min(len(sides) - 1, len(sides) * 3 // 4, key=lambda i: error_at(sides[i]))  # aliasing sits in the last taps
    low, high = 0, best
    while error_at(sides[best]) <= tolerance and low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if error_at(sides[middle]) <= tolerance else (middle + 1, high)
    return sides[high]
