"""One measure for kernels of every kind: is the photograph restored by it better than the photograph?

What a frame shows of a kernel is a handful of numbers, all 0 for no blur:

    spectrum    evidence for its zeros and its fall in the frame's spectrum, in nats a frequency (`estimation.marginal`)
    edges       the logarithm of how much less its simplest scene costs than the frame itself (`estimation.blind.l0`)
    turned      how much more it misses the frame, and the more edges its scene takes, turned by 180 degrees, and
    smaller     the same of a smaller one (`kernel_trial`)
    missed      by how much it misses the frame itself

Their weighed sum, with a price for every kind, is the logit of the probability that one kernel's restoration is better
than another's; no blur has 0. The weights are fitted to made photographs (`benchmarks/calibrate.py`) and lie in
`table.json` beside this file, with their date and what they reach.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from deblur.estimation.blind.candidates import Judge
from deblur.estimation.marginal import Evidence
from deblur.finding.candidates import Candidate
from deblur.finding.gray import Gray
from deblur.kernel_trial import tried
from deblur.options import ApplyOptions
from deblur.psf.array import square
from deblur.psf.kernel import MISFIT

__all__ = ["FEATURES", "LIMITS", "Weighed", "Weighing", "misfit"]

LIMITS: dict[str, tuple[float, float]] = {
    "spectrum": (-0.05, 0.3),
    "edges": (-0.6, 0.4),
    "turned": (-0.5, 1.0),
    "smaller": (-0.6, 1.0),
    "missed": (0.0, 1.5),
    "free": (0.0, 1.0),
    "small": (0.0, 1.0),
    "tiny": (0.0, 1.0),
    "slight": (0.0, 1.0),
    "blurred": (0.0, 1.0),
}
"""What is weighed, and between which values it counts. The last five only the kernel says: whether its taps are free,
how small its blur is, whether that is less than a pixel, which a sharp picture has too, whether it is a slight one with
a name, which goes a little way towards any blur, and that there is one."""

FEATURES = tuple(LIMITS)

MISFITS = (0.008, 0.014)
"""The least and the most misfit that free taps are given: more is a shift, which nobody sees, and less gains nothing
(docs/experiments/finding.md). A blur with a name has the usual one."""

TINY, SLIGHT = 0.9, 1.6
"""The spread in pixels below which a blur is tiny, and below which it is slight."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Weighed:
    """A candidate with what the frame shows of it.

    Attributes:
        candidate: the kernel.
        shown: numbers by the names in `FEATURES`.
        score: the logit that its restoration is better than the file.
    """

    candidate: Candidate
    shown: Mapping[str, float] = field(default_factory=dict)
    score: float = 0.0

    @property
    def confidence(self) -> float:
        """The probability that its restoration is better than the file."""
        if self.candidate.kernel.still:
            return 0.0
        slope, offset = table()["confidence"]
        return 1 / (1 + math.exp(-min(max(slope * self.score + offset, -30.0), 30.0)))


class Weighing:
    """What kernels are weighed by, prepared once for a frame.

    Args:
        gray: the frame.
        options: of a restoration.
    """

    def __init__(self, gray: Gray, options: ApplyOptions) -> None:
        self.gray, self.options = gray, options
        self._spectra = Evidence(*gray.spectrum, 2, coded=gray.bands, upright=True)
        self._judges: dict[int, tuple[Judge, float]] = {}

    def __call__(self, candidate: Candidate) -> Weighed:
        """A candidate with what the frame shows of it, and its score."""
        shown, weights = self.shown(candidate), table()["weights"]
        score = sum(weights[name] * min(max(value, low), high) for name, value, low, high in _limited(shown))
        return Weighed(candidate=candidate, shown=shown, score=score)

    def shown(self, candidate: Candidate) -> dict[str, float]:
        """What the frame shows of a candidate, by the names in `FEATURES`; nothing of no blur."""
        if candidate.kernel.still:
            return {}
        taps = square(candidate.kernel.taps, least=2).astype(np.float32)
        judge, plain = self._judge(len(taps))
        trial = tried(self.gray.picture, candidate.kernel, self.gray.measured, self.options)
        numbers = {
            "spectrum": self._spectra.gains([taps])[0],
            "edges": math.log(plain / judge.energy(taps)),
            "free": float(candidate.free),
            "blurred": 1.0,
        }
        if trial is None:
            return {**dict.fromkeys(FEATURES, 0.0), **numbers}
        return {
            **numbers,
            "turned": -trial.mirrored,
            "smaller": -trial.beyond,
            "missed": trial.missed + 0.3,
            "small": 1 / (1 + trial.spread),
            "tiny": (TINY - trial.spread) / 0.5,
            "slight": 0.0 if candidate.free else (SLIGHT - trial.spread) / SLIGHT,
        }

    def _judge(self, size: int) -> tuple[Judge, float]:
        """The judge of kernels up to some size, and the energy of the frame itself."""
        margin = 8 * math.ceil(size / 8) + 1
        if margin not in self._judges:
            judge = Judge([self.gray.plane], margin)
            self._judges[margin] = judge, judge.energy(_DELTA)
        return self._judges[margin]


_DELTA = np.zeros((5, 5), np.float32)
_DELTA[2, 2] = 1


def _limited(shown: Mapping[str, float]) -> list[tuple[str, float, float, float]]:
    return [(name, value, *LIMITS[name]) for name, value in shown.items()]


def misfit(one: Weighed) -> float:
    """What its blurred scene misses the frame by, beside noise, as a share of the frame's span."""
    if not one.candidate.free:
        return MISFIT
    weights = table()["misfit"]
    terms = (weights[name] * min(max(value, low), high) for name, value, low, high in _limited(one.shown))
    return min(max(math.exp(weights["offset"] + sum(terms)), MISFITS[0]), MISFITS[1])


@lru_cache(maxsize=1)
def table() -> dict[str, Any]:
    """The fitted weights."""
    text = files("deblur.finding").joinpath("table.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
