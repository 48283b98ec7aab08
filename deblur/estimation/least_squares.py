"""The blur kernel between a sharp picture and a blurred one of the same scene: least squares over non-negative kernels.

    minimise  sum over channels c and believed pixels p of  (y_c[p] - g_c (k * x_c)[p] - o_c)^2     k >= 0, sum k = 1

with a gain g and an offset o per channel between the two exposures. Only pixels count whose whole neighbourhood under
the kernel lies in the sharp picture: nothing is assumed about what lies outside either. Given k, gain and offset are a
regression; given them, the taps g k >= 0 are a quadratic programme whose Hessian is the sharp picture's covariance over
the pixels that count. That matrix is nearly Toeplitz, and one autocorrelation gives its Toeplitz part T; so

    k <- k + step * (argmin over k >= 0 of the programme with T in the Hessian's place - k)

with the exact gradient (by Fourier transforms) and the exact length of the step converges to the exact minimum in a few
rounds, whatever the mask.

The confidence of a tap follows from the posterior covariance sigma^2 T^-1, sigma^2 the residual's variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.fft import irfft2, rfft2

from deblur.estimation.non_negative import Array, free_inverse_diagonal, non_negative
from deblur.fourier import fast_shape

__all__ = ["Fit", "Pair", "fit", "toeplitz"]

_RIDGE = 1e-9
"""Added to T, relative to its diagonal, where a scene does not tell taps apart. It moves no fixed point."""

_TOLERANCE = 1e-7
"""Change of the kernel, relative to itself, at which the rounds stop."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two pictures of one scene, in proportion to light, aligned by their middles (as `deblur.metrics.common_part`).

    Attributes:
        blurred: (C, H, W).
        sharp: (C, H', W'), of the same size or larger.
        mask: (1 or C, H, W), 1 where a blurred pixel is believed, or None.
    """

    blurred: Tensor
    sharp: Tensor
    mask: Tensor | None = None

    def valid(self, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """What counts for a kernel of `size` (odd): blurred pixels (C, h, w), sharp ones (C, h + kh - 1, ...), mask."""
        parts: list[tuple[slice, slice]] = []
        for blurred, sharp, taps in zip(self.blurred.shape[1:], self.sharp.shape[1:], size, strict=True):
            lead = (sharp - blurred) // 2 - taps // 2  # sharp pixels before the first one that is needed
            after = sharp - blurred - (sharp - blurred) // 2 - taps // 2
            start, stop = max(0, -lead), blurred - max(0, -after)
            parts.append((slice(start, stop), slice(start + lead, stop + lead + taps - 1)))
        rows, columns = parts
        seen = self.blurred[:, rows[0], columns[0]].double()
        mask = torch.ones_like(seen)
        if self.mask is not None:
            mask = self.mask[..., rows[0], columns[0]].to(seen).expand_as(seen).contiguous()
        return seen, self.sharp[:, rows[1], columns[1]].double(), mask


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A kernel fitted to pairs.

    Attributes:
        kernel: (kh, kw), sum 1.
        deviation: (kh, kw), the posterior standard deviation of its taps.
        gains, offsets: per pair, (C,) each: blurred = gain * (kernel * sharp) + offset.
        residual: root mean square of what is left, in the units of the blurred pictures.
        explained: share of the blurred pictures' variance that the fit explains.
        rounds: outer iterations taken.
        hessian: (n, n), the matrix T of the taps.
    """

    kernel: Array
    deviation: Array
    gains: tuple[Tensor, ...]
    offsets: tuple[Tensor, ...]
    residual: float
    explained: float
    rounds: int
    hessian: Array


