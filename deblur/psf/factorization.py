"""Four masked convolutions for the normal operator of any blur: stable exact inverses where the blur itself has none.

With K the blur, L a regulariser and q >= 0, the normal operator P = K^T K + q L^T L has the symbol

    P(w) = |K(w)|^2 + q |L(w)|^2 > 0.

Its log is real and even, and so is its cepstrum c = F^-1[log P]. Give the lags of each quadrant to a factor of their own,
half of an axis to each of the two quadrants beside it, a quarter of the origin to each; opposite quadrants hold the same
numbers, so two factors and their adjoints say it all:

    log P = log A + log A* + log B + log B*,    A = exp F[c on the top-left quadrant],   B = exp F[c on the top-right one]
    P     = A^T A B^T B

The exponential of a quarter-plane series is a quarter-plane series, and so is its reciprocal, exp(-...): A and B are
masked convolutions with a stable exact inverse (minimum-phase), and P^-1 is four of those. Cut to r x r taps the factors
lose little: they decay exponentially (the faster the larger q).

*Why the cut factors are stable too.* Where |A_r / A - 1| < 1 on the torus |z1| = |z2| = 1, no A + t (A_r - A), 0 <= t <= 1,
has a zero there; A has none inside, and by continuity none gets in. That is measured for every factor.

*On a finite frame* A and B no longer commute. `Factors` stands for the matrix (A B)^T (A B), symmetric and positive
definite as a preconditioner must be; it equals K^T K + q L^T L away from the border.

The one-dimensional idea is Kolmogorov's (1939); two dimensions: Ekstrom and Woods, Two-dimensional spectral factorization
with applications in recursive digital filtering, IEEE Trans. ASSP 24 (1976).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from deblur.errors import OptionError, ShapeError, UnstableInverseError
from deblur.ops import masked_conv2d, masked_conv2d_solve

__all__ = ["REGULARISERS", "Factors", "factorize"]

Symbol = Callable[[Tensor, Tensor], Tensor]

REGULARISERS: dict[str, Symbol] = {  # |L(w1, w2)|^2 of angular frequencies down the rows and along the columns
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
_KEPT = 64  # factorisations in the cache

_cache: OrderedDict[tuple[object, ...], Factors] = OrderedDict()
_lock = Lock()


@dataclass(frozen=True, kw_only=True, eq=False)
class Factors:
    """The factors of P = A^T A B^T B, and how good they are. Shared by every caller: do not change the tensors.

    Attributes:
        a: (r, r) float64, the taps of A in orientation top_left; (C, r, r) for one kernel per channel.
        b: the same for B, orientation top_right.
        q: the weight of the regulariser.
        taps: r.
        error: max |A^T A B^T B / P - 1| over frequencies.
        grid: side of the FFT grid that made the factors; the error was measured on twice that.
        stable: whether both factors are proved to have a stable exact inverse.
        reason: the proof, or what went wrong, in one sentence.
    """

    a: Tensor
    b: Tensor
    q: float
    taps: int
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
        """The taps as the depthwise weight (C, 1, r, r) for this image."""
        if x.ndim != 4 or (factor.ndim == 3 and factor.shape[0] not in (1, x.shape[1])):
            raise ShapeError(
                f"an image (B, C, H, W) was expected, C as many as the {factor.shape[0]} kernels, {tuple(x.shape)} came"
                if factor.ndim == 3
                else f"an image (B, C, H, W) was expected, {tuple(x.shape)} came"
            )
        weight = factor.to(device=x.device, dtype=x.dtype)
        return weight.reshape(-1, 1, *weight.shape[-2:]).expand(x.shape[1], -1, -1, -1)


def factorize(
    psf: ArrayLike,
    q: float,
    *,
    taps: int | None = None,
    tolerance: float = 1e-2,
    max_taps: int = 127,
    grid: int | None = None,
    regulariser: str | Symbol = "gradient",
) -> Factors:
    """Factor K^T K + q L^T L into four masked convolutions. The latest 64 results are kept.

    What the sizes trade: an error of 1e-2 restores as well as the exact operator, and one of order 1 still makes a good
    preconditioner. The taps needed grow with the kernel (never fewer than its own side is worth trying) and about as
    1 / sqrt(q); the cost of a solve is 4 r^2 operations a pixel.

    Args:
        psf: (kh, kw) or (C, kh, kw), any sizes, negative taps included; where its origin lies does not matter.
        q: weight of the regulariser, >= 0; 0 only for a kernel whose spectrum has no zeros.
        taps: r, the side of the factors; without it, the smallest that meets the tolerance.
        tolerance: for max |A^T A B^T B / P - 1|; where max_taps cannot meet it, `error` says what was reached.
        max_taps: largest r to try.
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
    kernel = torch.from_numpy(np.array(psf, dtype=np.float64, ndmin=2))
    if not 0 <= q < math.inf:
        raise OptionError(f"the regulariser's weight q should be 0 or more, {q} came")
    if taps is not None and taps < 1:
        raise OptionError(f"a factor should have one tap a side or more, {taps} came")
    if grid is not None and grid < 2 * max(kernel.shape[-2:]):
        raise OptionError(f"the grid should be twice the kernel's {max(kernel.shape[-2:])} taps or more, {grid} came")
    if isinstance(regulariser, str) and regulariser not in REGULARISERS:
        raise OptionError(
            f"a regulariser should be one of {', '.join(REGULARISERS)} or a function, {regulariser!r} came"
        )
    key = (kernel.numpy().tobytes(), tuple(kernel.shape), q, taps, tolerance, max_taps, grid, regulariser)
    with _lock:
        if key in _cache:
            _cache.move_to_end(key)
            return _cache[key]
    symbol = REGULARISERS[regulariser] if isinstance(regulariser, str) else regulariser
    factors = _factorize(kernel, q, taps, tolerance, max_taps, grid, symbol)
    with _lock:
        _cache[key] = factors
        while len(_cache) > _KEPT:
            _cache.popitem(last=False)
    return factors


