"""Camera shake: a hand that drifts and trembles while the shutter is open."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import numpy as np

from deblur.psf.shape import LARGEST, Array, Within, shape
from deblur.psf.trace import trace

_STEPS = 400  # straight pieces of the trajectory, of equal time each
_MEMORY = 0.97  # of velocity and of drift from one piece to the next: about a tenth of the exposure


@shape(example="shake:size=25,seed=1")
def shake(
    *, size: Annotated[int, Within(3, LARGEST, "taps")] = 25, seed: Annotated[int, Within(0, 2**32 - 1)] = 0
) -> Array:
    """A random smooth trajectory, traced exactly (bilinear footprint) and scaled to fill the kernel.

    The velocity is an integrated Ornstein-Uhlenbeck process: inertia smooths the jerks of the hand, the path bends and
    lingers, and where it is slow the kernel is bright (after Boracchi and Foi, Modeling the performance of image
    restoration from motion blur, IEEE TIP 2012, section IV, without their impulses).

    Args:
        size: rows and columns, 3 to 1025; the path reaches the rim on its longest side.
        seed: of the random trajectory, 0 to 2^32 - 1; the same seed gives the same path at every size.

    Returns:
        (size, size), sum 1, its centroid on the origin tap.

    Example:
        >>> kernel = shake(size=15, seed=3)
        >>> kernel.shape, bool((kernel == shake(size=15, seed=3)).all())
        ((15, 15), True)
    """
    jerks = np.random.default_rng(seed).normal(size=(_STEPS, 2))
    velocity = _remember(_remember(jerks))
    path = np.concatenate([np.zeros((1, 2)), np.cumsum(velocity, axis=0)])
    path -= (path[:-1] + path[1:]).mean(axis=0) / 2  # the mean over time, so that the centroid is the origin
    path *= ((size - 1) // 2) / np.abs(path).max()
    kernel = np.zeros((size, size))
    for start, end in pairwise(path):
        trace(kernel, start, end, 1 / _STEPS)
    return kernel


def _remember(signal: Array) -> Array:
    """First-order recursion s[t] = memory s[t - 1] + signal[t]."""
    state, states = np.zeros(signal.shape[1]), np.empty_like(signal)
    for t, value in enumerate(signal):
        state = _MEMORY * state + value
        states[t] = state
    return states
