"""Coarse to fine: from two neighbouring taps to a kernel, alternating the image step and the kernel step.

At a small scale every blur is a few pixels, and little can go wrong; each level hands its kernel, resampled, to the
next, sqrt(2) finer. (Fergus et al. 2006; the alternation follows Cho and Lee 2009 and Pan et al. 2014, without their
dark channel.) At a level

    S <- image step with lambda                                     (`l0`)
    k <- kernel step on the gradients of S above the threshold t    (`kernel_step`)
    k <- pruned: small taps and small islands go                    (`taps`)
    lambda <- lambda / 1.1,  t <- t / 1.1:                          more of the scene takes part

The image step is biased to sharp edges, so the alternation does not go to its fixed point k = delta, no blur.

A climb can also begin in the middle, at a kernel that is there already: the finest scales once more, from its outlines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from deblur.estimation.blind import taps
from deblur.estimation.blind.kernel_step import KernelEquations, select, threshold
from deblur.estimation.blind.l0 import FewEdges
from deblur.estimation.blind.periodic import Array, differences
from deblur.estimation.estimate import Region

__all__ = ["STEP", "Plane", "Start", "climb", "levels", "odd", "shrunk"]

SMALLEST = 5  # side of the kernel at the coarsest level
LEAST = 1e-4  # lambda at its smallest
STEP = math.sqrt(0.5)  # scale from one level to the next


@dataclass(frozen=True)
class Plane:
    """One frame as the estimation sees it.

    Attributes:
        values: (H, W) float32, one grey plane, bright level about 1.
        believed: (H, W) float32, 0 where a pixel is not to be believed; None where all are.
        sigma: standard deviation of its noise.
        scale: what the frame was multiplied by.
    """

    values: Array
    believed: Array | None = None
    sigma: float = 0.0
    scale: float = 1.0

    def part(self, region: Region) -> Plane:
        """What of it lies in a region."""
        x, y, width, height = region
        inner = slice(y, y + height), slice(x, x + width)
        believed = None if self.believed is None else self.believed[inner]
        return Plane(self.values[inner], believed, self.sigma, self.scale)


@dataclass(frozen=True, kw_only=True)
class Start:
    """Settings of one run of the pyramid.

    Args:
        weight: lambda of the image step at first; larger keeps fewer edges.
        ridge: of the kernel step; larger spreads the taps out.
        gamma: power that the frame's values are raised to; below 1 gives dark edges their say.
        margin: taps by which the kernel inside is larger than the one asked for: more levels, and room to drift.
        edges: pixels per tap of the kernel's side that the threshold leaves in each quarter of orientations.
        share: of the mass, below which an island of taps is dropped.
        smooth: weight of the kernel step's smoothness per variance of the noise; what keeps it from fitting noise.
        bound: whether at the finer levels taps stay within a pixel of where the coarser kernel has some.
        upright: whether the two first taps are above each other instead of side by side.
        repeats: alternations a level.
        ground: mu of the image step in units of lambda: pixels that differ from 0 cost, too.
        growth: of the image step's penalty; small steps are slower and better.
        finest: how many scales to climb, the finest ones; None for all.
    """

    weight: float = 4e-3
    ridge: float = 5.0
    gamma: float = 1.0
    margin: int = 4
    edges: float = 20.0
    share: float = 0.03
    smooth: float = 0.0
    bound: bool = False
    upright: bool = False
    repeats: int = 5
    ground: float = 0.0
    growth: float = 4.0
    finest: int | None = None


def levels(size: int) -> int:
    """How many scales lead from the smallest kernel to one of this side.

    Example:
        >>> levels(5), levels(31)
        (1, 6)
    """
    return max(math.floor(math.log(SMALLEST / size) / math.log(STEP)) + 1, 1)


def climb(
    planes: Sequence[Plane],
    size: int,
    start: Start,
    on_round: Callable[[float], None] | None = None,
    *,
    begin: Array | None = None,
) -> list[Array]:
    """Run the pyramid.

    Args:
        planes: frames that share one blur.
        size: side of the kernel, odd.
        start: settings.
        on_round: told after every alternation how much it was: 1 in all at full size, less at the scales below.
        begin: a kernel (k, k) at full size, whose outlines the climb begins with instead of two taps.

    Returns:
        The kernel of every level, coarse to fine, (k, k) each; the last is of side size + start.margin.
    """
    side = size + start.margin
    weight, count = start.weight, min(levels(side), start.finest or levels(side))
    scale = STEP ** (count - 1)
    smallest = odd(side * scale)
    kernel = _two_taps(smallest, start.upright) if begin is None else _outlines(begin, side, scale, smallest)
    first: float | None = None
    found: list[Array] = []
    for level in range(count - 1, -1, -1):
        scale = STEP**level
        here = odd(side * scale)
        kernel = kernel if kernel.shape[0] == here and not found else taps.enlarge(kernel, here)
        small = [shrunk(plane, scale, start.gamma) for plane in planes]
        steps = [FewEdges.of(plane.values, here) for plane in small]
        seen = [None if p.believed is None else ndimage.minimum_filter(p.believed, here) > 0 for p in small]
        blurred = [_masked(differences(plane.values), mask) for plane, mask in zip(small, seen, strict=True)]
        if first is None:
            first = threshold(blurred, max(int(start.edges * here), 1))
        free = taps.dilate(taps.prune(kernel, start.share)) if start.bound and scale >= 0.5 else None
        smooth = start.smooth * max(plane.sigma for plane in small) ** 2
        least = first
        for _ in range(start.repeats):
            scenes = [
                differences(step.restore(kernel, weight, ground=start.ground, growth=start.growth)) for step in steps
            ]
            strong = select([_masked(s, mask) for s, mask in zip(scenes, seen, strict=True)], least)
            equations = KernelEquations(strong, blurred, here)
            kernel = taps.prune(equations.solve(ridge=start.ridge, smooth=smooth, free=free), start.share)
            weight, least = max(weight / 1.1, LEAST), least / 1.1
            if on_round is not None:
                on_round(scale**2 / start.repeats)
        kernel = taps.centred(kernel)
        found.append(kernel)
    return found


def odd(length: float) -> int:
    """The smallest odd number that is not below a length."""
    return math.ceil(length) + 1 - math.ceil(length) % 2


def _two_taps(size: int, upright: bool) -> Array:
    kernel, middle = np.zeros((size, size), np.float32), size // 2
    kernel[middle, middle] = 0.5
    kernel[(middle + 1, middle) if upright else (middle, middle + 1)] = 0.5
    return kernel


def _outlines(kernel: Array, side: int, scale: float, size: int) -> Array:
    """A kernel's (side, side) part at a smaller scale, in an array of (size, size)."""
    low = ndimage.gaussian_filter(taps.window(kernel, side).astype(np.float64), 0.5 / scale, mode="constant")
    return taps.enlarge(low, size, scale)