class _Channels:
    """The valid part of one pair with its transforms."""

    def __init__(self, pair: Pair, size: tuple[int, int]) -> None:
        self.size = size
        self.blurred, sharp, self.mask = pair.valid(size)
        self.weight = self.mask.sum((1, 2), keepdim=True).clamp_min(1)
        sharp = sharp - sharp.mean((1, 2), keepdim=True)  # an offset, which is fitted anyway
        self.grid = fast_shape(sharp.shape[1:])
        self.spectrum = rfft2(sharp, s=self.grid)
        self.sharp = sharp
        centred = (self.blurred - self._mean(self.blurred)) * self.mask
        self.power = float(centred.square().sum())
        self.gain = torch.ones_like(self.weight)
        self.offset = torch.zeros_like(self.weight)

    def _mean(self, image: Tensor) -> Tensor:
        return (image * self.mask).sum((1, 2), keepdim=True) / self.weight

    def blur(self, kernel: Tensor) -> Tensor:
        """(C, h, w): kernel * sharp where it is whole."""
        (kh, kw), (height, width) = self.size, self.blurred.shape[1:]
        whole: Tensor = irfft2(self.spectrum * rfft2(kernel, s=self.grid), s=self.grid)
        return whole[:, kh - 1 : kh - 1 + height, kw - 1 : kw - 1 + width]

    def correlate(self, residual: Tensor) -> Tensor:
        """(kh, kw): the adjoint of `blur`, summed over the channels."""
        (kh, kw), (height, width) = self.size, self.blurred.shape[1:]
        placed = torch.nn.functional.pad(
            residual, (kw - 1, self.grid[1] - width - kw + 1, kh - 1, self.grid[0] - height - kh + 1)
        )
        product = (self.spectrum.conj() * rfft2(placed, s=self.grid)).sum(0)
        correlation: Tensor = irfft2(product, s=self.grid)
        return correlation[:kh, :kw]

    def regress(self, kernel: Tensor, gains: bool) -> Tensor:
        """Fit gain and offset to the kernel; returns the masked residual."""
        made = self.blur(kernel)
        mean, target = self._mean(made), self._mean(self.blurred)
        if gains:
            varied = (made - mean) * self.mask
            power = varied.square().sum((1, 2), keepdim=True)
            gain = (varied * (self.blurred - target)).sum((1, 2), keepdim=True) / power.clamp_min(1e-30)
            self.gain = torch.where(power > 1e-30, gain, 1.0)
        self.offset = target - self.gain * mean
        return (self.blurred - self.gain * made - self.offset) * self.mask

    def curvature(self, direction: Tensor) -> float:
        """Sum of (gain * (direction * sharp))^2 over the mask, its mean taken off."""
        made = self.gain * self.blur(direction)
        return float(((made - self._mean(made)) * self.mask).square().sum())

    def autocorrelation(self) -> Tensor:
        """(2 kh - 1, 2 kw - 1): sum of gain^2 x[p] x[p + d] over all pairs of pixels, lags d from -(k - 1).

        A few more than the programme sums over, which keeps the matrix positive definite.
        """
        (kh, kw), (height, width) = self.size, self.blurred.shape[1:]
        grid = fast_shape([n + k for n, k in zip(self.sharp.shape[1:], self.size, strict=True)])
        power = (self.gain.square() * rfft2(self.sharp, s=grid).abs().square() * (self.weight / height / width)).sum(0)
        lags: Tensor = irfft2(power, s=grid).roll((kh - 1, kw - 1), (0, 1))[: 2 * kh - 1, : 2 * kw - 1]
        return lags


