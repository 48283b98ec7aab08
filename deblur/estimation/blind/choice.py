"""From the climbs' kernels to one: a short list by energy, the score's best refined, the best of all that.

A refinement is kept where it lowers the score. It sharpens a kernel, which helps where the kernel's model is not quite
right (a really blurred frame) and breaks thin strokes into dots where it is exact; the score tells one from the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from deblur.estimation.blind.candidates import Candidate, Judge, short_list
from deblur.estimation.blind.descent import Descent
from deblur.estimation.blind.periodic import Array
from deblur.estimation.blind.pyramid import Plane
from deblur.estimation.blind.scouting import View, outlined
from deblur.estimation.blind.variational import Variational
from deblur.estimation.blind.workers import Progress, each

__all__ = ["Choice", "choose"]

Refinement = Callable[[Sequence[Plane], Array], Array]

DOUBTED = 3
"""How many of the short list the learned prior is asked about."""

REFINED = 1
"""How many of the short list are refined."""

NOISY = 0.008
"""Noise, at a range of .85, from which on the refinement would fit it; below, the old kernel holds the new one more
the more noise there is."""


@dataclass(frozen=True)
class Choice:
    """The kernel that was chosen, those that were weighed, best first, and what the first of them were refined to."""

    best: Candidate
    listed: tuple[Candidate, ...]
    finals: tuple[Candidate, ...]


def choose(
    found: Sequence[Candidate],
    planes: Sequence[Plane],
    judge: Judge,
    *,
    count: int,
    refine: bool,
    descent: int,
    progress: Progress,
    coarse: View | None = None,
) -> Choice:
    """Choose among candidates.

    Args:
        found: their energies decide who is looked at more closely.
        planes: the frames.
        judge: of them.
        count: of kernels on the short list.
        refine: whether to refine the best of them, too.
        descent: steps of gradient descent for the best of them; 0 for none.
        progress: told of the progress, a part for every kernel that is weighed or refined.
        coarse: a small copy of the frames whose score is added: what large kernels differ in shows there.
    """

    def scored(one: Candidate) -> Candidate:
        score = judge.score(one.kernel, one.energy)
        if coarse is not None:
            small = outlined(one.kernel, coarse.scale)
            score += coarse.judge.score(small, coarse.judge.energy(small))
        progress(1.0)
        return replace(one, score=score)

    def doubted(one: Candidate) -> Candidate:
        score = one.score + judge.second_opinion(one.kernel)
        progress(1.0)
        return replace(one, score=score)

    def refined(task: tuple[Candidate, Refinement]) -> Candidate:
        old, refinement = task
        kernel = refinement(planes, old.kernel)
        ratio = judge.energy(kernel) / judge.energy(old.kernel)
        new = replace(old, kernel=kernel, energy=old.energy * ratio)  # at the old one's price
        new = scored(new)
        return replace(doubted(new) if judge.share else new, origin=old)

    listed = sorted(each(scored, short_list(found, count), progress), key=lambda one: one.score)
    if judge.share:
        listed = sorted(each(doubted, listed[:DOUBTED], progress), key=lambda one: one.score) + listed[DOUBTED:]
    tasks = [(one, how) for one in listed[:REFINED] for how in _refinements(planes, refine, descent)]
    better = each(refined, tasks, progress)
    return Choice(min([listed[0], *better], key=lambda one: one.score), tuple(listed), tuple(better))


def _refinements(planes: Sequence[Plane], refine: bool, descent: int) -> list[Refinement]:
    noise = max(one.sigma for one in planes)
    wanted: list[Refinement] = []
    if refine and noise < NOISY:
        wanted.append(Variational(prox=0.3 * (1 + (noise / 0.004) ** 2)))
    if descent:
        wanted.append(Descent(steps=descent))
    return wanted
