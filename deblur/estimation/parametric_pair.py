"""A blur with a name between a sharp and a blurred picture: the parameters whose kernel fits the pair best."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from torch import Tensor

from deblur.estimation.estimate import Estimate
from deblur.estimation.families import FAMILIES, Family, tried
from deblur.estimation.least_squares import Fit, fit
from deblur.estimation.newton import descend
from deblur.estimation.non_negative import Array
from deblur.estimation.pair import LARGEST, confidence, prepare, same_scene
from deblur.progress import OnStep, Step
from deblur.psf import Kernel

__all__ = ["ParametricPair"]

_SIZES = (15, 25, 41, LARGEST)


@dataclass(frozen=True, kw_only=True)
class ParametricPair:
    """Fit free taps, then the named kernel nearest to them in the metric of the data.

    With k the free taps of least cost and T their Hessian (`deblur.estimation.least_squares`), a kernel h costs

        ||y - h * x||^2 = ||y - k * x||^2 + (h - k)^T T (h - k)

    up to the constraints. Families are compared by that and log(n) / 2 per parameter.

    Args:
        model: the name of a blur in `deblur.estimation.families`, or `auto`.
        size: odd, taps a side of the free kernel, or None to let it grow.
    """

    model: str = "auto"
    pairs: ClassVar[bool] = True
    """Whether it needs the sharp picture, too."""

    size: int | None = None

    def __post_init__(self) -> None:
        tried(self.model)

    def __call__(
        self,
        blurred: Sequence[Tensor],
        sharp: Sequence[Tensor],
        *,
        masks: Sequence[Tensor | None] | None = None,
        sigma: float | None = None,
        on_step: OnStep | None = None,
    ) -> Estimate:
        """Fit the one blur of all pairs (C, H, W).

        Raises:
            ShapeError: pictures that cannot belong together.
            OptionError: another scene.
        """
        start = time.perf_counter()
        masks = [None] * len(blurred) if masks is None else masks
        prepared = prepare(blurred, sharp, masks, sigma, self.size)
        tell = on_step if on_step is not None else lambda step: None
        shortest = min(min(pair.blurred.shape[1:]) for pair in prepared.pairs)
        sizes = [self.size] if self.size else [size for size in _SIZES if 3 * size <= shortest] or [3]
        free: Fit | None = None
        for number, size in enumerate(sizes):
            tell(Step.share(0.5 * number / len(sizes), f"{size} x {size} taps"))
            free = fit(prepared.pairs, (size, size))
            rim = 1 - float(free.kernel[1:-1, 1:-1].sum())
            if rim < 1e-4 + 4 * float(free.deviation.max()):
                break
        assert free is not None
        same_scene(free.explained, prepared.pairs, prepared.sigma)
        pixels = sum(pair.blurred.numel() for pair in prepared.pairs)
        gain = float(np.mean([float(each.mean()) for each in free.gains]))
        found = []
        names = tried(self.model)
        for number, name in enumerate(names):
            tell(Step.share(0.5 + 0.5 * number / len(names), name))
            parameters, distance = _nearest(FAMILIES[name], free)
            variance = free.residual**2 + distance / pixels
            criterion = 0.5 * pixels * math.log(max(variance, 1e-20)) + 0.5 * len(parameters) * math.log(pixels)
            found.append((criterion, name, parameters, variance))
        criterion, name, parameters, variance = min(found, key=lambda one: one[0])
        residual = math.sqrt(variance)
        family = FAMILIES[name]
        spec = family.spec(parameters)
        estimate = Estimate(
            kernel=Kernel(
                family.kernel(parameters),
                confidence=confidence(residual, min(prepared.sigma, free.residual), prepared.span),
                source=spec,
            ),
            method=spec.partition(":")[0],
            sigma=prepared.sigma,
            region=prepared.region,
            seconds=time.perf_counter() - start,
            steps=free.rounds,
            details={
                **dict(zip(family.names, map(float, parameters), strict=True)),
                "gain": gain,
                "residual": residual,
            },
        )
        if estimate.kernel.max() > 0.98:
            return replace(estimate, warnings=("the kernel is a single tap: there is nothing to remove",))
        if estimate.confidence < 0.1:
            line = f"the pair is no {name}: free taps leave {free.residual:.2g}, it leaves {residual:.2g}"
            return replace(estimate, warnings=(line,))
        return estimate


def _nearest(family: Family, free: Fit) -> tuple[Array, float]:
    """The parameters of least (h - k)^T T (h - k), and that distance."""
    size = free.kernel.shape
    target, metric = free.kernel.ravel(), free.hessian

    def kernel(parameters: Array) -> Array | None:
        made = family.kernel(parameters)
        padded = np.zeros(size)
        cut = [max(0, (n - m) // 2) for n, m in zip(made.shape, size, strict=True)]
        made = made[cut[0] : made.shape[0] - cut[0], cut[1] : made.shape[1] - cut[1]]
        if made.sum() < 0.98:
            return None
        top, left = ((m - n) // 2 for n, m in zip(made.shape, size, strict=True))
        padded[top : top + made.shape[0], left : left + made.shape[1]] = made
        return padded.ravel()

    def distances(batch: Array) -> Array:
        kernels = [kernel(parameters) for parameters in batch]
        differences = np.array([target if k is None else k - target for k in kernels])
        values = np.einsum("bi,bi->b", differences @ metric, differences)
        return np.where([k is None for k in kernels], np.inf, values)

    grid = family.grid((size[0] - 1) / 2)
    coarse = distances(grid)
    best = grid[int(np.argmin(coarse))]
    best = descend(distances, best, family.scales(best), np.array(family.lowest), rounds=20)
    return best, float(distances(best[None])[0])
