"""The blur kernel of one photograph, or of several that share it: the parts of this package put together."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from deblur.errors import KernelError, OptionError
from deblur.estimation import region as regions
from deblur.estimation.blind import taps
from deblur.estimation.blind.candidates import Candidate, Judge, candidates
from deblur.estimation.blind.choice import Choice, choose
from deblur.estimation.blind.confidence import confidence
from deblur.estimation.blind.learned import Learned
from deblur.estimation.blind.periodic import Array
from deblur.estimation.blind.planes import plane
from deblur.estimation.blind.pyramid import STEP, Plane, climb, odd
from deblur.estimation.blind.scouting import NEAR, Scout, View, ladder, scouted, windows
from deblur.estimation.blind.starts import AGAIN, SCOUT, STARTS
from deblur.estimation.blind.uniformity import DIFFERENT, exchanged
from deblur.estimation.blind.workers import Progress, each
from deblur.estimation.estimate import Estimate, Region
from deblur.progress import OnStep
from deblur.psf import Kernel

__all__ = ["BlindEstimator"]

AREA = 512 * 512
"""Pixels that a kernel is estimated from at most: more cost time and gain little."""

USUAL = 64
"""Side of the kernel for which so many are used, a square of eight times that. Larger kernels have more pixels, up to
four times as many, smaller ones fewer."""
LEAST = 256 * 256
"""Pixels that every kernel has, as far as so many are used at all."""

CLIMBERS = 4
"""How many of the scouts' kernels climb to full size."""


@dataclass(frozen=True, kw_only=True)
class BlindEstimator:
    """Estimate a blur kernel from blurred frames alone.

    Scouts of several sizes and starts look for the kernel in small copies of the frame (`scouting`). From the best of
    what they find the pyramid climbs to full size (`pyramid`), and of the kernels there one is chosen by the energy of
    the simplest scene that explains the frame (`candidates`) and by their evidence (`evidence`), refined or not
    (`choice`). Of large frames the best-textured region is used (`deblur.estimation.region`).

    Args:
        size: side of the kernel's support, odd, at least 3; None finds it. The array that comes back is of this size,
            unless more than a hundredth of the kernel would be cut off when its centroid is put in the middle.
        starts: names in `STARTS`; fewer are faster and fail more often.
        shortlist: how many kernels that differ are weighed by their evidence at full size.
        refine: whether to refine the best kernels; a refined one is taken where its score is better.
        passes: of the last refinement, by the learned prior (`learned`); 0 leaves it out. For `refine` only.
        descent: steps of gradient descent through the restoration for the best kernels; 0 leaves it out.
        area: pixels of a frame that are used for a kernel of 64 taps: fewer for smaller ones, up to four times as many
            for larger ones.
        compare: how many further regions of a large frame to compare the kernel with.

    Example:
        >>> BlindEstimator(size=4)
        Traceback (most recent call last):
        deblur.errors.OptionError: expected an odd size of at least 3, got 4; take 5
    """

    size: int | None = None
    starts: tuple[str, ...] = tuple(STARTS)
    shortlist: int = 6
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
        progress = Progress(on_step)
        smallest = min(min(one.values.shape) for one in whole)
        sides = windows(self.size, smallest) if self.size else ladder(smallest)
        scouts, best = scouted(whole, sides, self.starts, self.area, progress)
        begun = [(one, self.size or _asked(one.kernel, smallest)) for one in best[:CLIMBERS]]
        side = max(size for _, size in begun)
        places = [self._places(one, side) for one in whole]
        planes = [one.part(place[0]) for one, place in zip(whole, places, strict=True)]
        judge = Judge(planes, side)

        def climbed(task: tuple[Scout, int]) -> list[Candidate]:
            scout, size = task
            start = replace(AGAIN, finest=max(round(math.log(scout.view.scale, STEP)) + 1, AGAIN.finest or 1))
            return candidates(
                climb(planes, size, start, progress, begin=scout.kernel), size, scout.candidate.start, judge
            )

        progress.phase("kernel", 0.65, 2 * len(begun))
        found = [one for some in each(climbed, begun, progress) for one in some]
        progress.phase("choice", 0.85, self.shortlist + 1)
        choice = choose(
            found,
            planes,
            judge,
            count=self.shortlist,
            refine=self.refine,
            descent=self.descent,
            progress=progress,
            coarse=View.of(planes, side) if side > NEAR else None,
        )
        if self.refine:
            progress.phase("refinement", 0.95)
            chosen = choice.best
            kernel = Learned(passes=self.passes)(planes, chosen.kernel)
            choice = replace(choice, best=replace(chosen, kernel=kernel, origin=chosen.origin or chosen))
        return self._record(whole, places, planes, scouts, choice, progress, begin)

    def _record(
        self,
        whole: Sequence[Plane],
        places: Sequence[list[Region]],
        planes: Sequence[Plane],
        scouts: Sequence[Scout],
        choice: Choice,
        progress: Progress,
        begin: float,
    ) -> Estimate:
        chosen, kernel = choice.best, choice.best.kernel
        size = kernel.shape[0]
        trust = confidence(choice, scouts, Judge(planes, size))
        warnings = list(trust.warnings)
        details: dict[str, object] = {
            "size": size,
            "start": chosen.start,
            "level": chosen.level,
            "refined": chosen.origin is not None,
            "score": choice.best.score,
            "agreement": trust.agreement,
            "energy": chosen.energy,
            "energy without blur": trust.energy_without_blur,
        }
        value = trust.value
        if len(places[0]) > 1:
            progress.phase("regions", 0.99, 2 * len(places[0]))
            others = [whole[0].part(place) for place in places[0][1:]]
            own = [taps.window(climb([other], size, SCOUT, progress)[-1], size) for other in others]
            rises = [exchanged(planes[0], other, (kernel, one)) for other, one in zip(others, own, strict=True)]
            details["regions"] = [list(place) for place in places[0][1:]]
            details["exchanged kernels"] = [round(rise, 3) for rise in rises]
            if max(rises) > DIFFERENT:
                warnings.append(
                    f"the kernels of several regions differ (exchanged, they do {max(rises) - 1:.0%} worse): the blur "
                    "may vary over the frame; estimate and restore its parts apart"
                )
        progress.phase("done", 1.0)
        progress(1.0)
        used = places[0][0]
        height, width = whole[0].values.shape
        result = taps.centred(kernel, loss=0.01).astype(np.float64)
        alternatives = tuple(
            Kernel(taps.centred(one.kernel, loss=0.01), confidence=value)
            for one in choice.listed
            if one is not (choice.best.origin or choice.best)
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
            steps=len(scouts),
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

    def _places(self, one: Plane, side: int) -> list[Region]:
        """The region to look at for a kernel of this side, and those to compare it with."""
        height, width = one.values.shape
        area = max(min(LEAST, self.area), round(self.area * min((side / USUAL) ** 2, 4)))
        rows, columns = regions.sides((height, width), area)
        if (rows, columns) == (height, width):
            return [(0, 0, width, height)]
        return regions.best(one.values, (rows, columns), 1 + self.compare, believed=one.believed, sigma=one.sigma)


def _asked(kernel: Array, smallest: int) -> int:
    """The side of the window that a kernel asks for, a tap more than it uses on either side, in frames of this side."""
    return min(odd(taps.extent(taps.prune(kernel)) + 2), smallest // 2 - 1 + smallest // 2 % 2)
