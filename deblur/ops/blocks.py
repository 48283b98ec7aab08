"""The blocks of a masked convolution: pixels that share an anchor, in the order in which the inverse solves them.

With zeros beyond the frame every pixel has the anchor weight[:, :, 0, 0], and there is one block. With the edge
repeated, a tap that would leave the frame reads the edge instead. On the first row and column (those at the corner that
the taps look toward) this is sometimes the pixel itself, and the taps that read it add up to the anchor:

    corner         sum over a, b of weight[:, :, a, b]      reads itself alone
    first column   sum over b of weight[:, :, 0, b]         reads itself and the corner
    first row      sum over a of weight[:, :, a, 0]         reads itself and the corner
    rest           weight[:, :, 0, 0]                       reads all four

Each block, seen alone, is again a masked convolution with zeros beyond it, of the folded taps; the matrix is block
triangular in this order. So log|det| is the sum of the blocks', and the inverse one substitution after another.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from deblur.ops import geometry

__all__ = ["Block", "blocks", "quarters"]


class Block(NamedTuple):
    """One block: what its anchor is called, its taps (C, C // groups, ., .) and where it lies in the frame."""

    anchor: str
    weight: torch.Tensor
    rows: slice
    columns: slice

    @property
    def pixels(self) -> int:
        """How many pixels have this anchor."""
        return int((self.rows.stop - self.rows.start) * (self.columns.stop - self.columns.start))


def blocks(weight: torch.Tensor, height: int, width: int, orientation: str, border: str) -> list[Block]:
    """Return the blocks of an H x W frame that have pixels, in order; the first one even where the frame is empty."""
    if border == "zero":
        return [Block("the anchor weight[:, :, 0, 0]", weight, slice(0, height), slice(0, width))]
    every = quarters(weight, height, width, orientation)
    return [block for block in every if block is every[0] or block.pixels]


def quarters(weight: torch.Tensor, height: int, width: int, orientation: str) -> list[Block]:
    """Return corner, first column, first row and rest of an H x W frame whose edge is repeated, empty ones too."""
    bottom, right = geometry.ORIENTATIONS[orientation]
    (first_row, rows), (first_column, columns) = _split(height, bottom), _split(width, right)
    return [
        Block("the corner's anchor weight.sum((2, 3))", weight.sum((2, 3), keepdim=True), first_row, first_column),
        Block("the first column's anchor weight[:, :, 0].sum(2)", weight.sum(3, keepdim=True), rows, first_column),
        Block("the first row's anchor weight[:, :, :, 0].sum(2)", weight.sum(2, keepdim=True), first_row, columns),
        Block("the anchor weight[:, :, 0, 0]", weight, rows, columns),
    ]


def _split(size: int, from_the_end: bool) -> tuple[slice, slice]:
    """Return the edge and the rest of an axis."""
    if from_the_end:
        return slice(max(size - 1, 0), size), slice(0, max(size - 1, 0))
    return slice(0, min(size, 1)), slice(min(size, 1), size)
