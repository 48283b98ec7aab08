"""Pixels that no noise explains: hot and dead ones, dead columns, tracks of particles, burnt-in dates.

A pixel is an outlier where it is many deviations from what its neighbours say through the blur (`deblur.foretold`), and
many times what is missed around it. Groups are found by solving for what was added to the pixels found so far, and
looking again; columns and rows by what all their pixels miss together. Where the frame clips it does not follow the
model: what reaches white is an outlier only if a restoration that believes it cannot explain it.

Where much of the rest of the frame is not explained either, the kernel is wrong or the frame sharp: nothing is
recognised; nor where the kernel is so small that sharp detail passes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from deblur.foretold import CORE, FAR, Cell, Foretold, cells, each_of, inside, taps_of, whole_lines
from deblur.light import believed_pixels
from deblur.masking import believing
from deblur.measuring import STRADDLE, Measurements, pose
from deblur.options import ApplyOptions
from deblur.picture import Picture, without_hidden
from deblur.psf import Kernel
from deblur.restoration import RichardsonLucy

__all__ = ["Outliers", "outliers", "without_outliers"]

LEAST = 3.0
"""Deviations at which what is missed around a pixel is cut, so that outliers hide no others."""

NEAR = 5.0
"""Deviations from which a neighbour of a group belongs to it."""

NEARLY = 6.0
"""Deviations, and times what is missed around, of what nearly is an outlier: a sharp picture has many of them."""

UNEXPLAINED = 0.0006
"""The share of the other pixels that are not explained, from which on it is the kernel that is wrong."""

MOST = 0.03
"""The share of outliers above which nothing is recognised."""

CONCENTRATED = 0.15
"""The sum of a kernel's squared taps above which sharp detail passes it."""

DENSE = 0.07
"""The share of outliers within 12 pixels from which on they are letters, and what lies between strokes is taken too."""

LONE = 4
"""Pixels of a group up to which it is believed without a second look."""

EDGE = 4
"""Pixels along edges and masks that are not looked at: what lies beyond them is unknown."""

ROUNDS = 20
"""Times that groups grow."""

STRONGEST = 0.5
"""The share of the strongest around that a pixel is looked at with: weaker ones may be what it does to others."""

CELL = 128
"""Pixels a side of the cells that are restored to look again."""

CHECKED = 0.15
"""The share of the frame that is restored to look again, at most."""

_AGAIN = RichardsonLucy(coarse=40, limit=10)


@dataclass(frozen=True)
class Outliers:
    """The pixels of a frame that no noise explains.

    Attributes:
        where: (1, H, W) bool, True where one is.
        columns, rows: how many of them are whole ones.
    """

    where: Tensor
    columns: int = 0
    rows: int = 0

    @property
    def words(self) -> str:
        """How many there are, in words.

        Example:
            >>> Outliers(torch.eye(3, dtype=torch.bool)[None], columns=1).words
            '3 pixels that no noise explains (1 column among them)'
        """
        count = int(self.where.sum())
        lines = [f"{n} {w}{'s' * (n != 1)}" for n, w in ((self.columns, "column"), (self.rows, "row")) if n]
        among = f" ({' and '.join(lines)} among them)" if lines else ""
        return f"{count:,} pixel{'s' * (count != 1)} that no noise explain{'s'}{among}"