def toeplitz(lags: Array) -> Array:
    """The block Toeplitz matrix (n, n) of taps (kh, kw) from its lags (2 kh - 1, 2 kw - 1).

    Example:
        >>> toeplitz(np.array([[1.0, 4.0, 1.0]]))
        array([[4., 1.],
               [1., 4.]])
    """
    kh, kw = ((n + 1) // 2 for n in lags.shape)
    rows, columns = (np.arange(k)[:, None] - np.arange(k) + k - 1 for k in (kh, kw))
    return np.asarray(lags[rows[:, None, :, None], columns[None, :, None, :]].reshape(kh * kw, kh * kw))


def fit(
    pairs: Sequence[Pair],
    size: tuple[int, int],
    *,
    start: Array | None = None,
    rounds: int = 60,
    on_round: Callable[[int], None] | None = None,
) -> Fit:
    """Fit one kernel of `size` (odd rows and columns) to all pairs.

    Example:
        >>> from deblur.psf.operator import blur
        >>> sharp = torch.rand(1, 40, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        >>> taps = np.array([[0.0, 0.2, 0.0], [0.0, 0.5, 0.3], [0.0, 0.0, 0.0]])
        >>> result = fit([Pair(blurred=0.9 * blur(sharp, taps) + 0.1, sharp=sharp)], (3, 3))
        >>> bool(np.allclose(result.kernel, taps)), round(float(result.gains[0]), 6)
        (True, 0.9)
    """
    parts = [_Channels(pair, size) for pair in pairs]
    pixels = sum(float(part.weight.sum()) for part in parts)
    power = sum(part.power for part in parts)
    hessian, scale = _hessian(parts)
    kernel = torch.zeros(size, dtype=torch.float64)
    kernel[size[0] // 2, size[1] // 2] = 1.0
    if start is not None:
        kernel = torch.from_numpy(np.array(start, dtype=np.float64))
    residuals = [part.regress(kernel, gains=True) for part in parts]
    if start is None:  # the blurred picture's own gain is no guess: the first step finds it
        for part in parts:
            part.gain = part.gain.abs().clamp_min(0.1).mean().expand_as(part.gain).clone()
        residuals = [part.regress(kernel, gains=False) for part in parts]
    taps = np.asarray(kernel).ravel()
    turn = 0
    for turn in range(1, rounds + 1):
        if on_round is not None:
            on_round(turn)
        downhill = np.asarray(
            sum(part.correlate(part.gain * r) for part, r in zip(parts, residuals, strict=True))
        ).ravel()
        target = non_negative(hessian, downhill / scale + hessian @ taps, start=taps)
        step = target - taps
        direction = torch.from_numpy(step.reshape(size))
        curvature = sum(part.curvature(direction) for part in parts)
        length = float(downhill @ step) / curvature if curvature > 0 else 0.0
        length = min(max(length, 0.0), 1.0)
        taps = taps + length * step
        total = float(taps.sum())
        if not total > 0:
            break
        kernel = torch.from_numpy((taps / total).reshape(size))
        residuals = [part.regress(kernel, gains=True) for part in parts]
        mean_gain = float(torch.cat([part.gain.flatten() for part in parts]).mean())
        change = float(np.linalg.norm(taps / total - (taps - length * step)) / np.linalg.norm(taps / total))
        taps = taps / total
        if turn in (1, 2, 4, 8) and mean_gain > 0:
            hessian, scale = _hessian(parts)
        if change < _TOLERANCE:
            break
    left = sum(float(r.square().sum()) for r in residuals)
    variance = left / max(pixels - taps.size, 1.0)
    spread = free_inverse_diagonal(hessian * scale, taps > 0)
    return Fit(
        kernel=taps.reshape(size),
        deviation=np.sqrt(variance * spread).reshape(size),
        gains=tuple(part.gain.flatten() for part in parts),
        offsets=tuple((part.offset).flatten() for part in parts),
        residual=math.sqrt(left / max(pixels, 1.0)),
        explained=1 - left / max(power, 1e-300),
        rounds=turn,
        hessian=hessian * scale,
    )


def _hessian(parts: Sequence[_Channels]) -> tuple[Array, float]:
    """T divided by its diagonal, which is the second value."""
    matrix = toeplitz(np.asarray(sum(part.autocorrelation() for part in parts)))
    scale = max(float(matrix[0, 0]), 1e-300)
    matrix = matrix / scale
    matrix[np.diag_indices_from(matrix)] += _RIDGE
    return matrix, scale
