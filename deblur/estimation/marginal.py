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

import torch
from torch import Tensor

__all__ = ["Evidence", "Fit", "periodogram"]

_LOWEST = 0.08
"""Angular frequency, per pixel, below which the windows see too few periods."""

_SPREAD = (0.4, 0.7, 0.7, 0.5, 0.5)
"""Standard deviations of the prior on S: the slope of log S over log |w|, then the four directional terms."""

_NOISE_SPREAD = 0.5
"""Standard deviation of the prior on the logarithm of the noise's variance, around the estimated one."""

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


@dataclass(frozen=True)
class Fit:
    """The best explanation for each of a batch of blurs: -log p (B,); the parameters of S, e and the noise (B, 8)."""

    cost: Tensor
    parameters: Tensor


class Evidence:
    """Minus the logarithm of p(frames | blur), up to a constant, for the power spectra |K|^2 of a batch of blurs.

    Args:
        power: a periodogram, (side, side // 2 + 1).
        sigma: the noise's standard deviation in the frames.
        stride: take every `stride`-th frequency of both axes; neighbours under a Hann window say nearly the same.

    Attributes:
        down, across: (F,) the angular frequencies that are looked at.
    """

    def __init__(self, power: Tensor, sigma: float, stride: int = 1) -> None:
        side = power.shape[0]
        down = (2 * math.pi * torch.fft.fftfreq(side, dtype=torch.float64))[:, None].expand_as(power)
        across = (2 * math.pi * torch.fft.rfftfreq(side, dtype=torch.float64)).expand_as(power)
        radius = torch.hypot(down, across)
        kept = (radius > _LOWEST) & (radius < math.pi) & (across > 0)
        kept[torch.arange(side) % stride != 0] = False
        kept[:, torch.arange(side // 2 + 1) % stride != (1 if stride > 1 else 0)] = False
        self.down, self.across = down[kept], across[kept]
        self._power = power[kept]
        differences = 4 - 2 * torch.cos(self.down) - 2 * torch.cos(self.across)
        self._noise = differences * max(sigma, 1e-5) ** 2
        angle, logarithm = torch.atan2(self.down, self.across), (radius[kept] / math.pi).log()
        terms = [torch.ones_like(angle), logarithm]
        terms += [wave(n * angle) for n in (2, 4) for wave in (torch.cos, torch.sin)]
        self._terms = torch.stack(terms, -1)
        spreads = torch.tensor([math.inf, *_SPREAD, _UNEXPLAINED_SPREAD, _NOISE_SPREAD], dtype=torch.float64)
        self._precision = spreads.pow(-2)

    @property
    def count(self) -> int:
        """How many frequencies are looked at."""
        return len(self.down)

    def __call__(self, powers: Tensor, start: Tensor | None = None, rounds: int = 10) -> Fit:
        """Fit S, e and the noise to each blur, by Fisher scoring with Levenberg's damping.

        Args:
            powers: (B, F), |K|^2 at the frequencies (down, across).
            start: (B or 1, 8), parameters to start from.
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
