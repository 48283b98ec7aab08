"""A blur with a name from blurred frames alone: motion, defocus or a Gaussian, by evidence."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deblur.errors import OptionError
from deblur.estimation.estimate import Estimate
from deblur.estimation.families import FAMILIES, tried
from deblur.estimation.marginal import Evidence, periodogram
from deblur.estimation.newton import descend
from deblur.estimation.non_negative import Array
from deblur.jpeg_error import Bands
from deblur.noise import estimate_sigma
from deblur.progress import OnStep, Step
from deblur.psf import Kernel

__all__ = ["Fitted", "Parametric", "Search", "search"]

_BATCH = 2_000_000
"""Frequencies times candidates that are looked at at once."""

_NEAR = 0.4
"""Of the way from the best of a grid to its median, up to where another place is looked at more closely."""

_WINDOWS = (512, 256)
"""Sides of the windows: the larger where the frame has twice as many pixels a side."""


@dataclass(frozen=True)
class Fitted:
    """The best of one family: its parameters and minus its log evidence."""

    family: str
    parameters: Array
    cost: float

    @property
    def spec(self) -> str:
        """The text that its kernel is made from."""
        return FAMILIES[self.family].spec(self.parameters)

    @property
    def kernel(self) -> Kernel:
        """Its kernel, that the text is the source of."""
        return Kernel(FAMILIES[self.family].kernel(self.parameters), source=self.spec)

    def criterion(self, count: int) -> float:
        """What it costs of so many frequencies: minus its log evidence, and log(n) / 2 per parameter."""
        return self.cost + 0.5 * len(self.parameters) * math.log(count)


@dataclass(frozen=True, kw_only=True)
class Parametric:
    """Maximise the marginal likelihood of a few parameters (see `deblur.estimation.marginal`).

    A grid over all parameters first, since the zeros of motion and defocus make the likelihood ripple, then Newton
    steps from the three best places that are apart. Families are compared by their evidence, each parameter costing
    log(n) / 2 for n frequencies (Schwarz 1978); no blur at all is a family without parameters.

    Args:
        model: the name of a blur in `deblur.estimation.families`, or `auto`.
        size: odd, the largest kernel that is looked for, or None for what the frame allows: a sixth of its side.

    Raises:
        OptionError: an unknown model.

    Example:
        >>> Parametric(model="motoin")
        Traceback (most recent call last):
        ...
        deblur.errors.OptionError: unknown parametric blur 'motoin', did you mean 'motion'? Known: auto, ...
    """

    model: str = "auto"
    size: int | None = None

    def __post_init__(self) -> None:
        tried(self.model)

    def __call__(
        self,
        frames: Sequence[Tensor],
        *,
        masks: Sequence[Tensor | None] | None = None,
        sigma: float | None = None,
        on_step: OnStep | None = None,
    ) -> Estimate:
        """Fit the blur that all frames (C, H, W) share.

        Args:
            frames: in linear light, of at least 64 pixels a side.
            masks: 1 where a pixel is believed, broadcasting to the frame, or None.
            sigma: standard deviation of the noise, or None to estimate it.
            on_step: told of the progress.
        """
        start = time.perf_counter()
        found = search(frames, tried(self.model), masks=masks, sigma=sigma, size=self.size, on_step=on_step)
        return _record(found, time.perf_counter() - start)


@dataclass(frozen=True)
class Search:
    """What a search found: the best of every family, their kernels' judge, and what no blur at all costs."""

    families: tuple[Fitted, ...]
    evidence: Evidence
    plain: float
    sigma: float
    steps: int

    @property
    def best(self) -> Fitted:
        """The family of most evidence."""
        return min(self.families, key=lambda one: one.criterion(self.evidence.count))


