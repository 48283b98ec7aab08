"""Find the parts of a picture on which no light ever fell: black bars, empty corners, all outside a round field.

They were put on after the picture was taken, or lie outside what the optics showed, so they end abruptly where a
blurred picture cannot. A restoration that took them for black scene would ring along the whole edge.

What is looked for: pixels of one constant dark value, from which a rectangle of such pixels reaches to a corner of the
frame; the picture's side of their edge starts at once, without fading in, along most of it; and that edge is a few
straight lines or the arc of a circle. A night sky, a crushed shadow and a black frame fail one of these. Every part
that was put on around a convex picture, by letterboxing, turning, warping or a field stop, has the first property, and
so has the empty corner of shifted pictures on one canvas.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from deblur.picture import Picture

__all__ = ["Unexposed", "unexposed"]

_Plane = npt.NDArray[Any]

DARK = 0.1
"""The level below which a constant is black: of video (16/255) too, or a sensor's pedestal."""

LOSSY = (2 / 255, 6 / 255, 12 / 255, 20 / 255)
"""How far a JPEG's black may be off, looked at in turn: by little inside, by more where it rings beside an edge."""

FAINT = 0.1
"""How far it may be off in units of the picture's range: in a dark picture everything is near black."""

JUMP = 0.04
"""By how much of the picture's range the picture stands out from black right behind the edge."""

ABRUPT = 0.6
"""The share of the edge along which it does; the rest is dark scene."""

SURE = 0.95
"""The same where little else shows it: black so thin that a JPEG rings in all of it, a short edge in a JPEG."""

SMALLEST = 32
"""Pixels a side below which nothing is looked for."""

FULLEST = 0.05
"""The least share of a frame that a picture takes up."""

CONSTANT = 0.98
"""The share of a JPEG's black that is the same, beyond what rings at its edge."""

SHORTEST, SHORTEST_OF_LOSSY = 0.08, 0.2
"""Length of an edge inside the frame, in units of the frame's shorter side, below which it may be the scene's; an arc
has twice that."""

BEND, BEND_OF_LOSSY = 1.5, 2.0
"""Pixels by which an edge departs from a straight line where it bends."""

STRAIGHT = 128
"""Pixels of an edge for each bend that it may have beyond the first two."""


@dataclass(frozen=True)
class Unexposed:
    """The parts of a picture where nothing was exposed.

    Attributes:
        where: (1, H, W) bool, True there.
        words: what they are, such as `black bars of 24 rows at the top and bottom`.
    """

    where: Tensor
    words: str


