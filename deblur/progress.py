"""Progress of a running job, told to whoever asked: one record for restoring, estimating, denoising and training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["OnStep", "Step", "part_of"]


@dataclass(frozen=True)
class Step:
    """Progress: `index` of `total` is done, and what is going on in words.

    Args:
        index: how much is done, from 0 to `total`.
        total: how much there is to do, as far as is known; it may change while the job runs.
        text: what is being done or how well it goes, for a person to read; empty where there is nothing to add.
        seconds: about how long the whole will take; 0 where that is not known.

    Example:
        >>> Step(3, 10, "residual 0.02").index
        3
    """

    index: int
    total: int
    text: str = ""
    seconds: float = field(default=0.0, repr=False)

    @classmethod
    def share(cls, fraction: float, text: str = "") -> Step:
        """Progress of work whose steps differ in length: the share of it that is done, in [0, 1].

        Example:
            >>> Step.share(0.25, "registration")
            Step(index=250, total=1000, text='registration')
        """
        return cls(round(1000 * min(max(fraction, 0.0), 1.0)), 1000, text)


OnStep = Callable[[Step], None]
"""Told after every step; what it raises ends the job."""


def part_of(on_step: OnStep | None, index: int, count: int) -> OnStep | None:
    """Progress of part `index` of `count` equal ones, told as progress of the whole.

    Example:
        >>> part_of(print, 1, 2)(Step(3, 10))
        Step(index=13, total=20, text='')
    """
    if on_step is None or count == 1:
        return on_step
    return lambda step: on_step(Step(index * step.total + step.index, count * step.total, step.text))