def shrunk(plane: Plane, scale: float, gamma: float = 1.0) -> Plane:
    """A plane at a smaller scale, raised to gamma: low-passed, its valid part sampled bilinearly."""
    values = np.maximum(plane.values, 0) ** np.float32(gamma) if gamma != 1 else plane.values
    if scale == 1:
        return Plane(values, plane.believed, plane.sigma)
    blur = 0.5 / scale
    rim = math.ceil(3 * blur)
    positions = [np.arange(0, n - 2 * rim - 1 + 1e-6, 1 / scale) + rim for n in values.shape]
    where = np.meshgrid(*positions, indexing="ij")
    low = ndimage.gaussian_filter(values, blur, truncate=3, mode="nearest")
    believed = None
    if plane.believed is not None:
        lost = ndimage.maximum_filter(1 - plane.believed, 2 * rim + 1)
        believed = (ndimage.map_coordinates(lost, where, order=1) == 0).astype(np.float32)
    # a Gaussian of standard deviation b leaves 1 / (4 pi b^2) of white noise's variance
    sigma = plane.sigma / math.sqrt(4 * math.pi * blur**2)
    return Plane(ndimage.map_coordinates(low, where, order=1).astype(np.float32), believed, sigma)


def _masked(pair: tuple[Array, Array], believed: np.ndarray | None) -> tuple[Array, Array]:
    return pair if believed is None else (pair[0] * believed, pair[1] * believed)
