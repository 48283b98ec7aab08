"""The formats of picture files: what a format is, and the list of those that are read and written.

A new format is one module with `SUFFIXES`, `matches`, `read` and `write`, and one line in `FORMATS`: reading, writing,
the command line and training find it there.

Example:
    >>> output_format("holiday.JPG")
    'JPEG'
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from deblur.errors import FileError
from deblur.images import bmp, jpeg, png, tiff, webp
from deblur.images.stored import Stored

__all__ = ["FORMATS", "LOSSY", "Format", "output_format"]


class Format(NamedTuple):
    """One file format.

    Args:
        suffixes: the endings of its files' names, in small letters, the usual one first.
        matches: says whether a file is of this format, from its bytes and, where they do not tell, its name.
        read: turns the bytes of a file into its pictures, one for each page.
        write: writes pictures into an open binary file; its third argument is the quality, 1 to 100 or None.
        depths: the sample types it holds; a picture of another integer type is stored in the last one.
        alpha: whether it holds an alpha channel.
        holds: the fields of `Metadata` that it keeps.
        largest: pixels a side.
        pages: whether it holds several pictures.
    """

    suffixes: tuple[str, ...]
    matches: Callable[[bytes, str], bool]
    read: Callable[[bytes], list[Stored]]
    write: Callable[[BinaryIO, list[Stored], int | None], None]
    depths: tuple[str, ...]
    alpha: bool
    holds: frozenset[str] = frozenset()
    largest: int = 2**31 - 1
    pages: bool = False


FORMATS: dict[str, Format] = {
    "PNG": Format(
        png.SUFFIXES, png.matches, png.read, png.write, ("uint8", "uint16"), alpha=True, holds=frozenset(png.HOLDS)
    ),
    "TIFF": Format(
        tiff.SUFFIXES,
        tiff.matches,
        tiff.read,
        tiff.write,
        ("uint8", "uint16", "float32"),
        alpha=True,
        holds=frozenset(tiff.HOLDS),
        pages=True,
    ),
    "JPEG": Format(
        jpeg.SUFFIXES,
        jpeg.matches,
        jpeg.read,
        jpeg.write,
        ("uint8",),
        alpha=False,
        holds=frozenset(jpeg.HOLDS),
        largest=jpeg.LARGEST,
    ),
    "WebP": Format(
        webp.SUFFIXES,
        webp.matches,
        webp.read,
        webp.write,
        ("uint8",),
        alpha=True,
        holds=frozenset(webp.HOLDS),
        largest=webp.LARGEST,
    ),
    "BMP": Format(bmp.SUFFIXES, bmp.matches, bmp.read, bmp.write, ("uint8",), alpha=True, holds=frozenset(bmp.HOLDS)),
}
"""The formats that are read and written, by name; a file belongs to the first that it matches."""


LOSSY = ("JPEG", "WebP")
"""Those that round what is written to them as they see fit."""


def output_format(path: str | Path) -> str:
    """The format that a file name's suffix stands for.

    Raises:
        FileError: an unknown suffix, or none.
    """
    suffix = Path(path).suffix.lower()
    for name, format in FORMATS.items():
        if suffix in format.suffixes:
            return name
    known = " ".join(format.suffixes[0] for format in FORMATS.values())
    raise FileError(f"{path}: expected a suffix like {known}, got '{suffix}'; rename the output")
