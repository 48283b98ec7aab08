"""What pixels show of the curve that they are stored with: how their noise grows, how wide their stars are.

A sensor counts photons, so in linear light the variance of the noise is a straight line of the level, var = a L + b
(photon transfer; Janesick, Photon Transfer, 2007). A curve such as sRGB squeezes bright levels: there the noise falls
with the level, and noise that was added to the stored values does not depend on it. And a telescope draws every star
with one spread function: in linear light bright and faint stars are equally wide, behind a curve the bright ones wider.

Both are read off one plane (H, W) of the frame, all of it or windows that lie all over it.

Example:
    >>> generator = torch.Generator().manual_seed(0)
    >>> light = torch.linspace(0.02, 0.9, 256).expand(256, 256)
    >>> noise = photon_transfer(light + (light / 2000).sqrt() * torch.randn(256, 256, generator=generator))
    >>> noise.growth > 10, noise.error < 0.1
    (True, True)
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from deblur.noise import deviation_of
from deblur.transfer import TRANSFERS

__all__ = ["PhotonTransfer", "Stars", "photon_transfer", "stars"]

_SIDE, _MOST = 256, 32  # side of a window, windows of a large frame
_BLOCK = 8  # side of the blocks whose noise is measured
_LEVELS, _FEWEST = 12, 20  # levels that are told apart, blocks that one of them takes
_SMALLEST = 48


@dataclass(frozen=True, kw_only=True)
class PhotonTransfer:
    """How the variance of the quietest blocks goes with their level.

    Args:
        slope: of its logarithm on that of the level: 1 for photons, 2 for texture, 0 for noise that was added.
        growth: the variance at the brightest level over that at the darkest, of the straight line that fits best.
        error: how far the variances are off this line, root mean square, relative.
        brightest: the brightest level.
        reach: that over the darkest.
        colour: the variance at half the resolution over what white noise would have: 1 for a sensor's noise, 2 to 4
            once colours were interpolated, several times that for texture, hundreds in blurred frames without noise.
    """

    slope: float
    growth: float
    error: float
    brightest: float
    reach: float
    colour: float


@dataclass(frozen=True, kw_only=True)
class Stars:
    """How the widths of points of light go with their heights.

    Args:
        count: points that stand clear of the noise and do not clip.
        sky: the level between them over the frame's maximum.
        share: pixels within the noise of that level.
        scatter: of the logarithms of the squared widths.
        stored, decoded: the slope of these on the logarithms of the heights, in the values as they are and in what
            they are if they are sRGB; 0 where every star has one width.
        stored_error, decoded_error: the standard errors of both.
    """

    count: int
    sky: float
    share: float
    scatter: float
    stored: float
    stored_error: float
    decoded: float
    decoded_error: float


def photon_transfer(plane: Tensor) -> PhotonTransfer | None:
    """Measure the noise of a plane (H, W) level by level; None where it has too few pixels or levels.

    The noise of a block is that of its second differences, as in `deblur.noise`; of the blocks of a level the quietest
    fifth is taken, which has the least texture.
    """
    seen = _windows(plane)
    rows, columns = (length // (2 * _BLOCK) * 2 * _BLOCK for length in seen.shape[-2:])
    if min(rows, columns) < _SMALLEST:
        return None
    seen = seen[:, :rows, :columns]
    fine = _blocks(_second(seen).square(), _BLOCK)
    coarse = 4 * _blocks(_second(avg_pool2d(seen, 2)).square(), _BLOCK // 2)
    level = _blocks(seen, _BLOCK)
    brightest, darkest = _inner(max_pool2d(seen, _BLOCK)), -_inner(max_pool2d(-seen, _BLOCK))
    whole = (brightest < seen.max()) & (darkest > seen.min()) & (fine > 0)  # nothing clips
    fine, coarse, level = fine[whole], coarse[whole], level[whole]
    if level.numel() < _LEVELS * _FEWEST:
        return None
    low, high = level.quantile(torch.tensor([0.01, 0.998], dtype=level.dtype)).tolist()
    low = max(low, high / 300)
    if not 0 < low < high:
        return None
    edges = torch.logspace(math.log10(low), math.log10(high), _LEVELS + 1, dtype=level.dtype)
    found = []
    for below, above in itertools.pairwise(edges):
        here = (level >= below) & (level < above)
        if int(here.sum()) >= _FEWEST:
            order = fine[here].argsort()[: max(8, int(here.sum()) // 5)]
            noise = fine[here][order].median()
            found.append(torch.stack([level[here][order].mean(), noise, coarse[here][order].median() / noise]))
    if len(found) < 4:
        return None
    at, noise, colour = torch.stack(found, 1)
    # The line's relative errors are a L / v + b / v - 1: least squares in a and b.
    rows_of = torch.stack([at / noise, 1 / noise], 1)
    line = torch.linalg.lstsq(rows_of, torch.ones(len(at), 1, dtype=at.dtype)).solution
    error = float((rows_of @ line - 1).square().mean().sqrt())
    ends = (line[0] * at[[0, -1]] + line[1]).tolist()
    return PhotonTransfer(
        slope=_slope(at.log(), noise.log())[0],
        growth=ends[1] / ends[0] if min(ends) > 0 else 0.0,
        error=error,
        brightest=float(at[-1]),
        reach=float(at[-1] / at[0]),
        colour=float(colour.median()),
    )


def stars(plane: Tensor) -> Stars | None:
    """Measure the points of light on the dark sky of a plane (H, W); None where there are not enough of them.

    The squared width of a point follows from its neighbours: they have exp(-1 / (2 width^2)) of its height.
    """
    seen = _windows(plane)
    if min(seen.shape[-2:]) < _SMALLEST:
        return None
    top = float(seen.max())
    if not top > 0:
        return None
    stored = _widths(seen)
    decoded = stored and _widths(TRANSFERS["srgb"].decode(seen / max(top, 1.0)))
    if stored is None or decoded is None:
        return None
    (count, sky, share), (slope, error), scatter = stored
    return Stars(
        count=count,
        sky=sky / top,
        share=share,
        scatter=scatter,
        stored=slope,
        stored_error=error,
        decoded=decoded[1][0],
        decoded_error=decoded[1][1],
    )


def _widths(seen: Tensor) -> tuple[tuple[int, float, float], tuple[float, float], float] | None:
    """(count, sky, share of the sky), the slope of the widths on the heights with its error, their scatter.

    The frame is smoothed first, by a variance of 1 pixel: that widens all stars alike, and quarters the noise.
    """
    seen = _smoothed(_smoothed(seen).transpose(-1, -2)).transpose(-1, -2)
    values = seen.flatten()[:: max(1, seen.numel() // 1_000_000)]
    sky, below = values.quantile(torch.tensor([0.5, 0.159], dtype=seen.dtype)).tolist()
    noise = deviation_of(_second(seen))
    spread = max(sky - below, noise)
    if not spread > 0:
        return None
    share = float(((values - sky).abs() < 4 * spread).double().mean())
    highest = max_pool2d(seen, 5, stride=1, padding=2)
    peak = (seen == highest) & (seen - sky > max(15 * spread, 20 * noise)) & (seen < 0.97 * seen.max())
    height = seen[:, 1:-1, 1:-1]
    beside = (seen[:, :-2, 1:-1] + seen[:, 2:, 1:-1] + seen[:, 1:-1, :-2] + seen[:, 1:-1, 2:]) / 4
    height, beside = (part[peak[:, 1:-1, 1:-1]] - sky for part in (height, beside))
    good = (beside > 0) & (beside < height)
    if int(good.sum()) < 8:
        return None
    x, y = height[good].log(), -(-(beside[good] / height[good]).log()).log()
    off = (y - y.median()).abs()
    scatter = 1.4826 * float(off.median())
    kept = off <= 3 * scatter
    return (int(kept.sum()), sky, share), _slope(x[kept], y[kept]), scatter


def _smoothed(planes: Tensor) -> Tensor:
    """Rows smoothed by [1 4 6 4 1] / 16."""
    wide = torch.nn.functional.pad(planes, (2, 2), mode="replicate")
    near, far = wide[..., 1:-3] + wide[..., 3:-1], wide[..., :-4] + wide[..., 4:]
    return (6 * wide[..., 2:-2] + 4 * near + far) / 16


def _slope(x: Tensor, y: Tensor) -> tuple[float, float]:
    """The slope of a straight line through points, and its standard error."""
    x, y = x - x.mean(), y - y.mean()
    spread = x.square().sum().clamp_min(1e-12)
    slope = (x * y).sum() / spread
    left = (y - slope * x).square().sum() / max(len(x) - 2, 1)
    return float(slope), float((left / spread).sqrt())


def _windows(plane: Tensor) -> Tensor:
    """The plane as (1, H, W), or windows (N, 256, 256) that lie evenly all over a large one."""
    height, width = plane.shape
    if height * width <= _MOST * _SIDE**2:
        return plane[None].double()
    across = min(width // _SIDE, max(1, round(math.sqrt(_MOST * width / height)))) or 1
    down = min(max(height // _SIDE, 1), max(1, _MOST // across))
    rows, columns = (
        [round(i * (length - side) / max(count - 1, 1)) for i in range(count)]
        for length, count, side in ((height, down, min(_SIDE, height)), (width, across, min(_SIDE, width)))
    )
    parts = [plane[top : top + _SIDE, left : left + _SIDE] for top in rows for left in columns]
    return torch.stack(parts).double()


def _second(planes: Tensor) -> Tensor:
    """The second difference in both directions, of unit gain for white noise, 0 at the border."""
    second = planes[..., 2:] - 2 * planes[..., 1:-1] + planes[..., :-2]
    second = (second[..., 2:, :] - 2 * second[..., 1:-1, :] + second[..., :-2, :]) / 6
    return torch.nn.functional.pad(second, (1, 1, 1, 1))


def _blocks(planes: Tensor, side: int) -> Tensor:
    """The means of the blocks that do not touch the border, whose second differences are 0."""
    return _inner(avg_pool2d(planes, side))


def _inner(blocks: Tensor) -> Tensor:
    return blocks[:, 1:-1, 1:-1].flatten()
