"""From the starts' kernels to one: a short list by energy, the score's best two refined, the best of all that.

Before the refinement the best three may climb once more (`again`). The starts that failed are no loss, but the one that
went to the right kernel may have stopped short of it; from its outlines another climb often gets there.

A refinement is kept where it lowers the score. It sharpens a kernel, which helps where the kernel's model is not quite
right (a really blurred frame) and breaks thin strokes into dots where it is exact; the score tells one from the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from deblur.device import using_threads
from deblur.estimation.blind.candidates import Candidate, Judge, short_list
from deblur.estimation.blind.descent import Descent
from deblur.estimation.blind.periodic import Array
from deblur.estimation.blind.pyramid import Plane
from deblur.estimation.blind.variational import Variational

__all__ = ["Choice", "Scored", "choose"]

A = TypeVar("A")
Refinement = Callable[[Sequence[Plane], Array], Array]
Again = Callable[[Sequence[Candidate]], Sequence[Candidate]]

CLIMBERS = 3
"""How many of the short list climb again."""

REFINED = 2
"""How many of the short list are refined."""

NOISY = 0.008
"""Noise, at a range of .85, from which on the refinement would fit it; below, the old kernel holds the new one more
the more noise there is."""


@dataclass(frozen=True)
class Scored:
    """A candidate with its score, and the one that it was refined from: itself where it was not."""

    candidate: Candidate
    score: float
    origin: Candidate

    @property
    def refined(self) -> bool:
        """Whether the kernel is a refined one."""
        return self.origin is not self.candidate


@dataclass(frozen=True)
class Choice:
    """The kernel that was chosen, those that were weighed, best first, and what the first of them were refined to."""

    best: Scored
    listed: tuple[Scored, ...]
    finals: tuple[Scored, ...]


def choose(
    found: Sequence[Candidate],
    planes: Sequence[Plane],
    *,
    count: int,
    refine: bool,
    descent: int,
    workers: int,
    again: Again | None = None,
) -> Choice:
    """Choose among candidates.

    Args:
        found: their energies decide who is looked at more closely.
        planes: the frames.
        count: of kernels on the short list; with `again` a second list has as many, of what is new, too.
        refine: whether to refine the best of them, too.
        descent: steps of gradient descent for the best of them; 0 for none.
        workers: threads.
        again: what the first of the short list are given to, and which hands in more candidates.
    """
    judges: dict[int, Judge] = {}
    known: dict[Candidate, Scored] = {}

    def scored(one: Candidate) -> Scored:
        return known.get(one) or Scored(one, judges[one.kernel.shape[0]].score(one.kernel, one.energy), one)

    def listing() -> list[Scored]:
        judges.update({size: Judge(planes, size) for size in {one.kernel.shape[0] for one in found} - judges.keys()})
        known.update({one.candidate: one for one in _each(scored, short_list(found, count), workers)})
        return sorted(known.values(), key=lambda one: one.score)

    def refined(task: tuple[Candidate, Refinement]) -> Scored:
        old, refinement = task
        kernel, judge = refinement(planes, old.kernel), judges[old.kernel.shape[0]]
        ratio = judge.energy(kernel) / judge.energy(old.kernel)
        new = replace(old, kernel=kernel, energy=old.energy * ratio)  # at the old one's price
        return replace(scored(new), origin=old)

    listed = listing()
    if again is not None:
        found = [*found, *again([one.candidate for one in listed[:CLIMBERS]])]
        listed = listing()
    tasks = [(one.candidate, how) for one in listed[:REFINED] for how in _refinements(planes, refine, descent)]
    better = _each(refined, tasks, workers)
    return Choice(min([*listed, *better], key=lambda one: one.score), tuple(listed), tuple(better))


def _refinements(planes: Sequence[Plane], refine: bool, descent: int) -> list[Refinement]:
    noise = max(one.sigma for one in planes)
    wanted: list[Refinement] = []
    if refine and noise < NOISY:
        wanted.append(Variational(prox=0.3 * (1 + (noise / 0.004) ** 2)))
    if descent:
        wanted.append(Descent(steps=descent))
    return wanted


def _each(function: Callable[[A], Scored], items: Sequence[A], workers: int) -> list[Scored]:
    with using_threads(1), ThreadPoolExecutor(max(min(workers, len(items)), 1)) as pool:  # one of torch's for each
        return list(pool.map(function, items))