def search(
    frames: Sequence[Tensor],
    families: Sequence[str],
    *,
    masks: Sequence[Tensor | None] | None = None,
    sigma: float | None = None,
    size: int | None = None,
    coded: Bands | None = None,
    on_step: OnStep | None = None,
) -> Search:
    """The best of each of several families.

    Args:
        frames: (C, H, W) each, in linear light, of one blur.
        families: names in `deblur.estimation.families.FAMILIES`.
        masks: 1 where a pixel is believed, broadcasting to the frame, or None.
        sigma: standard deviation of the noise, or None to estimate it.
        size: odd, the largest kernel that is looked for, or None for what the frame allows.
        coded: what coding as a JPEG left of each band, in the frames' units.
        on_step: told of the progress.
    """
    masks = [None] * len(frames) if masks is None else masks
    shortest = min(min(frame.shape[-2:]) for frame in frames)
    if sigma is None:
        sigma = max(estimate_sigma(frame, mask) for frame, mask in zip(frames, masks, strict=True))
    side = next((window for window in _WINDOWS if shortest >= 2 * window), min(256, (shortest - 1) // 2 * 2))
    reach = (size - 1) / 2 if size else min(shortest / 12, side / 5)
    power = periodogram(frames, masks, side)
    coarse, fine = (Evidence(power, sigma, stride, coded=coded, upright=True) for stride in (4, 2))
    plain = fine(torch.ones(1, fine.count, dtype=torch.float64))
    found, steps = [], 0
    for number, name in enumerate(families):

        def tell(share: float, name: str = name, number: int = number) -> None:
            if on_step is not None:
                on_step(Step.share((number + share) / len(families), name))

        best, count = _search(name, reach, coarse, fine, tell)
        found.append(best)
        steps += count
    return Search(tuple(found), fine, float(plain.cost[0]), sigma, steps)


def _search(
    name: str, reach: float, coarse: Evidence, fine: Evidence, tell: Callable[[float], None]
) -> tuple[Fitted, int]:
    family = FAMILIES[name]
    grid = family.grid(reach)
    if not len(grid):
        raise OptionError(
            f"no {name} fits into {2 * reach + 1:.0f} taps a side; take a larger --size, or a larger frame"
        )
    batch = max(1, _BATCH // coarse.count)
    costs = []
    for first in range(0, len(grid), batch):
        costs.append(_Cost(name, coarse, rounds=7)(grid[first : first + batch]))
        tell(0.8 * min(1.0, (first + batch) / len(grid)))
    cost = np.concatenate(costs)
    near = cost.min() + _NEAR * (np.median(cost) - cost.min())
    starts: list[Array] = []
    for candidate in grid[np.argsort(cost)[: max(1, int((cost <= near).sum()))]]:
        scales = family.scales(candidate)
        if all(np.abs((candidate - other) / scales).max() > 6 for other in starts):
            starts.append(candidate)
        if len(starts) == 3:
            break
    lowest = np.array(family.lowest)
    ends = []
    for number, start in enumerate(starts):
        end = descend(_Cost(name, fine, rounds=6), start, family.scales(start), lowest, rounds=8)
        ends.append(Fitted(name, end, float(_Cost(name, fine, rounds=20)(end[None])[0])))
        tell(0.8 + 0.2 * (number + 1) / len(starts))
    return min(ends, key=lambda end: end.cost), len(grid) + 100 * len(starts)


class _Cost:
    """Minus the log evidence of a batch of parameters; each call starts where the best of the one before ended."""

    def __init__(self, name: str, evidence: Evidence, rounds: int) -> None:
        self._spectrum, self._evidence, self._rounds = FAMILIES[name].spectrum, evidence, rounds
        self._start: Tensor | None = None

    def __call__(self, parameters: Array) -> Array:
        values = torch.from_numpy(np.ascontiguousarray(parameters))
        spectra = self._spectrum(values, self._evidence.down, self._evidence.across)
        fit = self._evidence(spectra.square(), self._start, self._rounds)
        self._start = fit.parameters[fit.cost.argmin()]
        return np.asarray(fit.cost)


def _record(search: Search, seconds: float) -> Estimate:
    best, count = search.best, search.evidence.count
    family = FAMILIES[best.family]
    gain = search.plain - best.criterion(count)
    rivals = [other.criterion(count) - best.criterion(count) for other in search.families if other is not best]
    warnings = []
    if gain <= 0:
        warnings.append("no blur explains the frame as well as any: there may be nothing to remove")
    kernel = best.kernel
    if gain > 0 and kernel.max() > 0.98:
        warnings.append("the kernel is a single tap: there is nothing to remove")
    if count < 2000:
        warnings.append("the picture is small: much else would explain it as well")
    return Estimate(
        kernel=kernel.replaced(confidence=_confidence(gain, count)),
        method=best.spec.partition(":")[0],
        sigma=search.sigma,
        warnings=tuple(warnings),
        seconds=seconds,
        steps=search.steps,
        details={
            **dict(zip(family.names, map(float, best.parameters), strict=True)),
            "evidence": gain,
            "ahead": min(rivals) if rivals else None,
        },
    )


def _confidence(gain: float, count: int) -> float:
    """0 without a gain in evidence, more with the gain per frequency, and with the frequencies that were looked at."""
    share = max(gain, 0.0) / count
    return share / (share + 0.01) * count / (count + 2000)
