"""The side of the kernel where none is given: scouts at growing sizes, the energy decides, cut to what is used.

A window much larger than the blur invites islands, one too small cuts the blur and its energy rises. So scouts of
several sides hand in their kernels, the selection's energy (which does not know of windows) chooses one of them, and
the box around its taps, and a tap more on either side, is the support. Where they reach the rim of their window the
next larger side is taken.
"""

from __future__ import annotations

import math

from deblur.estimation.blind import taps
from deblur.estimation.blind.selection import Candidate

__all__ = ["SIDES", "ladder", "support"]

SIDES = (13, 19, 27, 37, 51)


def ladder(frame: tuple[int, int]) -> tuple[int, ...]:
    """The sides to try for a frame (H, W): those of at most a quarter of it.

    Example:
        >>> ladder((255, 255)), ladder((100, 400))
        ((13, 19, 27, 37, 51), (13, 19))
    """
    return tuple(side for side in SIDES if 4 * side <= min(frame)) or SIDES[:1]


def support(found: list[Candidate], largest: int) -> int:
    """The odd side that the kernel of least energy asks for.

    Args:
        found: candidates of the scouts, of several sides.
        largest: no side is larger.
    """
    best = min(found, key=lambda candidate: candidate.energy)
    window = best.kernel.shape[0]
    used = taps.extent(taps.prune(best.kernel))
    side = used + 2
    if used >= window - 1:
        side = math.ceil(1.3 * window)
    return min(side + 1 - side % 2, largest)
