"""Files that come in: counted while they stream, their size in pixels looked at before anything decodes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

from deblur.web.photo import Refused

__all__ = ["MOST_BYTES", "MOST_PIXELS", "check", "name_of", "stored"]

MOST_BYTES, MOST_PIXELS = 500 << 20, 50_000_000
"""Bytes of a file, and pixels of a picture."""


def name_of(header: str) -> str:
    """What the owner calls a file, from a header."""
    return unquote(header, errors="replace")[-4096:]


async def stored(stream: AsyncIterator[bytes], path: Path, most: int = MOST_BYTES) -> None:
    """Write what comes to a file.

    Raises:
        Refused: it is larger than allowed, or empty; nothing is left.
    """
    count = 0
    try:
        with path.open("wb") as file:
            async for piece in stream:
                count += len(piece)
                if count > most:
                    raise Refused(f"expected a file of at most {most >> 20} MB; use deblur apply for larger ones", 413)
                file.write(piece)
        if not count:
            raise Refused("the file is empty; choose another one", 415)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def check(path: Path, name: str) -> None:
    """Look at the header of a picture.

    Raises:
        Refused: it is none, has several pages, or more pixels than the page takes.
    """
    from PIL import Image

    size, pages = None, 1
    try:
        Image.MAX_IMAGE_PIXELS = None  # it is looked at here
        with Image.open(path) as image:
            size, pages = image.size, getattr(image, "n_frames", 1) if image.format in ("TIFF", "GIF") else 1
    except Exception as error:
        with path.open("rb") as file:
            start = file.read(32)
        if not _may_be_a_picture(start):
            raise Refused(f"{name} is no picture that is read here; export it as JPEG, PNG or TIFF", 415) from error
    if pages > 1:
        raise Refused(f"{name} has {pages} pages, here one picture is looked at; use deblur apply on the file", 415)
    if size is not None and size[0] * size[1] > MOST_PIXELS:
        most = MOST_PIXELS // 1_000_000
        got = size[0] * size[1] // 1_000_000
        raise Refused(f"{name} has {got} million pixels, the page takes {most}; use deblur apply on the file", 413)


def _may_be_a_picture(start: bytes) -> bool:
    """Of the kinds that Pillow does not know: TIFF of some kinds, FITS, HEIC, RAW."""
    beginnings = (
        b"II*\0",
        b"MM\0*",
        b"II+\0",
        b"MM\0+",
        b"SIMPLE  =",
        b"FUJIFILM",
        b"IIRO",
        b"IIRS",
        b"MMOR",
        b"IIU\0",
        b"FOVb",
    )
    return start.startswith(beginnings) or start[4:8] == b"ftyp"
