"""How a lossy file rounded its picture: the quantisation tables of a JPEG and where its blocks lie.

A JPEG's samples are brightness and colour, Y, Cb and Cr. Each is cut into blocks of 8 x 8, transformed (DCT-II), and
every coefficient is rounded to a multiple of its entry in a table. The tables and the place of the blocks say how far a
pixel may be off. A picture that was cropped or turned afterwards has its blocks elsewhere: `at` and `turned` say where.

Source: ITU-T T.81 (JPEG), sections A.1.1 (sampling factors), A.3.3 (DCT) and B.2.4.1 (tables).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK", "Coding"]

BLOCK = 8
"""Samples on a side of a block."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Coding:
    """The coding of a picture, as the picture is seen.

    Args:
        format: the name of the format, `JPEG`.
        tables: (n, 8, 8) uint16, read-only: the steps that the coefficients of each component are multiples of, [i, j]
            for frequency i down and j across; one table for gray, three for colour (Y, Cb, Cr). They are those of an
            orthonormal DCT-II of samples on 0 to 255, less 128.
        subsampling: pixels, down and across, that share one sample of colour: (1, 1) is 4:4:4, (1, 2) is 4:2:2, (2, 2)
            is 4:2:0.
        offset: row and column of the picture's top left pixel, counted from the start of the unit that it lies in. A
            unit is a block of colour, `8 * subsampling` pixels; within a block of brightness it is `offset % 8`.

    Example:
        >>> whole = Coding(format="JPEG", tables=np.full((3, 8, 8), 5), subsampling=(2, 2))
        >>> whole.at(20, 3).offset
        (4, 3)
        >>> whole.turned(2, 37, 45).offset  # mirrored: the last 5 of 45 columns are now the first
        (0, 3)
    """

    format: str
    tables: NDArray[np.uint16]
    subsampling: tuple[int, int] = (1, 1)
    offset: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        tables = np.array(self.tables, np.uint16)
        tables.setflags(write=False)
        offset = tuple(at % unit for at, unit in zip(self.offset, self.unit, strict=True))
        object.__setattr__(self, "tables", tables)
        object.__setattr__(self, "offset", offset)

    @property
    def unit(self) -> tuple[int, int]:
        """Rows and columns of pixels after which the blocks of all components repeat."""
        return BLOCK * self.subsampling[0], BLOCK * self.subsampling[1]

    def at(self, row: int, column: int) -> Coding:
        """The coding of the part of the picture that starts at this pixel."""
        return replace(self, offset=(self.offset[0] + row, self.offset[1] + column))

    def turned(self, orientation: int, height: int, width: int) -> Coding:
        """The coding of a stored picture once it is turned as `deblur.images.scale.turn` does.

        A mirrored DCT has the same coefficients but for signs, so the tables stay; they are transposed with the axes.

        Args:
            orientation: the EXIF orientation, 1 to 8.
            height: rows as stored.
            width: columns as stored.
        """
        tables, subsampling, (row, column) = self.tables, self.subsampling, self.offset
        if orientation >= 5:
            tables, subsampling, row, column = tables.swapaxes(1, 2), subsampling[::-1], column, row
            height, width = width, height
        if orientation in (3, 4, 7, 8):  # the last row, at `row + height - 1` in its unit, is now the first
            row = -(row + height)
        if orientation in (2, 3, 6, 7):
            column = -(column + width)
        return replace(self, tables=tables, subsampling=subsampling, offset=(row, column))
