"""Whether the blur varies over a frame: do its parts ask for kernels that differ?

The taps of a kernel are moved to where the spectrum of the whole frame has most evidence (`estimation.marginal`), a
few steps of gradient descent, and from there to where those of its corners and its middle have. What each part gains by
a kernel of its own, as a share of what it has in all, is little where one blur made the frame: its spectrum is the same
everywhere, and what is left is noise. A turned camera and a lens that is soft in its corners gain much.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from deblur.estimation.estimate import Region
from deblur.estimation.marginal import Evidence, power
from deblur.finding.gray import Gray
from deblur.layout import middle
from deblur.psf.array import square

__all__ = ["NAMED", "SHARED", "differing", "own_share"]

SHARED = 0.3
"""The share that free taps gain from which on a blur is said to vary."""

NAMED = 0.15
"""The same of a blur with a name, which fits exactly where one made the frame."""

PART = 0.4
"""Of a frame's sides, that a corner has."""

SMALLEST, LARGEST = 160, 512
"""Pixels a side of a part: smaller ones differ by chance."""

_ROOM = 3  # pixels by which a kernel's window grows before it is moved
_REACH = 2  # pixels around the taps that are free
_HOLD = 0.05  # of a kernel by where it began
_RATE = 0.1
_LEAST = 0.005  # evidence in nats a frequency: less tells nothing


def differing(gray: Gray, taps: NDArray[np.float64], *, free: bool) -> bool:
    """Whether the parts of a frame ask for kernels that differ, beside taps (kh, kw) that were found for all."""
    share = own_share(gray, taps)
    return share is not None and share > (SHARED if free else NAMED)


def own_share(gray: Gray, taps: NDArray[np.float64]) -> float | None:
    """What parts gain by kernels of their own, in [0, 1]; None where the frame is too small to tell.

    Example:
        >>> from deblur.options import ApplyOptions
        >>> from deblur.picture import Picture
        >>> scene = torch.rand(80, 80, generator=torch.Generator().manual_seed(0)).numpy().repeat(5, 0).repeat(5, 1)
        >>> blurred = ndimage.uniform_filter(scene, 5)[None]
        >>> gray = Gray.of(Picture(pixels=torch.from_numpy(blurred)), ApplyOptions(transfer="linear"))
        >>> own_share(gray, np.full((5, 5), 0.04)) < SHARED
        True
    """
    parts = _parts(gray)
    given = square(taps, room=_ROOM)
    if min(parts[0][2:]) < max(SMALLEST, 3 * len(given)):
        return None
    shared = _moved(_evidence(gray), given, 20)
    own = everything = 0.0
    for part in parts:
        evidence = _evidence(gray.part(part))
        here, all_of_it = evidence.gains([_moved(evidence, shared, 15), shared])
        own += max(here - all_of_it, 0.0)
        everything += max(here - all_of_it, 0.0) + max(all_of_it, _LEAST)
    return own / everything


def _parts(gray: Gray) -> list[Region]:
    """The corners of a frame and its middle, of larger ones the middles of those."""
    height, width = gray.plane.values.shape
    rows, columns = int(PART * height), int(PART * width)
    places = [(x, y) for y in (0, height - rows) for x in (0, width - columns)]
    places.append(((width - columns) // 2, (height - rows) // 2))
    down, across = middle(rows, LARGEST), middle(columns, LARGEST)
    sides = min(columns, LARGEST), min(rows, LARGEST)
    return [(x + across.start, y + down.start, *sides) for x, y in places]


def _evidence(gray: Gray) -> Evidence:
    return Evidence(*gray.spectrum, 2, coded=gray.bands, upright=True)


def _moved(evidence: Evidence, taps: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """Taps moved towards those of most evidence: Adam on the logarithms of them and their neighbours."""
    known = np.where(taps > 0.03 * taps.max(), taps, 0)
    free = torch.from_numpy(ndimage.binary_dilation(known > 0, np.ones((3, 3)), iterations=_REACH))
    begin = torch.from_numpy(np.maximum(taps, 2e-3 * taps.max()))
    begin = torch.where(free, begin, 0) / begin[free].sum()
    logits = begin[free].log().requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=_RATE)
    parameters: Tensor | None = None
    for _ in range(steps):
        kernel = torch.zeros_like(begin).masked_scatter(free, logits.softmax(0))
        passed = power(kernel, evidence.down, evidence.across)
        with torch.no_grad():
            fit = evidence(passed[None], parameters, 12 if parameters is None else 3)
        parameters = fit.parameters
        held = (kernel - begin).square().sum() / begin.square().sum()
        loss = evidence.cost(passed, fit.parameters[0]) + _HOLD * held
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        return torch.zeros_like(begin).masked_scatter(free, logits.softmax(0)).numpy()
