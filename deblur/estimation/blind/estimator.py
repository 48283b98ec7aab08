"""The blur kernel of one photograph, or of several that share it: the parts of this package put together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from deblur.errors import KernelError, OptionError
from deblur.estimation import region as regions
from deblur.estimation.blind import taps
from deblur.estimation.blind.candidates import Candidate, Judge, candidates, price
from deblur.estimation.blind.choice import Choice, choose
from deblur.estimation.blind.confidence import confidence
from deblur.estimation.blind.learned import Learned
from deblur.estimation.blind.periodic import Array
from deblur.estimation.blind.planes import plane
from deblur.estimation.blind.pyramid import Plane, Start, climb
from deblur.estimation.blind.starts import AGAIN, SCOUT, STARTS
from deblur.estimation.blind.support import CUT, asked, cut_off, ladder, support
from deblur.estimation.blind.uniformity import DIFFERENT, exchanged
from deblur.estimation.estimate import Estimate, Region
from deblur.progress import OnStep, Step
from deblur.psf import Kernel

__all__ = ["BlindEstimator"]

AREA = 512 * 512
"""Pixels that a kernel is estimated from at most: more cost time and gain little."""
SECOND = ("scout", "plain", "gamma")
"""The starts that are also run at the second size, where the size is not certain."""


@dataclass(frozen=True, eq=False)
class Run:
    """A climb to come: the name of its start, the side of its kernel, settings, and the kernel that it begins with."""

    name: str
    size: int
    start: Start
    begin: Array | None = None


@dataclass(frozen=True, kw_only=True)
class BlindEstimator:
    """Estimate a blur kernel from blurred frames alone.

    Runs the pyramid from several starts (`starts`), chooses among their kernels by the energy of the simplest scene
    that explains the frame (`candidates`) and by their evidence (`evidence`), the best climbed to again, refined or not
    (`choice`). Without a size, scouts find it first (`support`); of large frames the best-textured region is used
    (`deblur.estimation.region`).

    Args:
        size: side of the kernel's support, odd, at least 3; None finds it. The array that comes back is of this size,
            unless more than a hundredth of the kernel would be cut off when its centroid is put in the middle.
        starts: names in `STARTS`; fewer are faster and fail more often.
        shortlist: how many kernels that differ are weighed by their evidence; each takes as long as a start. After the
            second climb as many are looked at once more, and those weighed that are new.
        again: whether to climb again from the best of the short list.
        refine: whether to refine the best kernels; a refined one is taken where its score is better.
        passes: of the last refinement, by the learned prior (`learned`); 0 leaves it out. For `refine` only.
        descent: steps of gradient descent through the restoration for the best kernels; 0 leaves it out.
        area: pixels of a frame that are used at most.
        compare: how many further regions of a large frame to compare the kernel with.

    Example:
        >>> BlindEstimator(size=4)
        Traceback (most recent call last):
        deblur.errors.OptionError: expected an odd size of at least 3, got 4; take 5
    """

    size: int | None = None
    starts: tuple[str, ...] = tuple(STARTS)
    shortlist: int = 6
    again: bool = True
    refine: bool = True
    passes: int = 2
    descent: int = 0
    area: int = AREA
    compare: int = 2

    def __post_init__(self) -> None:
        if self.size is not None and (self.size < 3 or self.size % 2 == 0):
            raise OptionError(f"expected an odd size of at least 3, got {self.size}; take {max(self.size + 1, 3) | 1}")
        if self.descent < 0 or self.passes < 0:
            raise OptionError(f"expected 0 or more descent and passes, got {self.descent} and {self.passes}")
        if self.shortlist < 1:
            raise OptionError(f"expected a shortlist of 1 or more, got {self.shortlist}")
        unknown = [name for name in self.starts if name not in STARTS]
        if unknown or not self.starts:
            raise OptionError(f"expected starts out of {', '.join(STARTS)}, got {', '.join(unknown) or 'none'}")

    def __call__(
        self,
        frames: Sequence[Tensor],
        *,
        masks: Sequence[Tensor | None] | None = None,
        sigma: float | None = None,
        on_step: OnStep | None = None,
    ) -> Estimate:
        """Estimate the kernel that blurred all of `frames`.

        Args:
            frames: (C, H, W) each, linear in light, full scale about 1.
            masks: for each (1 or C, H, W), 1 where a pixel is to be believed, or None.
            sigma: noise of a channel in the frames' units; None estimates it from each.
            on_step: told of the progress.

        Raises:
            OptionError: no frame, or values that are not finite.
            ShapeError: a frame of less than 32 pixels a side.
            KernelError: a size that does not fit the frame, or a frame without edges.
        """
        begin = time.perf_counter()
        if not frames:
            raise OptionError("expected at least one frame, got none")
        given = list(masks) if masks is not None else [None] * len(frames)
        whole = [plane(frame, mask, sigma) for frame, mask in zip(frames, given, strict=True)]
        self._fits(whole)
        places = [self._places(one) for one in whole]
        planes = [one.part(place[0]) for one, place in zip(whole, places, strict=True)]
        progress = _Progress(on_step)
        smallest = min(min(one.values.shape) for one in planes)

        runs, kept = [Run(name, self.size or 0, STARTS[name]) for name in self.starts], []
        largest = smallest // 2 - 1 + smallest // 2 % 2
        if self.size is None:
            sides = ladder((smallest, smallest))
            scouts = self._run([Run("scout", side, SCOUT) for side in sides], planes, progress, "size", (0.0, 0.3))
            (size, scout), *others = support(scouts, largest)
            runs = [Run(name, size, STARTS[name]) for name in self.starts]
            runs += [Run(name, other, STARTS[name]) for other, _ in others for name in SECOND if name in self.starts]
            kernel = taps.window(scout.kernel, size)
            energy = price(scout.level, planes) * Judge(planes, size).energy(kernel)
            kept = [Candidate(kernel, "size", scout.level, energy)]
        found = self._run(runs, planes, progress, "kernel", (0.0 if self.size else 0.3, 0.6)) + kept
        found = [replace(one, energy=CUT * one.energy) if _cut(one, runs[0].size) else one for one in found]

        def again(best: Sequence[Candidate]) -> list[Candidate]:
            sides = [self.size or asked(one, largest) for one in best]
            more = [Run(one.start, side, AGAIN, one.kernel) for one, side in zip(best, sides, strict=True)]
            return [replace(one, again=True) for one in self._run(more, planes, progress, "again", (0.65, 0.75))]

        progress("choice", 0.6)
        choice = choose(
            found,
            planes,
            count=self.shortlist,
            refine=self.refine,
            descent=self.descent,
            workers=torch.get_num_threads(),
            again=again if self.again else None,
        )
        if self.refine:
            progress("refinement", 0.8)
            best = choice.best.candidate
            best = replace(best, kernel=Learned(passes=self.passes)(planes, best.kernel))
            choice = replace(choice, best=replace(choice.best, candidate=best))
        return self._record(whole, places, planes, found, choice, progress, begin)

    def _record(
        self,
        whole: Sequence[Plane],
        places: Sequence[list[Region]],
        planes: Sequence[Plane],
        found: Sequence[Candidate],
        choice: Choice,
        progress: _Progress,
        begin: float,
    ) -> Estimate:
        chosen, kernel = choice.best.candidate, choice.best.candidate.kernel
        size = kernel.shape[0]
        trust = confidence(choice, found, Judge(planes, size))
        warnings = list(trust.warnings)
        details: dict[str, object] = {
            "size": size,
            "start": chosen.start,
            "level": chosen.level,
            "again": chosen.again,
            "refined": choice.best.refined,
            "score": choice.best.score,
            "agreement": trust.agreement,
            "energy": chosen.energy,
            "energy without blur": trust.energy_without_blur,
        }
        value = trust.value
        if len(places[0]) > 1:
            progress("regions", 0.9)
            others = [whole[0].part(place) for place in places[0][1:]]
            own = [taps.window(climb([other], size, SCOUT)[-1], size) for other in others]
            rises = [exchanged(planes[0], other, (kernel, one)) for other, one in zip(others, own, strict=True)]
            details["regions"] = [list(place) for place in places[0][1:]]
            details["exchanged kernels"] = [round(rise, 3) for rise in rises]
            if max(rises) > DIFFERENT:
                warnings.append(
                    f"the kernels of several regions differ (exchanged, they do {max(rises) - 1:.0%} worse): the blur "
                    "may vary over the frame; estimate and restore its parts apart"
                )
        progress("done", 1.0)
        used = places[0][0]
        height, width = whole[0].values.shape
        result = taps.centred(kernel, loss=0.01).astype(np.float64)
        alternatives = tuple(
            Kernel(taps.centred(one.candidate.kernel, loss=0.01), confidence=value)
            for one in choice.listed
            if one.origin is not choice.best.origin
        )
        return Estimate(
            kernel=Kernel(
                result / result.sum(), confidence=value, source="one picture alone", alternatives=alternatives
            ),
            method="blind",
            sigma=float(np.mean([one.sigma / one.scale for one in whole])),
            warnings=tuple(warnings),
            region=None if used[2:] == (width, height) else used,
            seconds=time.perf_counter() - begin,
            steps=len(found),
            details=details,
        )

    def _fits(self, planes: Sequence[Plane]) -> None:
        for one in planes:
            height, width = one.values.shape
            if self.size is not None and 2 * self.size > min(height, width):
                raise KernelError(
                    f"expected a size of at most half the frame of {width} x {height} pixels, got {self.size}; "
                    "give a smaller size or a larger picture"
                )

    def _places(self, one: Plane) -> list[Region]:
        height, width = one.values.shape
        rows, columns = regions.sides((height, width), self.area)
        if (rows, columns) == (height, width):
            return [(0, 0, width, height)]
        return regions.best(one.values, (rows, columns), 1 + self.compare, believed=one.believed, sigma=one.sigma)

    def _run(
        self,
        runs: Sequence[Run],
        planes: Sequence[Plane],
        progress: _Progress,
        phase: str,
        share: tuple[float, float],
    ) -> list[Candidate]:
        """Every run's candidates, in the order of the runs, on as many threads as torch uses."""
        judges = {size: Judge(planes, size) for size in {run.size for run in runs}}
        part = (share[1] - share[0]) / len(runs)
        lock, done = Lock(), [share[0]]

        def one(run: Run) -> list[Candidate]:
            total = sum(0.5**level for level in range(20))

            def on_level(work: float) -> None:
                with lock:
                    done[0] += part * work / total
                    progress(phase, done[0])

            found = climb(planes, run.size, run.start, on_level, begin=run.begin)
            return candidates(found, run.size, run.name, judges[run.size])

        workers = max(min(torch.get_num_threads(), len(runs)), 1)
        progress(phase, share[0])
        with ThreadPoolExecutor(workers) as pool:
            handed = list(pool.map(one, runs))
        return [candidate for some in handed for candidate in some]


def _cut(candidate: Candidate, size: int) -> bool:
    """Whether a kernel of another size than the one that was found fills its window."""
    return candidate.kernel.shape[0] != size and cut_off(candidate)


class _Progress:
    """Tells of steps, if anyone listens."""

    def __init__(self, on_step: OnStep | None) -> None:
        self.on_step = on_step

    def __call__(self, phase: str, fraction: float) -> None:
        if self.on_step is not None:
            self.on_step(Step.share(min(fraction, 1.0), phase))
