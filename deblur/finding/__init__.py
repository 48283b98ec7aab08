"""Find the blur of one photograph: kernels of every kind, weighed by one measure, no blur among them.

find        candidates (`candidates`) from the part of the frame with the most texture, weighed (`weighing`)
"""

from __future__ import annotations

import time
from collections.abc import Callable

from deblur.estimation import estimator
from deblur.estimation import region as regions
from deblur.estimation.estimate import Estimate, Region
from deblur.finding.candidates import NONE, asked
from deblur.finding.gray import Gray
from deblur.finding.uniformity import differing
from deblur.finding.weighing import Weighed, Weighing, misfit
from deblur.options import FitOptions
from deblur.picture import Picture
from deblur.progress import OnStep, Step
from deblur.psf import Kernel

__all__ = ["SURE", "find"]

AREA = 768 * 768
"""Pixels that a kernel is looked for in, at most: the part with the most texture."""

SHARES = {"named": 0.2, "points": 0.22, "free": 0.95}
"""How far a search is after each kind of candidates."""

SURE = 0.75
"""The probability of being better than the file from which on a kernel is taken: at .5 more frames come out worse,
and next to nothing is gained (docs/experiments/finding.md)."""

EVIDENT = 0.85, 0.07
"""Confidence, and evidence in a frame's spectrum in nats a frequency, from which on a motion or a defocus is the whole
answer: free taps take far longer, and are not looked for. A gaussian goes a little way towards any blur."""

OTHERS = 3
"""Kernels that are kept beside the chosen one."""


def find(picture: Picture, options: FitOptions, on_step: OnStep | None = None) -> Estimate:
    """Find the kernel that blurred a picture, of whatever kind it is.

    Args:
        picture: pixels (C, H, W) in stored values; what is masked in it is not looked at.
        options: what the user chose. With a `parametric` blur only that is looked for, and no blur is no answer.
        on_step: told of the progress.

    Returns:
        The record. Its kernel is of a single tap where no blur was found that could be removed.

    Raises:
        ShapeError, OptionError, KernelError: a picture from which no blur can be told: tiny, flat.
    """
    start = time.perf_counter()
    restoring = options.restoring()
    size = options.size if isinstance(options.size, int) else None
    estimator(
        parametric=options.parametric, size=size, settings=options.settings
    )  # refuses what is no setting, at once
    gray = Gray.of(picture, restoring)
    height, width = gray.plane.values.shape
    place = _place(gray)
    part = gray.part(place)
    weigh = Weighing(part, restoring)
    ranked: list[Weighed] = []
    begun = 0.0
    for kind, look in asked(options.parametric).items():
        found = look(part, options, _share(on_step, begun, SHARES[kind], kind))
        begun = SHARES[kind]
        ranked = sorted([*ranked, *(weigh(one) for one in found)], key=lambda one: -one.score)
        if ranked and _evident(ranked[0]):
            break
    named = options.parametric != "none"
    chosen = ranked[0] if ranked and (named or ranked[0].confidence >= SURE) else Weighed(candidate=NONE)
    kernel = chosen.candidate.kernel
    warnings = [*chosen.candidate.warnings]
    if not kernel.still and differing(gray, kernel.taps, free=chosen.candidate.free):
        warnings.append("the blur varies over the frame: its parts ask for other kernels; restore them apart")
    if on_step is not None:
        on_step(Step.share(1.0, "done"))
    return Estimate(
        kernel=_recorded(chosen, ranked),
        method=chosen.candidate.kind if chosen.candidate.kind != "named" else _name(chosen),
        sigma=gray.measured.shown,
        warnings=tuple(warnings),
        region=None if place[2:] == (width, height) else place,
        seconds=time.perf_counter() - start,
        steps=len(ranked),
        details={"candidates": [_line(one) for one in ranked]},
    )


def _place(gray: Gray) -> Region:
    """The part of the frame with the most texture."""
    height, width = gray.plane.values.shape
    rows, columns = regions.sides((height, width), AREA)
    if (rows, columns) == (height, width):
        return 0, 0, width, height
    plane = gray.plane
    return regions.best(plane.values, (rows, columns), 1, believed=plane.believed, sigma=plane.sigma)[0]


def _evident(one: Weighed) -> bool:
    known = _name(one) in ("motion", "defocus", "points")
    return known and one.confidence >= EVIDENT[0] and one.shown["spectrum"] >= EVIDENT[1]


def _recorded(chosen: Weighed, ranked: list[Weighed]) -> Kernel:
    """The chosen kernel with what is known about it, and the next ones."""
    others = [one for one in ranked if one is not chosen and one.confidence >= SURE][:OTHERS]
    return chosen.candidate.kernel.replaced(
        confidence=chosen.confidence,
        alternatives=tuple(one.candidate.kernel.replaced(confidence=one.confidence, alternatives=()) for one in others),
    ).replaced(misfit=misfit(chosen))


def _name(chosen: Weighed) -> str:
    return chosen.candidate.kernel.source.partition(":")[0]


def _line(one: Weighed) -> dict[str, object]:
    kernel = one.candidate.kernel
    return {
        "kind": one.candidate.kind,
        "source": kernel.source,
        "size": list(kernel.shape[-2:]),
        "score": round(one.score, 3),
        "confidence": round(one.confidence, 3),
        **{name: round(value, 4) for name, value in one.shown.items()},
    }


def _share(on_step: OnStep | None, begin: float, end: float, phase: str) -> Callable[[Step], None] | None:
    """What a search among several tells of its own progress."""
    if on_step is None:
        return None

    def tell(step: Step) -> None:
        on_step(Step.share(begin + (end - begin) * step.index / max(step.total, 1), phase))

    return tell
