"""The side of the kernel where none is given: scouts at growing sizes, the energy decides, cut to what is used.

A window much larger than the blur invites islands, one too small cuts the blur and its energy rises. So scouts of
several sides hand in their kernels, the selection's energy (which does not know of windows) chooses one of them, and
the box around its taps, and a tap more on either side, is the support. A kernel that fills its window is suspect of
being cut off, and noise makes the energy too kind to small kernels: one that reaches the rim must be better by an
eighth, and where it is, the support is larger than its window.
"""

from __future__ import annotations

import math

from deblur.estimation.blind import taps
from deblur.estimation.blind.candidates import Candidate

__all__ = ["CUT", "SIDES", "asked", "cut_off", "ladder", "support"]

SIDES = (13, 19, 27, 37, 51)
CUT = 1.125  # what a kernel's energy counts that reaches the rim of its window


def ladder(frame: tuple[int, int]) -> tuple[int, ...]:
    """The sides to try for a frame (H, W): those of at most a quarter of it.

    Example:
        >>> ladder((255, 255)), ladder((100, 400))
        ((13, 19, 27, 37, 51), (13, 19))
    """
    return tuple(side for side in SIDES if 4 * side <= min(frame)) or SIDES[:1]


def support(found: list[Candidate], largest: int) -> list[tuple[int, Candidate]]:
    """The odd sides that the kernels of least energy ask for, and these kernels: the best, and the best that differs.

    Args:
        found: candidates of the scouts, of several sides.
        largest: no side is larger.

    Returns:
        One or two pairs; the second side differs from the first by more than a fifth.
    """
    best, *others = sorted(found, key=lambda one: one.energy * (CUT if cut_off(one) else 1))
    first = asked(best, largest)
    sides = [(asked(one, largest), one) for one in others]
    return [(first, best), *[pair for pair in sides if not 0.8 <= pair[0] / first <= 1.25][:1]]


def asked(candidate: Candidate, largest: int) -> int:
    """The odd side that a kernel asks for: a tap more than it uses on either side, or more than its window."""
    side = math.ceil(1.3 * candidate.kernel.shape[0]) if cut_off(candidate) else _used(candidate) + 2
    return min(side + 1 - side % 2, largest)


def cut_off(candidate: Candidate) -> bool:
    """Whether a kernel fills its window, and so may be longer than that."""
    return bool(_used(candidate) >= candidate.kernel.shape[0] - 1)


def _used(candidate: Candidate) -> int:
    return taps.extent(taps.prune(candidate.kernel))