def unexposed(picture: Picture) -> Unexposed | None:
    """The parts of a picture where nothing was exposed, or None where there are none, or none for sure.

    Args:
        picture: pixels (C, H, W), finite, black near 0.

    Example:
        >>> scene = 0.5 + 0.1 * torch.rand(1, 60, 80, generator=torch.Generator().manual_seed(0))
        >>> framed = torch.nn.functional.pad(scene, (0, 0, 12, 12))
        >>> unexposed(Picture(pixels=framed)).words
        'black bars of 12 rows at the top and bottom'
        >>> unexposed(Picture(pixels=scene)) is None
        True
    """
    pixels = picture.pixels.detach().cpu().float().numpy()
    lossy = picture.coding is not None
    if min(pixels.shape[1:]) < SMALLEST or (level := _level(pixels, lossy)) is None:
        return None
    away = reduce(np.maximum, (np.abs(plane - black) for plane, black in zip(pixels, level, strict=True)))
    bright = float(np.quantile(away[:: 1 + away.shape[0] // 1000, :: 1 + away.shape[1] // 1000], 0.999))
    planes = [(away > 0, JUMP * bright)]
    if lossy:  # an edge rings in thin lines
        near = [off for off in LOSSY if off <= FAINT * bright]
        lines = np.ones((3, 3), bool)
        planes = [(ndimage.binary_opening(away > off, lines), max(JUMP * bright, off)) for off in near]
    reach = 8 * max(picture.coding.subsampling) if picture.coding is not None else 0
    for look in (_bars, _corners):
        found = [part for seen, least in planes for part in look(away, seen, least, lossy)]
        found = [part for part in found if _constant(part, away, reach)]
        if found:
            return _together(found)
    return None


@dataclass(frozen=True)
class _Part:
    """One bar, or what is black from a corner on.

    Attributes:
        where: (H, W), True there.
        share: of its edge, where the picture starts at once.
        side: of a bar.
        size: a bar's depth, the diameter of a circle; else 0.
    """

    where: _Plane
    share: float
    side: str = ""
    size: int = 0


def _level(pixels: _Plane, lossy: bool) -> _Plane | None:
    """The black of the frame's darkest corner (C,), if that is dark and constant."""
    ends = (slice(None, 3), slice(-3, None))
    blocks = [pixels[:, rows, columns].reshape(len(pixels), -1) for rows in ends for columns in ends]
    block = min(blocks, key=lambda values: float(np.median(values, 1).max()))
    level = np.median(block, 1)
    off = float(np.abs(block - level[:, None]).max())
    return level if level.max() <= DARK and off <= (LOSSY[-1] if lossy else 0) else None


def _bars(away: _Plane, bright: _Plane, least: float, lossy: bool) -> Iterator[_Part]:
    """Rows and columns from the frame's border on that are black all along, where what follows is not."""
    rows, columns = (np.flatnonzero(bright.any(axis)) for axis in (1, 0))
    if not rows.size:
        return
    inside = away[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if min(inside.shape) < SMALLEST or inside.size < FULLEST * away.size:
        return
    height, width = away.shape
    sides = {
        "top": (rows[0], inside),
        "bottom": (height - 1 - rows[-1], inside[::-1]),
        "left": (columns[0], inside.T),
        "right": (width - 1 - columns[-1], inside.T[::-1]),
    }
    for side, (depth, lines) in sides.items():
        share = _share(lines[1], lines[3], least)
        if depth and share >= ABRUPT:
            depth = int(depth) + _mixed(lines[0], lines[1])
            where = np.zeros((height, width), bool)
            across = where if side in ("top", "bottom") else where.T
            across[slice(depth) if side in ("top", "left") else slice(-depth, None)] = True
            yield _Part(where, share, side, depth)


def _corners(away: _Plane, bright: _Plane, least: float, lossy: bool) -> Iterator[_Part]:
    """What is black from a corner of the frame on, and ends in straight lines or the arc of a circle."""
    black = np.zeros(bright.shape, bool)
    for turn in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        seen = ~bright[:: turn[0], :: turn[1]]
        reached = np.logical_and.accumulate(np.logical_and.accumulate(seen, 0), 1)
        black |= reached[:: turn[0], :: turn[1]]
    if black.mean() > 1 - FULLEST:
        return
    labels, count = ndimage.label(black)
    found: list[tuple[_Part, _Plane, int]] = []
    for index in range(1, count + 1):
        where = labels == index
        first, second, fourth = _behind(where, away)
        if (share := _share(second, fourth, least)) < ABRUPT:
            continue
        edge, bends = _edge(where, BEND_OF_LOSSY if lossy else BEND)
        if _mixed(first, second):
            where = ndimage.binary_dilation(where, np.ones((3, 3), bool))
        found.append((_Part(where, share), edge, bends))
    if not found:
        return
    shortest = min(black.shape) * (SHORTEST_OF_LOSSY if lossy else SHORTEST)
    least_sure = min(black.shape) * SHORTEST
    edges = np.concatenate([edge for _, edge, _ in found])
    radius = _radius(edges) if len(edges) >= 2 * shortest else None
    for part, edge, bends in found:
        if radius is not None and radius < math.hypot(*black.shape):
            yield dataclasses.replace(part, size=round(2 * radius))
        elif len(edge) >= (least_sure if part.share >= SURE else shortest) and bends <= 2 + len(edge) / STRAIGHT:
            yield part


def _together(parts: list[_Part]) -> Unexposed:
    """The parts as one, in words: bars with the largest depth found, as some end in the ringing of a JPEG."""
    where = np.logical_or.reduce([part.where for part in parts])
    depths = {part.side: part.size for part in sorted(parts, key=lambda part: part.size) if part.side}
    across = max(part.size for part in parts)
    if depths:
        words = f"black bars of {_of_bars(depths)}"
    else:
        words = f"all outside a circle of {across} pixels across" if across else "black corners"
    return Unexposed(torch.from_numpy(where)[None], words)


def _behind(part: _Plane, away: _Plane) -> tuple[_Plane, _Plane, _Plane]:
    """The first, second and fourth pixel behind each pixel of a part's edge, straight down, up, right and left."""
    found: list[_Plane] = []
    for axis, sign in ((0, 1), (0, -1), (1, 1), (1, -1)):
        step = np.array([sign * (axis == 0), sign * (axis == 1)])
        inner = np.zeros_like(part)
        ahead = [slice(None), slice(None)]
        here = list(ahead)
        ahead[axis], here[axis] = (slice(1, None), slice(None, -1)) if sign > 0 else (slice(None, -1), slice(1, None))
        inner[tuple(here)] = part[tuple(here)] & ~part[tuple(ahead)]
        places = np.argwhere(inner)
        last = places + 4 * step
        places = places[((last >= 0) & (last < part.shape)).all(1)]
        places = places[~part[tuple((places + 4 * step).T)]]
        found.append(np.stack([away[tuple((places + n * step).T)] for n in (1, 2, 4)]))
    first, second, fourth = np.concatenate(found, 1)
    return first, second, fourth


def _share(second: _Plane, fourth: _Plane, least: float) -> float:
    """The share of an edge behind which the picture starts at once: it stands out, and does not go on to rise."""
    starts = (second >= least) & (np.abs(fourth - second) <= second / 2)
    return float(starts.mean()) if starts.size else 0.0


def _mixed(first: _Plane, second: _Plane) -> bool:
    """Whether the first pixels behind the edge are part picture, part black, as turning a picture leaves them."""
    return float(np.median(first)) < 0.8 * float(np.median(second))


def _edge(part: _Plane, bend: float) -> tuple[_Plane, int]:
    """The points (n, 2) of a part's edge that lie inside the frame, as x and y, and how often that bends."""
    height, width = part.shape
    edge, bends = [], 0
    for contour in cv2.findContours(part.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0]:
        for points in (contour, cv2.approxPolyDP(contour, bend, True)):
            x, y = points[:, 0].T
            inside = (x > 0) & (y > 0) & (x < width - 1) & (y < height - 1)
            if points is contour:
                edge.append(points[inside, 0])
            else:
                bends += int(inside.sum())
    return np.concatenate(edge), bends


def _radius(edge: _Plane) -> float | None:
    """The radius of the circle that nearly all points of an edge lie on, or None."""
    points, centre, radius = edge.astype(float), np.zeros(2), 0.0
    for _ in range(3):  # the first fit finds who does not belong: dark scene at the edge
        system = np.column_stack([2 * points, np.ones(len(points))])
        x, y, rest = np.linalg.lstsq(system, (points**2).sum(1), rcond=None)[0]
        centre, radius = np.array([x, y]), math.sqrt(max(rest + x * x + y * y, 0.0))
        off = np.abs(np.hypot(*(edge - centre).T) - radius)
        if (near := off <= max(1.5, float(np.median(off)))).sum() < SMALLEST:
            return None
        points = edge[near].astype(float)
    return radius if float((off <= 1.5).mean()) >= 0.8 else None


def _constant(part: _Part, away: _Plane, reach: int) -> bool:
    """Whether a JPEG's black is black, but for what rings up to `reach` pixels from its edge."""
    if not reach:
        return True
    core = ~ndimage.binary_dilation(~part.where, iterations=reach, structure=np.ones((3, 3), bool))
    if core.any():
        return float((away[core] <= LOSSY[0]).mean()) >= CONSTANT
    return part.share >= SURE and float(np.median(away[part.where])) <= LOSSY[1]  # all of it rings


def _of_bars(depths: dict[str, int]) -> str:
    """The bars in words: those of one depth together."""
    words = []
    for unit, names in (("row", ("top", "bottom")), ("column", ("left", "right"))):
        there = [name for name in names if name in depths]
        if len(there) == 2 and depths[there[0]] == depths[there[1]]:
            count = depths[there[0]]
            words.append(f"{count} {unit}{'s' * (count != 1)} at the {there[0]} and {there[1]}")
        else:
            words += [f"{depths[name]} {unit}{'s' * (depths[name] != 1)} at the {name}" for name in there]
    return " and ".join(words) if len(words) < 3 else ", ".join(words[:-1]) + " and " + words[-1]