def without_outliers(
    picture: Picture, frame: Picture, kernel: Kernel, record: Measurements, options: ApplyOptions
) -> tuple[Picture, tuple[str, ...]]:
    """A picture whose mask is False where an outlier is, and a note of how many the frame has.

    Args:
        picture: pixels (C, H, W), the frame itself or a part of it.
        frame: the whole frame, its unbelieved pixels filled; all is decided on it.
        kernel: what blurred it.
        record: of the frame.
        options: what the user chose; `outliers` is `auto` or `none`.

    Example:
        >>> from deblur.measuring import Measurements
        >>> gray = Picture(pixels=torch.full((1, 64, 64), 0.5))
        >>> gray.pixels[0, 30, 20] = 1
        >>> record = Measurements(linear=True, shown=0.01)
        >>> hot, notes = without_outliers(gray, gray, Kernel(np.ones((5, 5))), record, ApplyOptions())
        >>> notes
        ('1 pixel that no noise explains left out (--outliers none takes it as picture)',)
        >>> (~hot.mask[0]).nonzero().tolist()
        [[30, 20]]
    """
    found = outliers(frame, kernel, record, options) if options.outliers == "auto" else None
    if found is None:
        return picture, ()
    top, left = (at - start for at, start in zip(picture.place, frame.place, strict=True))
    good = ~found.where[:, top : top + picture.height, left : left + picture.width]
    it = "it" if int(found.where.sum()) == 1 else "them"
    note = f"{found.words} left out (--outliers none takes {it} as picture)"
    return believing(picture, good).filled(), (note,)


def outliers(frame: Picture, kernel: Kernel, record: Measurements, options: ApplyOptions) -> Outliers | None:
    """The pixels of a whole frame that no noise explains, or None where none is recognised.

    Args:
        frame: pixels (C, H, W) in stored values, filled where they are not believed.
        kernel: what blurred it; it is taken as the frame's own where a part is not explained by it.
        record: of the frame.
        options: what the user chose.
    """
    if float(np.square(kernel.taps).sum((-2, -1)).max()) > CONCENTRATED:
        return None
    pixels = without_hidden(frame.pixels.detach(), frame.alpha).float().cpu()
    believed = believed_pixels(frame, math.inf)
    seen = np.ones(pixels.shape[1:], bool) if believed is None else believed.all(0).cpu().numpy()
    barred = ndimage.binary_dilation(~seen, iterations=EDGE)
    for edge in (barred[:EDGE], barred[-EDGE:], barred[:, :EDGE], barred[:, -EDGE:]):
        edge[...] = True
    margin = min(max(kernel.shape[-2:]), 64) + 16
    columns, rows = whole_lines(pixels, kernel, record, barred, margin)
    known = (columns | rows[:, None]) & seen
    where, added = known.copy(), np.zeros(pixels.shape, np.float32)
    beyond = nearly = many = looked = 0

    def found_in(cell: Cell) -> list[tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32]]]:
        window = cell[1]
        parts = (Foretold(plane[window], taps_of(kernel, window, c), record) for c, plane in enumerate(pixels))
        return [_found(part, barred[window], known[window]) for part in parts]

    for (core, window), channels in each_of(found_in, list(cells(barred.shape, CORE, margin))):
        inner = inside(core, window)
        for channel, (found, extra, rest) in enumerate(channels):
            where[core] |= found[inner]
            added[(channel, *core)] = extra[inner]
            left = ~barred[core] & ~ndimage.maximum_filter(found, 15)[inner]
            beyond += int((rest[inner] > NEAR)[left].sum())
            nearly += int((rest[inner] > NEARLY)[left].sum())
            many += int(found[inner].sum())
            looked += int(left.sum())
    if not many or nearly > 0.5 * many or beyond > UNEXPLAINED * looked or where.mean() > MOST:
        return None
    _keep_unexplained(where, known, added, frame, kernel, record, options)
    where |= _letters(where & ~known) & seen
    return Outliers(torch.from_numpy(where)[None], int(columns.sum()), int(rows.sum())) if where.any() else None


def _found(
    part: Foretold, barred: NDArray[np.bool_], known: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32]]:
    """The outliers of a part, what was added to them, and how far the rest is from explained."""
    found, dropped = known.copy(), np.zeros_like(known)
    added = part.added(found) if known.any() else torch.zeros(part.shape)
    z = np.abs(part.deviations(added))
    for _ in range(ROUNDS):
        around = np.maximum(1, _around(z, found))
        far = z > FAR * around
        near = (z > NEAR * np.minimum(around, 1.5)) & _beside(found) & ~dropped
        more = (far | near) & ~found & ~barred
        more &= z >= STRONGEST * ndimage.maximum_filter(np.where(more, z, 0), 129)  # others may be their doing
        if not more.any():
            break
        added = part.added(found | more, added)
        little = np.abs(added.numpy()) < NEAR * part.deviation
        dropped |= more & little
        found = ((found | more) & ~little) | known
        added *= torch.from_numpy(found)
        z = np.abs(part.deviations(added))
    rest = (z / np.maximum(1, _around(z, found))).astype(np.float32)
    return found, added.numpy(), rest


