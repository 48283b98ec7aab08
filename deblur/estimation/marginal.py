"""The marginal likelihood of a blur given blurred frames alone, under a Gaussian prior on the scene's gradients.

Integrate the scene out. With gradients that are Gaussian and stationary, of power spectrum S(w), and white noise, the
frame's gradients are Gaussian too, and in the circulant approximation their spectrum says it all (Whittle 1953):

    -log p(y | k) = sum over w of  I(w) / P(w) + log P(w),      P = S (|K|^2 + e) + sigma^2 |D|^2,

I being the periodogram and D the difference filter. Unlike the joint posterior of scene and kernel, whose best answer
is no blur at all, this marginal has its maximum near the truth (Levin, Weiss, Durand and Freeman, Understanding and
evaluating blind deconvolution algorithms, CVPR 2009, section 3.2, who use the same prior): P may not explain a dip of
I at a zero of K without a zero, and a K without light at high frequencies is refuted by light there.

A photograph's spectrum is no constant, so S is fitted along with the blur: its level, its slope over log |w| and its
preference of directions (cos and sin of 2 and 4 times the angle), each with a prior of its own, as is the noise. What
is smooth in log I goes there; what is left are the blur's zeros and its fall. No real blur has its shape exactly, and
its zeros are shallow: e is the share of light that the shape does not explain, fitted too. The border of the frame is
no seam: the frame is cut into overlapping windows under Hann tapers, whose periodograms are averaged (Welch 1967), of
differences, so that the steep spectrum of scenes does not leak. That the scene is not Gaussian costs efficiency, not
consistency.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from deblur.jpeg_error import Bands
from deblur.noise import mean_around

__all__ = ["Evidence", "Fit", "fading", "periodogram", "power"]

_LOWEST = 0.08
"""Angular frequency, per pixel, below which the windows see too few periods."""

_SPREAD = (0.4, 0.7, 0.7, 0.5, 0.5)
"""Standard deviations of the prior on S: the slope of log S over log |w|, then the four directional terms."""

_NOISE_SPREAD = 0.5
"""Standard deviation of the prior on the logarithm of the noise's variance, around the estimated one."""

_RIDGES, _RIDGE_SPREAD = (2.0, 7.0), 0.7
"""Widths in degrees of the ridges along the axes, and the standard deviation of the prior on their height."""

_LIVE = 0.03
"""The share of coefficients that coding must have left of a band for it to tell something."""

_FADE = 6
"""Pixels over which what clips fades, even."""

_UNEXPLAINED, _UNEXPLAINED_SPREAD = 1e-3, 2.0
"""Median of the prior on e, and the standard deviation of its logarithm."""


