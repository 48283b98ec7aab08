"""Whether the blur varies over the frame: does a kernel from elsewhere explain a region as well as its own?

How alike two kernels look tells little where both are short: two motions of 15 pixels at right angles have a similarity
of .7. So they are exchanged, and the energy of the selection judges: where the blurs differ each kernel does worse
in the other's region. Where a region's own kernel is wrong, the other's usually fits better, so the exchange
lowers the energy and no variation is reported.
"""

from __future__ import annotations

from deblur.estimation.blind.candidates import Judge
from deblur.estimation.blind.periodic import Array
from deblur.estimation.blind.pyramid import Plane

__all__ = ["DIFFERENT", "exchanged"]

DIFFERENT = 1.1
"""From here on two regions are said to be blurred differently. Where they are, three of four pairs reached 1.3 to 1.6
and one 1; where not, none more than 1.02."""


def exchanged(first: Plane, second: Plane, kernels: tuple[Array, Array]) -> float:
    """By what factor the energy rises in both regions, at least, when their kernels (k, k) are exchanged.

    Example:
        >>> import numpy as np
        >>> scene = np.kron(np.random.default_rng(0).random((8, 8)), np.ones((8, 8))).astype(np.float32)
        >>> delta, across = np.eye(1, dtype=np.float32), np.full((1, 5), 0.2, np.float32)
        >>> blurred = sum(scene[:, i : i + 60] for i in range(5)) / 5
        >>> exchanged(Plane(scene), Plane(blurred), (delta, across)) > DIFFERENT
        True
    """
    rises = []
    for region, (own, other) in ((first, kernels), (second, kernels[::-1])):
        judge = Judge([region], max(kernel.shape[0] for kernel in kernels))
        rises.append(judge.energy(other) / max(judge.energy(own), 1e-12))
    return min(rises)
