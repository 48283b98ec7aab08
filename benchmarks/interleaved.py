"""Timing contenders fairly on a machine that is never quite still.

In every round each contender runs once, one after the other, so that whatever slows the machine slows them alike; what
is reported is the median over the rounds of the ratio within a round, with its quartiles. Just before it is timed, a
contender runs once untimed: what the one before left behind in caches, in the allocator and in spinning threads is not
counted. One too slow for that runs without, and perhaps in the first few rounds only; its ratios are of those.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Bar", "Run", "Times", "race", "show"]

Run = Callable[[], object]
Times = dict[str, np.ndarray]  # seconds of every round; nan where a contender sat out
_LONG = 0.5  # seconds, from which a contender is timed without an untimed run before


def race(
    contenders: dict[str, Run],
    rounds: int,
    slow: dict[str, int] | None = None,
    before: dict[str, Run] | None = None,
) -> Times:
    """Time every contender once a round, after one run to warm it up.

    Args:
        contenders: what to run, by name, in the order of a round.
        rounds: how many rounds; short contenders are repeated within theirs to last some milliseconds.
        slow: for contenders that take long, in how many rounds they run (without a warm-up).
        before: for some contenders, what runs untimed right before each of their runs, in the untimed run's place.
    """
    slow, before = slow or {}, before or {}
    repeats, first = {}, {}
    for name, run in contenders.items():
        repeats[name], first[name] = 1, before.get(name, run)
        if name not in slow:
            run()
            start = time.perf_counter()
            run()
            once = time.perf_counter() - start
            repeats[name] = 1 if name in before else max(1, round(0.01 / max(once, 1e-6)))
            if once > _LONG and name not in before:
                first[name] = _nothing
        else:
            first[name] = _nothing
    times = {name: np.full(rounds, np.nan) for name in contenders}
    for k in range(rounds):
        for name, run in contenders.items():
            if k >= slow.get(name, rounds):
                continue
            first[name]()
            start = time.perf_counter()
            try:
                for _ in range(repeats[name]):
                    run()
            except MemoryError:  # a peer may be too hungry for the case: its time stays nan
                continue
            times[name][k] = (time.perf_counter() - start) / repeats[name]
    return times


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Bar:
    """A ratio with the limit it has to keep and the aim beyond: at most that, or at least, where `least` is set."""

    what: str
    ratios: np.ndarray
    limit: float | None = None
    aim: float | None = None
    least: bool = False

    @property
    def kept(self) -> bool:
        """Whether the median keeps to the limit."""
        return self.limit is None or self._meets(self.limit)

    def _meets(self, value: float) -> bool:
        if np.isnan(self.ratios).all():
            return True
        median = float(np.nanmedian(self.ratios))
        return median >= value if self.least else median <= value

    def line(self) -> str:
        """The ratio's row of the table: median, quartiles, limit and verdict."""
        if np.isnan(self.ratios).all():
            return f"    {self.what:<58} does not fit in memory"
        low, middle, high = np.nanquantile(self.ratios, [0.25, 0.5, 0.75])
        text = f"    {self.what:<58} {middle:8.3f}  [{low:.3f}, {high:.3f}]"
        if self.limit is not None:
            text += f"  bar {'>=' if self.least else '<='} {self.limit:g}: {'met' if self.kept else 'MISSED'}"
        if self.aim is not None:
            text += f", aim {self.aim:g}: {'met' if self._meets(self.aim) else 'missed'}"
        return text


def show(title: str, times: Times, bars: list[Bar]) -> list[Bar]:
    """Print one case: the median time of every contender, then the ratios; return those that missed their bar."""
    print(f"\n{title}")
    for name, seconds in times.items():
        if not np.isnan(seconds).all():
            print(f"    {name:<58} {np.nanmedian(seconds) * 1e3:8.2f} ms")
    for bar in bars:
        print(bar.line(), flush=True)
    return [bar for bar in bars if not bar.kept]