def _factorize(
    kernel: Tensor, q: float, taps: int | None, tolerance: float, max_taps: int, grid: int | None, symbol: Symbol
) -> Factors:
    """Grow the grid until the taps, not the aliasing of the cepstrum, limit the error."""
    side = grid or _first_grid(max(kernel.shape[-2:]), q)
    while True:
        long = [_minimum_phase(part, side) for part in _quadrants(_spectrum(kernel, q, symbol, side))]
        target = _spectrum(kernel, q, symbol, 2 * side)
        r, error = _cut(long, target, taps, tolerance, min(max_taps, side // 2))
        if grid or error <= tolerance or 2 * side > _LARGEST_GRID:
            break
        if _error(long, target, side // 2) <= min(tolerance, error / 4):  # more taps would help, a finer grid would not
            break
        side *= 2
    a, b = (factor[..., :r, :r].contiguous() for factor in long)
    stable, reason = _proved(long, r)
    flat = kernel.ndim == 2
    return Factors(
        a=a[0] if flat else a, b=b[0] if flat else b, q=q, taps=r, error=error, grid=side, stable=stable, reason=reason
    )


def _first_grid(size: int, q: float) -> int:
    """The cepstrum's length grows with the kernel's and as 1 / sqrt(q), the inverse width of the dips of P."""
    needed = min(2 * size / math.sqrt(q), _FIRST_GRID) if q else _SMALLEST_GRID
    return int(2 ** math.ceil(math.log2(max(needed, 2 * size, _SMALLEST_GRID))))


def _spectrum(kernel: Tensor, q: float, symbol: Symbol, grid: int) -> Tensor:
    """P on the half spectrum of a grid: (C, grid, grid // 2 + 1)."""
    w = 2 * math.pi / grid * torch.arange(grid, dtype=torch.float64)
    power = _power(kernel.reshape(-1, *kernel.shape[-2:]), grid)
    if q:
        power += q * symbol(w[:, None], w[None, : grid // 2 + 1])
    if not power.min() > 1e-13 * power.max():
        raise UnstableInverseError(
            f"the blur's spectrum has zeros and the weight of the regulariser, {q:g}, does not fill them; give a larger q"
        )
    return power


def _power(taps: Tensor, grid: int) -> Tensor:
    """|spectrum|^2 of (C, r, s) taps on the half grid; where the taps lie does not matter."""
    rows = torch.fft.rfft(taps, n=grid, dim=-1)  # before the columns: most rows of the grid are empty
    spectrum = torch.fft.fft(rows, n=grid, dim=-2)
    return spectrum.real.square().add_(spectrum.imag.square())


def _quadrants(power: Tensor) -> tuple[Tensor, Tensor]:
    """log A and log B in lags, (C, grid, grid) each: the cepstrum's top-left quadrant, and the top-right one mirrored."""
    grid = power.shape[-2]
    cepstrum = torch.fft.irfft2(power.log(), s=(grid, grid))
    share = torch.zeros(grid, dtype=power.dtype)
    share[: grid // 2] = 1
    share[0] = share[grid // 2] = 0.5  # an axis belongs to two quadrants, and so does the lag grid / 2
    mirrored = cepstrum.flip(-1).roll(1, -1)
    return cepstrum * torch.outer(share, share), mirrored * torch.outer(share, share)


def _minimum_phase(cepstrum: Tensor, grid: int) -> Tensor:
    """exp of a quarter-plane series: the taps of the factor, (C, grid, grid)."""
    return torch.fft.irfft2(torch.fft.rfft2(cepstrum).exp(), s=(grid, grid))


def _cut(long: list[Tensor], target: Tensor, taps: int | None, tolerance: float, most: int) -> tuple[int, float]:
    """The fewest taps a side that meet the tolerance, by bisection, or else the best of those tried; and their error."""
    if taps is not None:
        r = min(taps, long[0].shape[-1] // 2)
        return r, _error(long, target, r)
    sides = [*(side for side in _SIDES if side < most), most]
    tried = {side: _error(long, target, side) for side in (most, sides[len(sides) * 3 // 4])}
    best = min(tried, key=lambda side: (tried[side], side))  # not always the longest: aliasing sits in the last taps
    low, high = 0, sides.index(best)
    while tried[best] <= tolerance and low < high:
        middle = (low + high) // 2
        tried[sides[middle]] = _error(long, target, sides[middle])
        low, high = (low, middle) if tried[sides[middle]] <= tolerance else (middle + 1, high)
    return sides[high], tried[sides[high]]


def _error(long: list[Tensor], target: Tensor, r: int) -> float:
    """max |A^T A B^T B / P - 1| with r x r taps, on the target's grid."""
    a, b = (factor[..., :r, :r] for factor in long)
    grid = target.shape[-2]
    product = _power(a, grid).mul_(_power(b.flip(-2), grid))  # B looks up and right: its rows run the other way
    return float(product.div_(target).sub_(1).abs_().max())


def _proved(long: list[Tensor], r: int) -> tuple[bool, str]:
    """Whether the factors cut to r x r taps are minimum-phase, and why."""
    spectra = [(torch.fft.rfft2(factor[..., :r, :r], s=factor.shape[-2:]), torch.fft.rfft2(factor)) for factor in long]
    distance = max(float(((kept - whole).abs() / whole.abs()).max()) for kept, whole in spectra)
    if distance < 1:
        return True, f"minimum-phase: the cut changed the factors' spectra by {distance:.2g} of themselves, less than 1"
    return False, f"unproved: the cut changed the factors' spectra by {distance:.2g} of themselves; take more taps"
