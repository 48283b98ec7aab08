"""FITS, the format of astronomy: read and written through astropy, linear, with header and world coordinates.

The array is kept in the order of the file, whose first row most programs show at the bottom. What lies before and
behind the picture (an empty primary unit, tables, masks) is carried along byte for byte.

Source: FITS standard 4.0.
"""

from __future__ import annotations

import io
import math
import warnings
from typing import Any, BinaryIO

import numpy as np

from deblur.errors import FileError
from deblur.images.claims import check_claim
from deblur.images.extras import imported
from deblur.images.stored import Array, Metadata, Stored, Unit

__all__ = ["kernel", "matches", "read", "write"]

SUFFIXES = (".fits", ".fit", ".fts")
HOLDS = ("unit",)

_BLOCK = 2880
_OUTDATED = ("BSCALE", "BZERO", "BLANK", "CHECKSUM", "DATASUM", "DATAMIN", "DATAMAX")


def matches(data: bytes, name: str) -> bool:
    """Whether a file is FITS, by its first card."""
    return data.startswith(b"SIMPLE  =")


def read(data: bytes) -> list[Stored]:
    """Read the first picture: one plane, three as colours, or another number as pages.

    Raises:
        FileError: astropy is missing, there is no picture, or it has more than three axes.
    """
    fits = _astropy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of cards that break the standard
        with fits.open(io.BytesIO(data), memmap=False) as units:
            at = next((i for i, unit in enumerate(units) if unit.is_image and len(unit.shape) >= 2), None)
            if at is None:
                raise FileError("expected a picture in the FITS file, got tables or nothing; export the picture")
            unit, more = units[at], sum(1 for other in units[at + 1 :] if other.is_image and len(other.shape) >= 2)
            shape = tuple(length for length in unit.shape[:-2] if length != 1) + tuple(unit.shape[-2:])
            if len(shape) > 3 or not math.prod(shape):
                raise FileError(f"expected a picture of two or three axes, got {unit.shape}; export planes of it")
            check_claim(shape[-1], math.prod(shape[:-1]), len(data))
            compressed = isinstance(unit, fits.CompImageHDU)
            where = None if compressed else unit.fileinfo()
            cards = unit.header.tostring().encode("ascii", "replace")
            cube, notes = _samples(unit.data.reshape(shape))
    if more:
        notes += (f"the file holds {more} more pictures, which stay as they are",)
    before, after = b"", b""
    if where is not None:
        before, after = data[: where["hdrLoc"]], data[where["datLoc"] + where["datSpan"] :]
    carried = Unit(cards=cards, before=before, after=after, shape=shape[-2:])
    colour = len(shape) == 2 or shape[0] == 3
    planes = [cube if cube.ndim == 2 else np.moveaxis(cube, 0, 2)] if colour else list(cube)
    pages = [Stored(array=plane, metadata=Metadata(lossless=True)) for plane in planes]
    pages[0].metadata = Metadata(lossless=True, unit=carried)
    pages[0].notes = notes
    return pages


def write(file: BinaryIO, pages: list[Stored], quality: int | None) -> None:
    """Write one unit with the header that was read; several pages are planes of one cube. `quality` is not used."""
    fits = _astropy()
    first = pages[0].array
    if len(pages) > 1:
        cube = np.stack([page.array for page in pages])
    else:
        cube = first if first.ndim == 2 else np.ascontiguousarray(np.moveaxis(first, 2, 0))
    carried = pages[0].metadata.unit
    header = None
    if carried is not None:
        header = fits.Header.fromstring(carried.cards.decode("ascii"))
        for name in _OUTDATED:
            header.remove(name, ignore_missing=True)
    before, after = (b"", b"") if carried is None else (carried.before, carried.after)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if before:
            made = io.BytesIO()
            fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(cube, header)]).writeto(made, output_verify="silentfix")
            file.write(before + made.getvalue()[_BLOCK:])
        else:
            made = io.BytesIO()
            fits.PrimaryHDU(cube, header).writeto(made, output_verify="silentfix")
            file.write(made.getvalue())
    file.write(after)


def kernel(data: bytes) -> Array:
    """The first array of two or three axes, for a kernel file.

    Raises:
        FileError: as `read`.
    """
    pages = read(data)
    planes = [page.array if page.array.ndim == 2 else np.moveaxis(page.array, 2, 0) for page in pages]
    return planes[0] if len(planes) == 1 else np.stack(planes)


def _astropy() -> Any:
    return imported("astropy.io.fits", "astro", "a FITS file", "export it as a 32-bit float TIFF")


def _samples(values: Any) -> tuple[Array, tuple[str, ...]]:
    """The values as uint8, uint16 or float32, and what is said where that loses some of their digits."""
    native = np.asarray(values, values.dtype.newbyteorder("="))
    if native.dtype in (np.uint8, np.uint16):
        return native, ()
    if native.dtype.kind not in "iuf":
        raise FileError(f"expected numbers, got {native.dtype}; export them as 32-bit floats")
    with np.errstate(over="ignore"):
        samples = native.astype(np.float32)
    fewer = native.dtype.itemsize > 4 or (native.dtype.kind in "iu" and np.abs(native.astype(np.float64)).max() > 2**24)
    return samples, (f"its {native.dtype} values are restored and written as 32-bit floats",) if fewer else ()
