"""How far to trust the data: noise, and the misfit of a kernel that is never exactly known.

The rule, for every method with a data term:

    sigma_eff^2 = (strength * sigma_noise)^2 + (strength * misfit)^2,    misfit = MISFIT * contrast

sigma_noise is given, or estimated from the frame's high frequencies. No such estimator, and no residual, sees that
the kernel itself is slightly wrong: on really blurred frames with carefully measured kernels the model misses the
frame by 2 to 5 % of its contrast, several times the sensor's noise, and weighing the data by the noise alone costs 3
dB. Where the kernel is exact and the noise .01 of full scale, the rule costs nothing that can be measured.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from deblur.errors import OptionError

__all__ = ["MISFIT", "contrast", "effective_sigma", "estimate_sigma"]

MISFIT = 0.03
"""Misfit of the blur model relative to the frame's contrast (its standard deviation)."""

_SAMPLE = 1024  # side of the block of pixels that estimates look at: more does not sharpen them


def estimate_sigma(frame: Tensor, mask: Tensor | None = None) -> float:
    """Estimate the standard deviation of white noise in a frame (C, H, W), robustly.

    The second difference in both directions, [1 -2 1]^T [1 -2 1] / 6, removes what is smooth and has unit gain for
    white noise (Immerkaer 1996); the median of its magnitude / 0.6745 does not see edges (Donoho and Johnstone
    1994). Rows and columns of pixels that are masked, or exactly flat (clipped, synthetic), are left out. A blurred
    frame has little else in its high frequencies, so the estimate is good where it matters here; fine texture raises
    it.

    Returns 0 where too little is left to estimate from.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> round(estimate_sigma(0.5 + 0.02 * torch.randn(1, 200, 200, generator=generator)), 3)
        0.02
    """
    rows, columns = (_centre(n) for n in frame.shape[-2:])
    block = frame[..., rows, columns]
    if min(block.shape[-2:]) < 3:
        return 0.0
    second = block[..., 2:] - 2 * block[..., 1:-1] + block[..., :-2]
    second = (second[..., 2:, :] - 2 * second[..., 1:-1, :] + second[..., :-2, :]) / 6
    believed = second != 0
    if mask is not None:
        seen = -torch.nn.functional.max_pool2d(-mask[..., rows, columns].float()[None], 3, stride=1)[0]
        believed = believed & (seen > 0)
    values = second[believed.expand_as(second)].abs()
    return float(values.median()) / 0.6745 if values.numel() >= 64 else 0.0


def contrast(frame: Tensor, mask: Tensor | None = None) -> float:
    """Standard deviation of the believed pixels of a frame (C, H, W) about each channel's mean, over all channels."""
    weight = torch.ones_like(frame[:1]) if mask is None else mask.to(frame)
    total = weight.sum((-2, -1), keepdim=True).clamp_min(1)
    mean = (frame * weight).sum((-2, -1), keepdim=True) / total
    variance = ((frame - mean).square() * weight).sum((-2, -1), keepdim=True) / total
    return float(variance.mean().sqrt())


def effective_sigma(noise: float, frame_contrast: float, strength: float = 1.0) -> float:
    """The standard deviation that the data term is weighed with: noise and misfit together, scaled by `strength`.

    Raises:
        OptionError: a strength that is not above 0.

    Example:
        >>> round(effective_sigma(0.01, 0.2), 5)
        0.01166
    """
    if not (math.isfinite(strength) and strength > 0):
        raise OptionError(f"expected a strength above 0, got {strength}")
    floor = 1e-4  # a constant frame, free of noise: keep the equations solvable
    return strength * max(math.hypot(noise, MISFIT * frame_contrast), floor)


def _centre(length: int) -> slice:
    start = max(0, (length - _SAMPLE) // 2)
    return slice(start, start + _SAMPLE)
