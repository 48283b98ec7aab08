"""A blur read off the points in a frame: stars, beads, lamps far away are pictures of the kernel.

What stands out of its surroundings and is alone there is a point, if many more look like it. Each is cut out, freed of
its background, divided by its light and shifted onto the others to a fraction of a pixel; their mean, weighed by their
light, is the kernel. What lies within its noise of a Moffat function, the shape that air, optics and film give a star
(Moffat 1969; elliptic here), becomes that, which has no noise:

    k(r) = (1 + r^2)^-beta,      r^2 = x^T A x
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize
from torch import Tensor

from deblur.errors import KernelError
from deblur.estimation.blind import taps
from deblur.estimation.blind.planes import plane
from deblur.estimation.blind.pyramid import Plane
from deblur.estimation.estimate import Estimate
from deblur.progress import OnStep, Step
from deblur.psf import Kernel

__all__ = ["Points"]

_Taps = NDArray[np.float64]

STANDS_OUT = 8.0
"""Deviations of the noise by which a point is brighter than what surrounds it."""

CORE = 0.12
"""The share of its height that a point's own pixels have at least."""

ALIKE = 0.87
"""Correlation from which two of them are the same kernel."""

FEWEST = 4
"""Points that are alike, from which on they tell."""

MOST = 200
"""The brightest points that are looked at."""

DARK = 0.5
"""The share of a frame of points that is background at least."""


@dataclass(frozen=True, kw_only=True)
class Points:
    """Read the kernel off isolated points.

    Args:
        size: odd, taps a side, or None for what the points take.

    Example:
        >>> import torch
        >>> frame = torch.full((1, 96, 96), 0.05)
        >>> for row, column in [(20, 20), (24, 70), (50, 44), (75, 22), (72, 76)]:
        ...     frame[0, row : row + 3, column] += torch.tensor([0.2, 0.4, 0.2])
        >>> kernel = Points()([frame], sigma=0.001).kernel
        >>> kernel[:, kernel.shape[1] // 2].max().round(1)
        np.float64(0.5)
    """

    size: int | None = None

    def __call__(
        self,
        frames: Sequence[Tensor],
        *,
        masks: Sequence[Tensor | None] | None = None,
        sigma: float | None = None,
        on_step: OnStep | None = None,
    ) -> Estimate:
        """Find the kernel that all points of the frames (C, H, W) are pictures of.

        Args:
            frames: linear in light.
            masks: 1 where a pixel is believed, broadcasting to the frame, or None.
            sigma: standard deviation of the noise, or None to estimate it.
            on_step: told of the progress.

        Raises:
            KernelError: too few points that stand alone and look alike.
        """
        start = time.perf_counter()
        masks = [None] * len(frames) if masks is None else masks
        planes = [plane(frame, mask, sigma) for frame, mask in zip(frames, masks, strict=True)]
        stamps = [stamp for one in planes for stamp in _stamps(one, self.size)]
        if on_step is not None:
            on_step(Step.share(0.5, "points"))
        alike = _alike(_of_one_size(stamps))
        if len(alike) < FEWEST:
            raise KernelError(
                f"expected at least {FEWEST} points that stand alone and look alike, found {len(alike)}; "
                "leave out points to look for another blur"
            )
        mean, scatter = _mean(alike)
        moffat = _moffat(mean, scatter)
        found = mean if moffat is None else moffat
        if on_step is not None:
            on_step(Step.share(1.0, "points"))
        return Estimate(
            kernel=Kernel(found, confidence=min(float(np.median([one.like for one in alike])), 1.0), source="points"),
            method="points",
            sigma=float(np.mean([one.sigma / one.scale for one in planes])),
            seconds=time.perf_counter() - start,
            steps=len(alike),
            details={"points": len(alike), "moffat": moffat is not None},
        )


@dataclass(frozen=True, eq=False)
class _Stamp:
    """One point: its pixels without background (k, k), their sum 1, its light, and how alike it is to the mean."""

    pixels: _Taps
    light: float
    like: float = 1.0