def _letters(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where outliers lie so densely that they are letters: they, what they enclose, and a pixel around."""
    many = ndimage.uniform_filter(where.astype(np.float32), 25) > DENSE
    strokes = where & ndimage.maximum_filter(many, 25)
    wide = ndimage.maximum_filter(strokes, 13)
    letters: NDArray[np.bool_] = ndimage.minimum_filter(wide, 11)
    return letters


def _around(z: NDArray[np.float32], found: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The root mean square of what is missed within 7 pixels of each, but not within 2, and not by those found."""
    counted = (~_beside(found)).astype(np.float32)
    squares = counted * np.minimum(z, LEAST) ** 2
    ring = [_sum(plane, 15) - _sum(plane, 5) for plane in (squares, counted)]
    around: NDArray[np.float32] = np.sqrt(np.maximum(ring[0], 0) / np.maximum(ring[1], 20))
    return around


def _sum(plane: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The sum of the size x size pixels about each, mirrored at the edges."""
    summed = cv2.boxFilter(plane, -1, (size, size), normalize=False, borderType=cv2.BORDER_REFLECT)
    return np.asarray(summed, np.float32)


def _beside(found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels found, and the eight beside each."""
    return cv2.dilate(found.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)


def _keep_unexplained(
    where: NDArray[np.bool_],
    known: NDArray[np.bool_],
    added: NDArray[np.float32],
    frame: Picture,
    kernel: Kernel,
    record: Measurements,
    options: ApplyOptions,
) -> None:
    """Drop, in place, the larger groups, and those that reach white, that a restoration which believes them explains.

    Where there are too many to look at, the others are taken for what the most are that were looked at.
    """
    labels, _ = ndimage.label(where & ~known, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel())
    doubtful = (labels > 0) & (sizes[labels] > LONE)
    if record.white is not None:
        top = record.white - STRADDLE * record.deviation(record.white)
        bright = np.unique(labels[(frame.pixels >= top).any(0).cpu().numpy()])
        doubtful |= np.isin(labels, bright[bright > 0])
    if not doubtful.any():
        return
    chosen = [c for c in cells(where.shape, CELL, max(kernel.shape[-2:]) + 16) if doubtful[c[0]].any()]
    chosen.sort(key=lambda cell: -int(doubtful[cell[0]].sum()))
    white = math.inf if record.white is None else record.white
    area = (CELL + 2 * max(kernel.shape[-2:]) + 32) ** 2
    looked, explained = np.zeros(where.shape, bool), np.zeros(where.shape, bool)
    for core, window in chosen[: max(4, int(CHECKED * where.size / area))]:
        part = frame.window(*window)
        believed = torch.from_numpy(~(where & ~doubtful)[window])[None]
        part = believing(part, believed).filled()
        problem = pose(part, kernel.at(window), record, options)
        said = record.stored(problem, problem.blur(_AGAIN.last(problem)))
        misses = part.pixels.clamp(max=white) - said.clamp(max=white)
        inner = inside(core, window)
        looked[core] = doubtful[core]
        missed = np.abs(misses.numpy()[(slice(None), *inner)]).max(0)
        explained[core] = doubtful[core] & (missed < 0.5 * np.abs(added[(slice(None), *core)]).max(0))
    index = np.arange(int(labels.max()) + 1)
    seen, told = (ndimage.sum_labels(plane, labels, index) for plane in (looked, explained))
    scene = np.where(seen > 0, told > 0.5 * seen, told.sum() > 0.1 * seen.sum())
    where &= ~(doubtful & scene[labels])
