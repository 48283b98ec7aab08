"""How far the pixels of a JPEG are off, told from its own tables.

A JPEG rounds every coefficient of its 8 x 8 blocks to a multiple of its table's entry Q. Where a coefficient was not
rounded to zero the error is uniform, of variance Q^2 / 12. Where it was, the error is the coefficient itself: with the
Laplacian density that coefficients of a band have (Lam and Goodman, "A mathematical analysis of the DCT coefficient
distributions for images", 2000), whose scale b = Q / (2 log(1 / live)) follows from the share `live` that survived,

    E[c^2 | |c| < Q/2] = b^2 (2 - (t^2 + 2 t + 2) e^-t) / (1 - e^-t),     t = Q / (2 b).

An estimator that looks at the highest frequencies calls such a picture free of noise, since they were rounded away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn
from scipy.ndimage import map_coordinates
from torch import Tensor

from deblur.coding import BLOCK
from deblur.lattice import Lattice, blocks_of
from deblur.picture import Picture

__all__ = ["CORRELATION", "Bands", "coded_bands", "jpeg_sigma"]

CORRELATION = 1.5
"""By how much more than its standard deviation the error of a JPEG counts: it is not white, but lies in the bands that
a restoration amplifies and goes along with the edges (docs/experiments/jpeg.md)."""

_FEWEST = 16  # blocks that an estimate takes


def jpeg_sigma(picture: Picture, earlier: Lattice | None = None) -> float:
    """Standard deviation of the error that coding as a JPEG left in brightness, full scale 1; 0 for other pictures.

    It is taken over the bands of low and middle frequency, 1 <= u + v < 8: those that a restoration amplifies.

    Args:
        picture: pixels (C, H, W), with the coding of its file.
        earlier: a lossier save that it went through before (`deblur.lattice.earlier_save`), whose error is added.

    Example:
        >>> import torch
        >>> jpeg_sigma(Picture(pixels=torch.rand(1, 64, 64)))
        0.0
    """
    bands = coded_bands(picture, earlier)
    if bands is None:
        return 0.0
    u, v = np.mgrid[:BLOCK, :BLOCK]
    return math.sqrt(float(bands.variance[(u + v >= 1) & (u + v < BLOCK)].mean()))


@dataclass(frozen=True, eq=False)
class Bands:
    """What coding left of each band of brightness, of the frequencies pi u / 8 down and pi v / 8 across a pixel.

    Attributes:
        variance: (8, 8) of the error, full scale 1.
        live: (8, 8), the share of the coefficients that were not rounded to zero, in [0, 1].
    """

    variance: NDArray[np.float64]
    live: NDArray[np.float64]

    def scaled(self, factor: float) -> Bands:
        """The same of values that are so many times as large."""
        return Bands(factor**2 * self.variance, self.live)

    def at(self, down: NDArray[np.float64], across: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Variance and share between the bands, at frequencies in radians a pixel, of any sign."""
        place = [np.minimum(np.abs(f) * (BLOCK / math.pi), BLOCK - 1) for f in (down, across)]
        return tuple(map_coordinates(table, place, order=1) for table in (self.variance, self.live))


def coded_bands(picture: Picture, earlier: Lattice | None = None) -> Bands | None:
    """What coding as a JPEG left of each band of a picture; None where it was none, or too few blocks tell.

    Args:
        picture: pixels (C, H, W), with the coding of its file.
        earlier: a lossier save that it went through before, whose error is added.

    Example:
        >>> import torch
        >>> coded_bands(Picture(pixels=torch.rand(1, 64, 64))) is None
        True
    """
    saves = []
    if picture.coding is not None and picture.coding.format == "JPEG":
        offset = picture.coding.offset[0] % BLOCK, picture.coding.offset[1] % BLOCK
        saves.append((picture.coding.tables[0].astype(np.float64), offset))
    if earlier is not None:
        saves.append((earlier.table, earlier.offset))
    told = [one for one in (_bands(picture.pixels, table, offset) for table, offset in saves) if one is not None]
    if not told:
        return None
    variance = sum((one.variance for one in told), np.zeros((BLOCK, BLOCK)))
    return Bands(variance, np.min([one.live for one in told], axis=0))


def _bands(pixels: Tensor, table: NDArray[np.float64], offset: tuple[int, int]) -> Bands | None:
    """What rounding to multiples of a table (of full scale 255) left; None where too few blocks tell."""
    blocks = blocks_of(pixels, offset)
    flat = (blocks.max((1, 2)) >= 126) & (np.ptp(blocks, (1, 2)) < 2)  # clipped: nothing was rounded
    if len(blocks) - int(flat.sum()) < _FEWEST:
        return None
    coefficients = dctn(blocks[~flat], axes=(1, 2), norm="ortho")
    live = (np.rint(coefficients / table) != 0).mean(0).clip(1e-4, 0.999)
    scale = table / (2 * np.log(1 / live))
    t = table / (2 * scale)
    dead = scale**2 * (2 - (t**2 + 2 * t + 2) * np.exp(-t)) / (1 - np.exp(-t))
    variance = live * table**2 / 12 + (1 - live) * np.minimum(dead, table**2 / 12)
    return Bands(variance / 255**2, live)