def _stamps(one: Plane, size: int | None) -> list[_Stamp]:
    """The points of a frame, the brightest first, each in a window of its own."""
    values = one.values.astype(np.float64)
    believed = np.ones(values.shape, bool) if one.believed is None else one.believed > 0
    background = float(np.median(values[believed]))
    noise = max(one.sigma, float(np.median(np.abs(values[believed] - background))) / 0.6745, 1e-4)
    smooth = ndimage.gaussian_filter(values, 0.7)
    above = smooth > background + STANDS_OUT * noise
    if above.mean() > 1 - DARK:
        return []
    labels, _ = ndimage.label(ndimage.binary_dilation(above, np.ones((3, 3))), np.ones((3, 3)))
    found = []
    for label, part in enumerate(ndimage.find_objects(labels), 1):
        own = labels[part] == label
        peak = float((smooth[part] * own).max()) - background
        lit = own & (smooth[part] > background + CORE * peak)
        if not believed[part][own].all():
            continue
        sides = [np.flatnonzero(lit.any(axis)) for axis in (1, 0)]
        extent = max(int(side[-1] - side[0]) + 1 for side in sides)
        middle = [round((side[0] + side[-1]) / 2) + at.start for side, at in zip(sides, part, strict=True)]
        found.append((peak, extent, middle))
    if not found:
        return []
    found = sorted(found, key=lambda point: -point[0])[:MOST]
    bright = [extent for _, extent, _ in found[: max(FEWEST, len(found) // 2)]]
    tried = [size] if size else sorted({2 * math.ceil(0.5 * factor * np.median(bright)) + 5 for factor in (1, 1.5)})
    return max((_cut(values, believed, [at for *_, at in found], side, noise) for side in tried), key=len)


def _cut(
    values: _Taps, believed: NDArray[np.bool_], places: Sequence[list[int]], side: int, noise: float
) -> list[_Stamp]:
    """The windows (side, side) around places where nothing else reaches into their rims."""
    stamps, half = [], side // 2
    for row, column in places:
        window = slice(row - half, row + half + 1), slice(column - half, column + half + 1)
        if min(row, column) < half or row + half >= values.shape[0] or column + half >= values.shape[1]:
            continue
        pixels, seen = values[window], believed[window]
        rim = np.ones(pixels.shape, bool)
        rim[2:-2, 2:-2] = False
        around = float(np.median(pixels[rim]))
        alone = np.abs(pixels[rim] - around).max() < 0.15 * (pixels.max() - around) + 4 * noise
        if not seen.all() or not alone:
            continue
        light = float((pixels - around).sum())
        if light > 0:
            stamps.append(_Stamp((pixels - around) / light, light))
    return stamps


def _of_one_size(stamps: list[_Stamp]) -> list[_Stamp]:
    side = max((len(one.pixels) for one in stamps), default=1)
    pads = [(side - len(one.pixels)) // 2 for one in stamps]
    return [_Stamp(np.pad(one.pixels, pad), one.light) for one, pad in zip(stamps, pads, strict=True)]


def _alike(stamps: list[_Stamp]) -> list[_Stamp]:
    """Those that look like their common mean, shifted onto it."""
    if not stamps:
        return []
    first = stamps[:40]
    model = max(first, key=lambda a: sum(_onto(a.pixels, b).like > ALIKE for b in first)).pixels
    kept: list[_Stamp] = []
    for _ in range(4):
        rows, columns = taps.centroid(np.maximum(model, 0))
        back = round(rows) - rows, round(columns) - columns  # so that the mean's centroid lies on a tap
        shifted = [_onto(model, one, back) for one in stamps]
        kept = [one for one in shifted if one.like > ALIKE]
        if not kept:
            return []
        weights = np.array([one.light for one in kept])
        model = np.average([one.pixels for one in kept], axis=0, weights=weights)
    return kept


def _onto(model: _Taps, one: _Stamp, further: tuple[float, float] = (0.0, 0.0)) -> _Stamp:
    """A stamp shifted to where it correlates best with a model, to a fraction of a pixel, and then further."""
    shape = [2 * n for n in model.shape]
    cross = np.fft.fft2(model, shape) * np.fft.fft2(one.pixels, shape).conj()
    surface = np.fft.ifft2(cross).real
    peak = np.unravel_index(int(surface.argmax()), surface.shape)
    offset = []
    for axis, at in enumerate(peak):
        line = np.take(surface, peak[1 - axis], 1 - axis)
        before, here, after = (float(line[(at + d) % len(line)]) for d in (-1, 0, 1))
        bend = before - 2 * here + after
        shift = float(at) + (0.5 * (before - after) / bend if bend < 0 else 0.0)
        offset.append(shift - len(line) if shift > len(line) / 2 else shift)
    norm = float(np.linalg.norm(one.pixels) * np.linalg.norm(model))
    moved = ndimage.shift(one.pixels, np.add(offset, further), order=5, mode="constant")
    return _Stamp(moved, one.light, float(surface.max()) / max(norm, 1e-12))


def _mean(alike: list[_Stamp]) -> tuple[_Taps, float]:
    """Their mean, non-negative and centred, and the standard deviation of its taps' noise."""
    pixels = np.array([one.pixels for one in alike])
    weights = np.array([one.light for one in alike])
    mean = np.average(pixels, axis=0, weights=weights)
    count = weights.sum() ** 2 / (weights**2).sum()
    rest = 1.4826 * np.median(np.abs(pixels - mean), axis=0)
    scatter = float(np.median(rest)) / math.sqrt(max(count, 1.0))
    kept = np.where(mean > max(3 * scatter, 0.01 * mean.max()), mean, 0)
    labels, count_of_parts = ndimage.label(kept > 0, np.ones((3, 3)))
    if count_of_parts > 1:
        mass = ndimage.sum(kept, labels, np.arange(1, count_of_parts + 1))
        kept = np.where(np.concatenate([[False], mass > 0.03 * mass.sum()])[labels], kept, 0)
    return _trimmed(taps.centred(kept).astype(np.float64)), scatter


def _trimmed(kernel: _Taps) -> _Taps:
    """Without empty rows and columns around, as many on either side."""
    rows, columns = np.nonzero(kernel > 0)
    middle = len(kernel) // 2
    reach = max(int(np.abs(rows - middle).max()), int(np.abs(columns - middle).max()))
    return kernel[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]


def _moffat(mean: _Taps, scatter: float) -> _Taps | None:
    """The Moffat function next to a mean, where that is within its noise or 2 % of its height; else None."""
    at = np.arange(len(mean)) - len(mean) // 2
    y, x = at[:, None], at[None]

    def shape(p: NDArray[np.float64]) -> _Taps:
        dy, dx = y - p[4], x - p[5]
        a, b, beta, height = np.exp(np.clip(p[[0, 1, 3, 6]], -12, 4))
        squared = a * dx**2 + b * dy**2 + 2 * np.tanh(p[2]) * np.sqrt(a * b) * dx * dy
        return np.asarray(height * (1 + squared) ** -(1 + beta))

    spread = math.log(max(len(mean) / 8, 0.7))
    start = np.array([-2 * spread, -2 * spread, 0.0, 0.7, 0.0, 0.0, math.log(mean.max())])
    result = optimize.least_squares(lambda p: (shape(p) - mean).ravel(), start, max_nfev=200)
    rest = float(np.sqrt(np.mean(result.fun**2)))
    if not result.success or rest > max(2 * scatter, 0.02 * mean.max()):
        return None
    centred = result.x.copy()
    centred[4:6] = 0
    reach = len(mean) // 2 + 4
    at = np.arange(-reach, reach + 1)
    y, x = at[:, None], at[None]
    made = shape(centred)
    return _trimmed(np.where(made > 0.003 * made.max(), made, 0))
