"""Large pictures in overlapping tiles: memory stays that of one tile, time linear in the pixels, seams invisible.

Along each axis the frame is cut into equal cores. A tile is a core grown by `overlap` pixels of real frame on every
side that has a neighbour; its own border is unknown, as any frame's is. Neighbours are blended by ramps that sum to
one and lie in the inner half of the overlap, so that the pixels next to a tile's border, where the unknown outside
is felt, count for nothing.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Span", "Tile", "cut", "cut_axis"]


ALIGNED = 8
"""Tiles start at multiples of this, so that where 2 x 2 pixels are taken together they are the same ones everywhere."""


@dataclass(frozen=True)
class Span:
    """One axis of a tile: the frame's pixels [start, stop), and their weights in the blend, (stop - start,)."""

    start: int
    stop: int
    weight: Tensor


@dataclass(frozen=True)
class Tile:
    """A rectangle of the frame with its blending weights."""

    rows: Span
    columns: Span

    @property
    def window(self) -> tuple[slice, slice]:
        """Its rows and columns of the frame."""
        return slice(self.rows.start, self.rows.stop), slice(self.columns.start, self.columns.stop)

    def take(self, frame: Tensor) -> Tensor:
        """The tile's part of a frame (..., H, W), a view."""
        return frame[(..., *self.window)]

    def add(self, frame: Tensor, restored: Tensor) -> None:
        """Add the restored tile, weighed, to the frame that is being put together."""
        part = self.take(frame)
        part.addcmul_(restored, (self.rows.weight[:, None] * self.columns.weight).to(part))


def cut_axis(length: int, size: int, overlap: int) -> list[Span]:
    """Cut an axis into spans of at most `size` + 2 * `overlap` pixels whose weights sum to one everywhere.

    Example:
        >>> [(span.start, span.stop) for span in cut_axis(100, 40, 8)]
        [(0, 41), (24, 75), (56, 100)]
    """
    count = -(-length // size)
    edges = [round(i * length / count) for i in range(count + 1)]
    spans = []
    for before, after in itertools.pairwise(edges):
        start, stop = max(0, before - overlap) // ALIGNED * ALIGNED, min(length, after + overlap)
        position = torch.arange(start, stop, dtype=torch.float64) + 0.5
        weight = torch.ones(stop - start, dtype=torch.float64)
        if before > 0:
            weight *= ((position - before) / overlap + 0.5).clamp(0, 1)
        if after < length:
            weight *= ((after - position) / overlap + 0.5).clamp(0, 1)
        spans.append(Span(start, stop, weight))
    return spans


def cut(frame: tuple[int, int], size: int, overlap: int) -> list[Tile]:
    """Cut a frame (H, W) into tiles with cores of at most `size` pixels a side.

    Cores are never narrower than the overlap, so that only direct neighbours overlap.
    """
    size = max(size, 2 * overlap)
    rows, columns = (cut_axis(length, size, overlap) for length in frame)
    return [Tile(row, column) for row in rows for column in columns]
