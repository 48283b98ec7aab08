"""What the blur is roughly, and how large: many short climbs in small copies of the frame.

At half of its size a frame costs a quarter, and what decides between kernels shows there already. Scouts of several
windows and starts climb, and the score (`candidates`) ranks what they find. It does not know of windows, so kernels of
all sizes compete. A window larger than the blur costs little, and often finds it where one that fits does not: its
climb begins at a coarser scale.

Large kernels need more of the frame and less of its detail: their windows climb in a copy that is smaller, of a larger
region. A frame with much plain ground, as a page of text has, gets scouts of its own (`starts`). Kernels of different
copies are compared in the smallest of these; but the best of every copy is kept, whatever the others say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from deblur.estimation.blind import taps
from deblur.estimation.blind.candidates import ALIKE, Candidate, Judge
from deblur.estimation.blind.periodic import Array
from deblur.estimation.blind.planes import best_part, on_ground, plain_share
from deblur.estimation.blind.pyramid import STEP, Plane, climb, odd, shrunk
from deblur.estimation.blind.starts import STARTS, TEXT
from deblur.estimation.blind.workers import Progress, each

__all__ = ["NEAR", "Scout", "View", "ladder", "outlined", "scouted", "windows"]

SIDES = (13, 19, 27, 37, 51, 73, 103, 151)
BEYOND = (1.0, 1.4, 2.0)
"""Windows to try where the side is given, in units of it."""
NEAR = 37
"""The largest window that is tried in a copy with detail; larger kernels are also judged in a smaller one."""
PAGE = (27, 73)
"""Windows that are tried on plain ground, from and to."""
PLAIN = 0.1
"""Share of a frame from which on its ground is called plain."""
PIXELS = 256 * 256
"""Of a copy, about."""
DETAIL = 38
"""Side of the largest kernel in a copy, about."""
WEIGHED = 8
"""How many kernels that differ are scored in a copy."""
KEPT = 3
"""How many of these are compared with those of other copies."""


@dataclass(frozen=True, eq=False)
class View:
    """A small copy of the frames, its scale, and a judge of kernels at that scale."""

    planes: Sequence[Plane]
    scale: float
    judge: Judge

    @classmethod
    def of(cls, planes: Sequence[Plane], largest: int, detail: int = DETAIL) -> View:
        """The copy for kernels of at most so many taps at full size, and about `detail` in the copy."""
        pixels = max(plane.values.size for plane in planes)
        fits = math.ceil(math.log(PIXELS / pixels) / (2 * math.log(STEP)) - 0.1)
        level = max(fits, math.floor(math.log(detail / largest, STEP)), 1)
        small = [shrunk(plane, STEP**level) for plane in planes]
        return cls(small, STEP**level, Judge(small, odd(largest * STEP**level)))


@dataclass(frozen=True, eq=False)
class Scout:
    """What a scout found: a candidate at the scale of its view, and the side of its window at full size."""

    candidate: Candidate
    view: View
    side: int

    @property
    def kernel(self) -> Array:
        """The kernel at full size."""
        return outlined(self.candidate.kernel, 1 / self.view.scale)


def ladder(smallest: int) -> tuple[int, ...]:
    """The windows to try in frames of at least so many pixels a side: those of at most a third of it.

    Example:
        >>> ladder(255), ladder(100)
        ((13, 19, 27, 37, 51, 73), (13, 19, 27))
    """
    return tuple(side for side in SIDES if 3 * side <= smallest) or SIDES[:1]


def windows(size: int, smallest: int) -> tuple[int, ...]:
    """The windows to try for a kernel of a side that is given: larger ones, too, as far as the frames allow.

    Example:
        >>> windows(27, 255), windows(101, 255)
        ((27, 39, 55), (101, 127))
    """
    largest = max(smallest // 2 - 1 + smallest // 2 % 2, size)
    return tuple(sorted({min(odd(beyond * size), largest) for beyond in BEYOND}))


def scouted(
    planes: Sequence[Plane], sides: Sequence[int], names: Sequence[str], area: int, progress: Progress
) -> tuple[list[Scout], list[Scout]]:
    """All that the scouts of these windows and starts found, and of that what differs, best first.

    Args:
        planes: the frames.
        sides: windows.
        names: of starts.
        area: pixels of the region that is copied, at most; four times as many for large windows.
        progress: told of the progress; the phase is half done at the end of the climbs.
    """
    near, far = ([best_part(one, round((n * area) ** 0.5)) for one in planes] for n in (1, 4))
    usual, text = ([name for name in names if (name in TEXT) == on_text] for on_text in (False, True))
    small, page = [side for side in sides if side <= NEAR], [side for side in sides if PAGE[0] <= side <= PAGE[1]]
    large = [side for side in sides if side >= NEAR and side > min(sides)]
    groups = [(part, some, usual, DETAIL) for part, some in ((near, small), (far, large)) if some and usual]
    if text and (not usual or min(plain_share(one) for one in near) > PLAIN):
        groups.append((near, page or list(sides), text, max(page or sides)))
    progress.phase("size", 0.3, sum(len(some) * len(starts) for _, some, starts, _ in groups))
    found = [_climbed(View.of(part, some[-1], detail), some, starts, progress) for part, some, starts, detail in groups]
    progress.phase("size", 0.4, (WEIGHED + KEPT) * len(groups))
    ranks = [_ranked(some, progress) for some in found]
    best = ranks[0] if len(ranks) == 1 else _compared([rank[:KEPT] for rank in ranks], progress)
    return [one for some in found for one in some], _different(best)


def outlined(kernel: Array, scale: float) -> Array:
    """A kernel at another scale, in an array that holds it.

    Example:
        >>> taps.extent(outlined(np.eye(9), 2.0), 0.2)
        20
    """
    grown = np.pad(kernel.astype(np.float64), 2 + math.ceil(1.5 / min(scale, 1)))
    low = ndimage.gaussian_filter(grown, 0.5 / scale, mode="constant") if scale < 1 else grown
    return taps.enlarge(low, odd(low.shape[0] * scale), scale)


def _climbed(view: View, sides: Sequence[int], names: Sequence[str], progress: Progress) -> list[Scout]:
    plain = [on_ground(plane) for plane in view.planes] if any(name in TEXT for name in names) else view.planes

    def one(task: tuple[int, str]) -> Scout:
        side, name = task
        small = max(odd(side * view.scale), 3)
        kernels = climb(plain if name in TEXT else view.planes, small, STARTS[name], lambda part: progress(part / 2))
        kernel = taps.window(taps.prune(kernels[-1]), small)
        return Scout(Candidate(kernel, name, 0, view.judge.energy(kernel)), view, side)

    return each(one, [(side, name) for side in sides for name in names], progress)


def _ranked(found: Sequence[Scout], progress: Progress) -> list[Scout]:
    """The scouts of a view that differ, with their scores, best first."""

    def scored(one: Scout) -> Scout:
        score = one.view.judge.score(one.candidate.kernel, one.candidate.energy)
        progress(1.0)
        return replace(one, candidate=replace(one.candidate, score=score))

    differ: list[Scout] = []
    for one in sorted(found, key=lambda one: one.candidate.energy):
        if all(taps.similarity(one.candidate.kernel, other.candidate.kernel) < ALIKE for other in differ):
            differ.append(one)
    return sorted(each(scored, differ[:WEIGHED], progress), key=lambda one: one.candidate.score)


def _compared(ranks: Sequence[Sequence[Scout]], progress: Progress) -> list[Scout]:
    """The best scouts of several views by their scores in the smallest: the first of every view, then the others."""
    common = min((rank[0].view for rank in ranks), key=lambda view: view.scale)

    def score(one: Scout) -> float:
        kernel = outlined(one.candidate.kernel, common.scale / one.view.scale)
        result = common.judge.score(kernel, common.judge.energy(kernel))
        progress(1.0)
        return result

    everyone = [(one is rank[0], one) for rank in ranks for one in rank]
    scores = each(score, [one for _, one in everyone], progress)
    order = sorted(range(len(everyone)), key=lambda n: (not everyone[n][0], scores[n]))
    return [everyone[n][1] for n in order]


def _different(found: Sequence[Scout]) -> list[Scout]:
    chosen: list[Scout] = []
    for one in found:
        if all(taps.similarity(one.kernel, other.kernel, 2.0) < ALIKE for other in chosen):
            chosen.append(one)
    return chosen
