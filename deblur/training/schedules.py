"""What the learning rate is multiplied by, over the steps of a run: the schedules by name.

A schedule is a frozen dataclass of its settings, called with the share of the run that is done, in [0, 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["SCHEDULES", "Constant", "Cosine", "Decay", "Schedule", "factor"]


class Schedule(Protocol):
    """From the share of the steps that are done to the factor of the learning rate."""

    def __call__(self, done: float) -> float:
        """The factor at this share, in [0, 1]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Constant:
    """No change.

    Example:
        >>> Constant()(0.7)
        1.0
    """

    def __call__(self, done: float) -> float:
        """One."""
        return 1.0


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Half a cosine, from 1 down to `final` (Loshchilov and Hutter 2017, without restarts).

    Args:
        final: the factor at the end.

    Example:
        >>> [round(Cosine(final=0.2)(done), 3) for done in (0, 0.5, 1)]
        [1.0, 0.6, 0.2]
    """

    final: float = 0.0

    def __call__(self, done: float) -> float:
        """The factor at this share."""
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True, kw_only=True)
class Decay:
    """A division at each of some shares of the run.

    Args:
        at: the shares.
        by: what the rate is divided by at each of them.

    Example:
        >>> [Decay(at=(0.5, 0.8), by=10.0)(done) for done in (0.4, 0.5, 0.9)]
        [1.0, 0.1, 0.01]
    """

    at: tuple[float, ...] = (0.5,)
    by: float = 10.0

    def __call__(self, done: float) -> float:
        """The factor at this share."""
        return 1 / self.by ** sum(done >= share for share in self.at)


SCHEDULES: dict[str, Callable[..., Schedule]] = {"constant": Constant, "cosine": Cosine, "decay": Decay}
"""The schedules by name."""


def factor(schedule: Schedule, step: int, steps: int, warmup: int) -> float:
    """What the rate is multiplied by in step `step` of `steps`, counted from 0: warm-up, then the schedule.

    Example:
        >>> [round(factor(Cosine(), step, 8, 4), 3) for step in (0, 1, 3, 4, 6)]
        [0.25, 0.5, 1.0, 1.0, 0.5]
    """
    if step < warmup:
        return (step + 1) / warmup
    return schedule((step - warmup) / max(1, steps - warmup))
