"""The lattice of an earlier, lossier save: what a JPEG was before it was saved again, or as a PNG.

The DCT coefficients c of a picture that was once a JPEG lie near multiples of the steps Q of its tables, as long as its
blocks are where they were: 2 pi c / Q has a phase near 0. Of the tables that everybody scales by a quality (ITU-T T.81,
annex K, as the Independent JPEG Group does) the one is taken whose steps explain the phases of all bands,

    mean cos(2 pi c / Q)  over coefficients with |c| > Q / 2,

1 on a lattice without error and below 0 for the falling densities that coefficients have otherwise. A table of half the
steps explains as much, so it is the coarsest that does. Only steps several times the present ones are told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn
from torch import Tensor

from deblur.coding import BLOCK
from deblur.picture import Picture

__all__ = ["Lattice", "blocks_of", "earlier_save"]

LUMA = (0.299, 0.587, 0.114)
SIDE = 1448
"""Pixels a side that an estimate looks at, in the middle: more does not sharpen it."""

QUALITIES = range(30, 96)
"""Those that are told apart."""

EXPLAINED = 0.6
"""The mean cosine from which on a table explains the coefficients."""

FEWEST = 300
"""Coefficients that a decision takes."""

COARSER = 3.0
"""Times the present step from which on an earlier one shows."""

FINEST = 4
"""The smallest step that shows after rounding to 256 levels."""

_ANNEX_K = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


@dataclass(frozen=True, eq=False)
class Lattice:
    """What a picture was saved as before.

    Attributes:
        quality: of the Independent JPEG Group's scale, 1 to 100.
        table: (8, 8), the steps of brightness.
        offset: row and column of the picture's top left pixel in its block.
    """

    quality: int
    table: NDArray[np.float64]
    offset: tuple[int, int]

    @property
    def note(self) -> str:
        """A line that a user should see."""
        return f"it was a JPEG of a quality of about {self.quality} before, and is restored for that"


def scaled(quality: int) -> NDArray[np.float64]:
    """The table of brightness of a quality from 1 to 100.

    Example:
        >>> scaled(75)[0, :4]
        array([8., 6., 5., 8.])
    """
    factor = 5000 // quality if quality < 50 else 200 - 2 * quality
    table: NDArray[np.float64] = np.clip((np.array(_ANNEX_K) * factor + 50) // 100, 1, 255).astype(np.float64)
    return table


def earlier_save(picture: Picture) -> Lattice | None:
    """The lossier save that a picture went through before, or None where nothing shows one.

    Args:
        picture: pixels (C, H, W) in stored values. Of a JPEG only its own grid of blocks is looked at.

    Example:
        >>> import torch
        >>> earlier_save(Picture(pixels=torch.rand(1, 64, 64))) is None
        True
    """
    present = np.ones((BLOCK, BLOCK))
    if picture.coding is not None and picture.coding.format == "JPEG":
        offset = picture.coding.offset[0] % BLOCK, picture.coding.offset[1] % BLOCK
        present = picture.coding.tables[0].astype(np.float64)
    else:
        offset = _where_zeros_are(picture.pixels)
    values = np.abs(dctn(blocks_of(picture.pixels, offset, 640), axes=(1, 2), norm="ortho"))
    u, v = np.mgrid[:BLOCK, :BLOCK]
    explained = np.zeros(QUALITIES.stop)
    for quality in QUALITIES:
        steps = scaled(quality)
        told = (u + v >= 1) & (u + v < BLOCK) & (steps >= COARSER * present) & (steps >= FINEST)
        ratio = values[:, told] / steps[told]
        ratio = ratio[ratio > 0.5]
        if len(ratio) >= FEWEST:
            explained[quality] = np.cos(2 * np.pi * ratio).mean()
    good = np.flatnonzero(explained > max(EXPLAINED, 0.8 * explained.max()))
    if not len(good):
        return None
    near = slice(good[0], good[0] + 5)  # the coarsest, and of its neighbours the one that explains most
    quality = good[0] + int(explained[near].argmax())
    return Lattice(int(quality), scaled(int(quality)), offset)


def blocks_of(pixels: Tensor, offset: tuple[int, int], side: int = SIDE) -> NDArray[np.float64]:
    """The whole blocks of brightness in the middle of a picture (C, H, W), (n, 8, 8) about 0, full scale 255.

    Args:
        pixels: full scale 1.
        offset: row and column of its top left pixel in its block.
        side: pixels a side that are taken at most.
    """
    starts = []
    for length, at in zip(pixels.shape[-2:], offset, strict=True):
        first = max(0, length - side) // 2
        first += -(at + first) % BLOCK
        starts.append(slice(first, first + max(0, min(side, length - first)) // BLOCK * BLOCK))
    part = pixels[(slice(None), *starts)].double().numpy()
    luma = 255 * (np.tensordot(LUMA, part, 1) if len(part) == 3 else part[0]) - 128
    rows, columns = (n // BLOCK for n in luma.shape)
    return luma.reshape(rows, BLOCK, columns, BLOCK).transpose(0, 2, 1, 3).reshape(-1, BLOCK, BLOCK)


def _where_zeros_are(pixels: Tensor) -> tuple[int, int]:
    """The offset of the blocks of which most coefficients are zero, as rounding leaves them."""
    shares = np.zeros((BLOCK, BLOCK))
    for offset in np.ndindex(BLOCK, BLOCK):
        blocks = blocks_of(pixels, (offset[0], offset[1]), 256)
        blocks = blocks[np.ptp(blocks, (1, 2)) > 2]
        if len(blocks):
            shares[offset] = (np.abs(dctn(blocks, axes=(1, 2), norm="ortho")) < 0.75).mean()
    row, column = np.unravel_index(int(shares.argmax()), shares.shape)
    return int(row), int(column)
