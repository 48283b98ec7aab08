"""Kernels that may have blurred a photograph, of every kind that is looked for.

A kind is a function here and a line in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deblur.errors import KernelError
from deblur.estimation import estimator
from deblur.estimation.families import POINTS, tried
from deblur.estimation.parametric import search
from deblur.estimation.points import Points
from deblur.finding.gray import Gray
from deblur.options import FitOptions
from deblur.progress import OnStep
from deblur.psf import Kernel

__all__ = ["KINDS", "NONE", "Candidate", "asked"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """A kernel, its kind, and what its estimator had to say.

    Attributes:
        kernel: its `source` says how it was made.
        kind: a name in `KINDS`, or `none`.
        free: whether every tap of it was free.
        warnings: for the user, if it is chosen.
    """

    kernel: Kernel
    kind: str
    free: bool = False
    warnings: tuple[str, ...] = ()


NONE = Candidate(kernel=Kernel([[1.0]], source="no blur"), kind="none")
"""The kernel of a single tap: nothing to undo."""


def named(gray: Gray, options: FitOptions, on_step: OnStep | None) -> list[Candidate]:
    """The best of each family of blurs that have a name."""
    size = options.size if isinstance(options.size, int) else None
    found = search(
        [gray.frame],
        tried("auto" if options.parametric == "none" else options.parametric),
        masks=[gray.faded],
        sigma=gray.sigma,
        size=size,
        coded=gray.bands,
        on_step=on_step,
    )
    kernels = [one.kernel for one in found.families]
    if options.parametric == "none":  # no blur is a candidate of its own
        kernels = [kernel for kernel in kernels if not kernel.still]
    return [Candidate(kernel=kernel, kind="named") for kernel in kernels]


def points(gray: Gray, options: FitOptions, on_step: OnStep | None) -> list[Candidate]:
    """The picture of a point, where the frame has points."""
    size = options.size if isinstance(options.size, int) else None
    try:
        found = Points(size=size)([gray.frame], masks=[gray.mask], sigma=gray.plane.sigma, on_step=on_step)
    except KernelError:
        if options.parametric == POINTS:
            raise
        return []
    return [Candidate(kernel=found.kernel, kind="points")]


def free(gray: Gray, options: FitOptions, on_step: OnStep | None) -> list[Candidate]:
    """Free taps: the best kernel, and those that explain the frame nearly as well."""
    size = options.size if isinstance(options.size, int) else None
    look = estimator(model="taps", size=size, settings={"compare": 0, **options.settings})
    found = look([gray.frame], masks=[gray.mask], sigma=gray.plane.sigma, on_step=on_step)
    source = found.kernel.source
    others = [one.replaced(source=source) for one in found.kernel.alternatives[:ALTERNATIVES]]
    kernels = [found.kernel, *others]
    return [
        Candidate(kernel=one, kind="free", free=True, warnings=found.warnings[: n == 0])
        for n, one in enumerate(kernels)
    ]


ALTERNATIVES = 3
"""Kernels of free taps that are weighed beside the best."""

KINDS: dict[str, Callable[[Gray, FitOptions, OnStep | None], list[Candidate]]] = {
    "named": named,
    "points": points,
    "free": free,
}
"""In the order in which they are looked for; what takes longest comes last."""


def asked(parametric: str) -> dict[str, Callable[[Gray, FitOptions, OnStep | None], list[Candidate]]]:
    """The kinds that a blur by name asks for; `none` asks for all.

    Example:
        >>> list(asked("none")), list(asked("motion")), list(asked("points"))
        (['named', 'points', 'free'], ['named'], ['points'])
    """
    if parametric == "none":
        return KINDS
    kind = "points" if parametric == POINTS else "named"
    return {kind: KINDS[kind]}
