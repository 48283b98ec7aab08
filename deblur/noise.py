"""How far to trust the data: noise, and the misfit of a kernel that is never exactly known.

The rule, for every method with a data term:

    sigma_eff = strength * sqrt(sigma_noise^2 + (caution * misfit * span)^2)

sigma_noise is given, or estimated from the frame's high frequencies; span is the frame's range from its darkest to
its brightest thousandth, so that a change of exposure changes nothing. No such estimator, and no residual, sees that
the kernel itself is slightly wrong: on really blurred frames with carefully measured kernels the model misses the
frame by 1 to 2.5 levels of 255, several times the sensor's noise, and weighing the data by the noise alone costs 3
dB. Where the kernel is exact and the noise is .01 of full scale, the rule costs .1 dB. The caution is a method's: what
a kernel's error does to a scene is not white, and a prior that brings back more detail takes more of it for detail.

The misfit is the kernel's own (`deblur.psf.kernel`): .006 where nothing is known, and from half to twice that for a
kernel that comes with a confidence. Half of it, with an exact kernel and little noise, gains 1 to 2 dB; less caution
than that costs as much where something else is amiss, such as highlights that clip.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from deblur.errors import OptionError
from deblur.layout import middle

__all__ = ["LEAST_SIGMA", "MOST_SIGMA", "deviation_of", "effective_sigma", "estimate_sigma", "mean_around", "span"]

LEAST_SIGMA, MOST_SIGMA = 1 / 255, 60 / 255
"""The noise that learned priors are trained for: the smallest and the largest sigma, as fractions of full scale."""

_SAMPLE = 1024  # side of the block of pixels that estimates look at: more does not sharpen them
_BLOCK = 32  # side of a block, of the estimate from a sharp frame
_FEWEST = 8  # blocks that it takes
_QUIETEST = 0.1  # the quantile of the blocks' medians
_QUIET_SHARE = 0.6745 * 0.93  # what it is of the noise, where there is nothing else


def estimate_sigma(frame: Tensor, mask: Tensor | None = None, *, sharp: bool = False) -> float:
    """Estimate the standard deviation of white noise in a frame (C, H, W), robustly.

    The second difference in both directions, [1 -2 1]^T [1 -2 1] / 6, removes what is smooth and has unit gain for
    white noise (Immerkaer 1996); the median of its magnitude / 0.6745 does not see edges (Donoho and Johnstone
    1994). Rows and columns of pixels that are masked, or exactly flat (clipped, synthetic), are left out. A blurred
    frame has little else in its high frequencies, so the estimate is good where it matters here; fine texture raises
    it.

    In a sharp frame texture is everywhere but in some parts: there the median is taken block by block, and the estimate
    is the tenth part's from below, of the blocks that don't clip. It is still too high where no part is smooth.

    Args:
        frame: full scale 1.
        mask: (1 or C, H, W), not 0 where a pixel is to be believed.
        sharp: whether the frame may be sharp.

    Returns 0 where too little is left to estimate from.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> noisy = 0.5 + 0.02 * torch.randn(1, 200, 200, generator=generator)
        >>> round(estimate_sigma(noisy), 3), round(estimate_sigma(noisy, sharp=True), 3)
        (0.02, 0.02)
    """
    rows, columns = (middle(n, _SAMPLE) for n in frame.shape[-2:])
    block = frame[..., rows, columns]
    if min(block.shape[-2:]) < 3:
        return 0.0
    second, believed = _second(block, None if mask is None else mask[..., rows, columns])
    if sharp and (medians := _medians(second, believed, block[..., 1:-1, 1:-1])).numel() >= _FEWEST:
        return float(medians.quantile(_QUIETEST)) / _QUIET_SHARE
    values = second[believed.expand_as(second)].abs()
    return deviation_of(values, fewest=64)


def _second(block: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """The second difference in both directions, and where it is to be believed."""
    second = block[..., 2:] - 2 * block[..., 1:-1] + block[..., :-2]
    second = (second[..., 2:, :] - 2 * second[..., 1:-1, :] + second[..., :-2, :]) / 6
    believed = second != 0
    if mask is not None:
        seen = -torch.nn.functional.max_pool2d(-mask.float()[None], 3, stride=1)[0]
        believed = believed & (seen > 0)
    return second, believed


def deviation_of(values: Tensor, fewest: int = 1) -> float:
    """Standard deviation of normal values about 0 whose median magnitude is that of these; 0 of fewer than `fewest`.

    Example:
        >>> round(deviation_of(3 * torch.randn(10_000, generator=torch.Generator().manual_seed(0))), 1)
        3.0
    """
    return float(values.abs().median()) / 0.6745 if values.numel() >= fewest else 0.0


def _medians(second: Tensor, believed: Tensor, pixels: Tensor) -> Tensor:
    """The median magnitude of each block that is believed, half of it at least, and does not clip."""
    extreme = (pixels <= pixels.amin()) | (pixels >= pixels.amax())
    kept = torch.where(believed, second.abs(), torch.nan)
    magnitudes, clipped = _blocks(kept), _blocks(extreme.to(second))
    good = (magnitudes.isfinite().float().mean(1) >= 0.5) & (clipped.mean(1) <= 0.01)
    return magnitudes[good].nanmedian(1).values


def _blocks(planes: Tensor) -> Tensor:
    """The whole blocks of the planes (C, H, W), a row each."""
    height, width = (length // _BLOCK for length in planes.shape[-2:])
    whole = planes[:, : height * _BLOCK, : width * _BLOCK].reshape(len(planes), height, _BLOCK, width, _BLOCK)
    return whole.transpose(2, 3).reshape(-1, _BLOCK * _BLOCK)


def span(frame: Tensor, mask: Tensor | None = None) -> float:
    """Range between the .001 and the .999 quantile of the believed pixels of a frame (C, H, W).

    Example:
        >>> round(span(torch.linspace(0, 1, 10_000).reshape(1, 100, 100)), 3)
        0.998
    """
    values = frame if mask is None else frame[mask.expand_as(frame).bool()]
    values = values.flatten()[:: max(1, values.numel() // 1_000_000)]
    if not values.numel():
        return 0.0
    low, high = values.quantile(torch.tensor([0.001, 0.999], dtype=values.dtype)).tolist()
    return float(high - low)


def effective_sigma(
    noise: float, frame_span: float, misfit: float, *, strength: float = 1.0, caution: float = 1.0
) -> float:
    """The standard deviation that the data term is weighed with: noise and misfit together, scaled by `strength`.

    Args:
        noise: standard deviation of the noise.
        frame_span: range of the frame.
        misfit: of the kernel, as a share of that (see `deblur.psf.Kernel`).
        strength: a factor.
        caution: what the misfit counts for a method.

    Raises:
        OptionError: a strength that is not above 0.

    Example:
        >>> round(effective_sigma(0.01, 1.0, misfit=0.006), 5)
        0.01166
    """
    if not (math.isfinite(strength) and strength > 0):
        raise OptionError(f"expected a strength above 0, got {strength}")
    floor = 1e-4  # a constant frame, free of noise: keep the equations solvable
    return strength * max(math.hypot(noise, caution * misfit * frame_span), floor)


def mean_around(planes: Tensor, size: int) -> Tensor:
    """The mean of the size x size pixels about each, size being odd, in planes (C, H, W); beyond them nothing counts.

    Example:
        >>> mean_around(torch.arange(4.0).expand(1, 2, 4), 3)[0, 0]
        tensor([0.5000, 1.0000, 2.0000, 2.5000])
    """
    half, summed = size // 2, torch.nn.functional.pad(planes, [size // 2] * 4)
    for axis in (-2, -1):
        length = planes.shape[axis]
        total = summed.narrow(axis, 0, length).clone()
        for start in range(1, size):
            total += summed.narrow(axis, start, length)
        at = torch.arange(length, device=planes.device)
        count = (at + half).clamp_max(length - 1) - (at - half).clamp_min(0) + 1
        summed = total.div_(count[:, None] if axis == -2 else count)
    return summed