def periodogram(frames: Sequence[Tensor], masks: Sequence[Tensor | None], side: int) -> Tensor:
    """The mean power spectrum of the frames' differences, both directions added, under Hann windows.

    Args:
        frames: (C, H, W) each, of at least side + 1 pixels along both axes.
        masks: 1 where a pixel is believed, broadcasting to the frame; a difference with a pixel that is not is zero.
        side: of the square windows, which overlap by half, even.

    Returns:
        (side, side // 2 + 1), such that white noise of variance 1 has |D|^2, the power of the two difference filters.

    Example:
        >>> noise = torch.randn(1, 129, 129, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        >>> round(float(periodogram([noise], [None], 64).mean()))  # |D|^2 is 4 in the mean
        4
    """
    window = torch.hann_window(side, periodic=True, dtype=torch.float64)
    taper = window[:, None] * window
    total = torch.zeros(side, side // 2 + 1, dtype=torch.float64)
    weight = 0.0
    for frame, mask in zip(frames, masks, strict=True):
        frame = frame.double()
        inner = frame[:, 1:, 1:]
        seen = torch.ones_like(inner[:1])
        if mask is not None:
            believed = mask.double().expand_as(frame).amin(0, keepdim=True)
            seen = believed[:, 1:, 1:] * believed[:, 1:, :-1] * believed[:, :-1, 1:]
        for difference in (inner - frame[:, 1:, :-1], inner - frame[:, :-1, 1:]):
            masked = difference * seen
            for top in _starts(inner.shape[1], side):
                for left in _starts(inner.shape[2], side):
                    part = (..., slice(top, top + side), slice(left, left + side))
                    tapered = masked[part] * taper
                    total += torch.fft.rfft2(tapered).abs().square().sum(0)
                    weight += float((seen[part] * taper).square().sum()) * len(frame)
    return total * (2 / max(weight, 1e-300))


def _starts(length: int, side: int) -> list[int]:
    """Where windows of `side` begin that cover an axis and overlap by half or more."""
    count = math.ceil(2 * (length - side) / side) + 1
    return [round(i * (length - side) / max(count - 1, 1)) for i in range(count)]


def fading(clipped: Tensor, mask: Tensor | None = None) -> Tensor:
    """What is believed, in [0, 1], fading to 0 towards what clips: the edge of that is sharp, whatever blurred it.

    Args:
        clipped: (1 or C, H, W), not 0 where a pixel clips.
        mask: the same, what is believed besides; None for all.
    """
    clear = 1 - F.max_pool2d(clipped[None].float(), 2 * _FADE + 1, stride=1, padding=_FADE)[0]
    faded = mean_around(mean_around(clear, _FADE + 1), _FADE + 1)
    return faded if mask is None else faded * mask


def power(taps: NDArray[Any] | Tensor, down: Tensor, across: Tensor) -> Tensor:
    """|K|^2 of taps (kh, kw) at frequencies (F,) in radians a pixel.

    Example:
        >>> power(np.full((1, 2), 0.5), torch.zeros(2), torch.tensor([0.0, math.pi])).round(decimals=3).abs()
        tensor([1., 0.], dtype=torch.float64)
    """
    rows, columns = (torch.arange(length, dtype=torch.float64) for length in taps.shape)
    waves = torch.exp(-1j * down[:, None] * rows), torch.exp(-1j * across[:, None] * columns)
    taps = taps if isinstance(taps, Tensor) else torch.from_numpy(np.array(taps))
    spectrum = waves[0] @ taps.to(torch.complex128)
    return (spectrum * waves[1]).sum(1).abs().square()


def _ridge(angle: Tensor, axis: float, degrees: float) -> Tensor:
    """1 at frequencies along an axis, falling with the angle from it."""
    apart = torch.remainder(angle - axis + math.pi / 2, math.pi) - math.pi / 2
    return torch.exp(-0.5 * (apart / math.radians(degrees)).square())


@dataclass(frozen=True)
class Fit:
    """The best explanation for each of a batch of blurs: -log p (B,); the parameters of S, e and the noise (B, P)."""

    cost: Tensor
    parameters: Tensor


class Evidence:
    """Minus the logarithm of p(frames | blur), up to a constant, for the power spectra |K|^2 of a batch of blurs.

    Args:
        power: a periodogram, (side, side // 2 + 1).
        sigma: the noise's standard deviation in the frames.
        stride: take every `stride`-th frequency of both axes; neighbours under a Hann window say nearly the same.
        coded: what coding as a JPEG left of each band, in units of the frames; frequencies that it left little of say
            nothing, and its error is noise at the others.
        upright: whether S may have ridges along both axes: of the horizontals and verticals of a scene, which would
            otherwise be taken for the blur of a long motion.

    Attributes:
        down, across: (F,) the angular frequencies that are looked at.
    """

    def __init__(
        self, power: Tensor, sigma: float, stride: int = 1, *, coded: Bands | None = None, upright: bool = False
    ) -> None:
        side = power.shape[0]
        down = (2 * math.pi * torch.fft.fftfreq(side, dtype=torch.float64))[:, None].expand_as(power)
        across = (2 * math.pi * torch.fft.rfftfreq(side, dtype=torch.float64)).expand_as(power)
        radius = torch.hypot(down, across)
        kept = (radius > _LOWEST) & (radius < math.pi) & (across > 0)
        kept[torch.arange(side) % stride != 0] = False
        kept[:, torch.arange(side // 2 + 1) % stride != (1 if stride > 1 else 0)] = False
        variance = torch.zeros_like(power)
        if coded is not None:
            error, live = (torch.from_numpy(table) for table in coded.at(down.numpy(), across.numpy()))
            variance, kept = error, kept & (live > _LIVE)
        self.down, self.across = down[kept], across[kept]
        self._power = power[kept]
        differences = 4 - 2 * torch.cos(self.down) - 2 * torch.cos(self.across)
        self._noise = differences * (max(sigma, 1e-5) ** 2 + variance[kept])
        angle, logarithm = torch.atan2(self.down, self.across), (radius[kept] / math.pi).log()
        terms = [torch.ones_like(angle), logarithm]
        terms += [wave(n * angle) for n in (2, 4) for wave in (torch.cos, torch.sin)]
        ridges = [_ridge(angle, axis, width) for width in _RIDGES for axis in (0.0, math.pi / 2)] if upright else []
        self._terms = torch.stack(terms + ridges, -1)
        spreads = torch.tensor(
            [math.inf, *_SPREAD, *[_RIDGE_SPREAD] * len(ridges), _UNEXPLAINED_SPREAD, _NOISE_SPREAD],
            dtype=torch.float64,
        )
        self._precision = spreads.pow(-2)

    @property
    def count(self) -> int:
        """How many frequencies are looked at."""
        return len(self.down)

    def gains(self, kernels: Sequence[NDArray[Any]]) -> list[float]:
        """By how much each kernel (kh, kw) explains the frames better than no blur, in nats a frequency."""
        powers = [torch.ones_like(self.down), *(power(taps, self.down, self.across) for taps in kernels)]
        without, *costs = self(torch.stack(powers), None, 20).cost.tolist()
        return [(without - cost) / self.count for cost in costs]

    def cost(self, power: Tensor, parameters: Tensor) -> Tensor:
        """Minus log p of one blur (F,) at fixed parameters (P,), a frequency, as a differentiable function of |K|^2.

        At the parameters that fit the blur best its gradient is that of the fitted cost.
        """
        level = (self._terms @ parameters[:-2]).clamp(-60, 40).exp()
        leak = _UNEXPLAINED * parameters[-2].clamp(-20, 10).exp()
        expected = level * (power + leak) + parameters[-1].clamp(-20, 20).exp() * self._noise
        return (self._power / expected + expected.log()).mean()

    def __call__(self, powers: Tensor, start: Tensor | None = None, rounds: int = 10) -> Fit:
        """Fit S, e and the noise to each blur, by Fisher scoring with Levenberg's damping.

        Args:
            powers: (B, F), |K|^2 at the frequencies (down, across).
            start: (B or 1, P), parameters to start from.
            rounds: evaluations.
        """
        best = torch.zeros(len(powers), self._terms.shape[1] + 2, dtype=torch.float64)
        if start is None:
            best[:, 0] = (self._power.mean() / powers.mean(1).clamp_min(1e-3)).clamp_min(1e-20).log()
        else:
            best[:] = start
        step, damping = torch.zeros_like(best), torch.full((len(best), 1, 1), 1e-3, dtype=torch.float64)
        lowest = torch.full((len(best),), math.inf, dtype=torch.float64)
        gradient, fisher = torch.zeros_like(best), torch.zeros(*best.shape, best.shape[1], dtype=torch.float64)
        for turn in range(rounds):
            tried = best - step
            level = (tried[:, :-2] @ self._terms.T).clamp_(-60, 40).exp_()
            leak = level * (_UNEXPLAINED * tried[:, -2:-1].clamp(-20, 10).exp())
            scene = (level * powers).add_(leak)
            noise = tried[:, -1:].clamp(-20, 20).exp() * self._noise
            inverse = (scene + noise).reciprocal_()
            ratio = self._power * inverse
            cost = (ratio - inverse.log()).sum(1) + 0.5 * (self._precision * tried.square()).sum(1)
            better = cost < lowest
            lowest, best = torch.where(better, cost, lowest), torch.where(better[:, None], tried, best)
            if turn == rounds - 1:
                break
            damping = torch.where(better[:, None, None], damping / 4, damping * 8)
            slopes = torch.cat(
                [(scene * inverse)[..., None] * self._terms, torch.stack([leak, noise], -1) * inverse[..., None]], -1
            )
            uphill = ((1 - ratio)[:, None] @ slopes)[:, 0] + self._precision * tried
            curvature = slopes.transpose(1, 2) @ slopes + torch.diag(self._precision)
            gradient = torch.where(better[:, None], uphill, gradient)
            fisher = torch.where(better[:, None, None], curvature, fisher)
            diagonal = torch.diag_embed(torch.diagonal(fisher, dim1=1, dim2=2) * damping[:, 0] + 1e-9)
            step = torch.linalg.solve(fisher + diagonal, gradient).clamp(-2.0, 2.0)
        return Fit(lowest, best)
