"""The formats of picture files: what a format is, and the list of those that are read and written.

A new format is one module with `SUFFIXES`, `HOLDS`, `matches`, `read` and `write` (and `LARGEST` and `ROOM`, where
there are limits; `WRITTEN_AS` in place of `HOLDS` and `write` where it is read only), and one line in `FORMATS`:
reading, writing, the command line and training find it there.

Example:
    >>> output_format("holiday.JPG")
    'JPEG'
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple

from deblur.errors import FileError
from deblur.images import bmp, fits, heic, jpeg, png, raw, tiff, webp
from deblur.images.stored import Stored

__all__ = ["FORMATS", "LOSSY", "Format", "format_named", "output_format", "written_as"]


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
        room: bytes at most of a field of `Metadata`, by its name, where there is a limit.
        pages: whether it holds several pictures.
        written_as: the name of the format that is written in its place, where it is read only.
    """

    suffixes: tuple[str, ...]
    matches: Callable[[bytes, str], bool]
    read: Callable[[bytes], list[Stored]]
    write: Callable[[BinaryIO, list[Stored], int | None], None] | None
    depths: tuple[str, ...]
    alpha: bool
    holds: frozenset[str] = frozenset()
    largest: int = 2**31 - 1
    room: Mapping[str, int] = MappingProxyType({})
    pages: bool = False
    written_as: str | None = None


def _of(module: Any, *depths: str, alpha: bool = False, pages: bool = False) -> Format:
    """The format that a module of this folder reads and writes."""
    limits = {name.lower(): getattr(module, name) for name in ("LARGEST", "ROOM") if hasattr(module, name)}
    return Format(
        module.SUFFIXES,
        module.matches,
        module.read,
        getattr(module, "write", None),
        depths,
        alpha=alpha,
        holds=frozenset(getattr(module, "HOLDS", ())),
        pages=pages,
        written_as=getattr(module, "WRITTEN_AS", None),
        **limits,
    )


FORMATS: dict[str, Format] = {
    "PNG": _of(png, "uint8", "uint16", alpha=True),
    "TIFF": _of(tiff, "uint8", "uint16", "float32", alpha=True, pages=True),
    "JPEG": _of(jpeg, "uint8"),
    "WebP": _of(webp, "uint8", alpha=True),
    "BMP": _of(bmp, "uint8", alpha=True),
    "FITS": _of(fits, "uint8", "uint16", "float32", pages=True),
    "HEIC": _of(heic),
    "RAW": _of(raw),
}
"""The formats that are read and written, by name; a file belongs to the first that it matches."""


LOSSY = ("JPEG", "WebP")
"""Those that round what is written to them as they see fit."""


def format_named(path: str | Path) -> str | None:
    """The format that a file name's suffix stands for; None for an unknown one, or none.

    Example:
        >>> format_named("a.tiff"), format_named("a.xyz")
        ('TIFF', None)
    """
    suffix = Path(path).suffix.lower()
    return next((name for name, format in FORMATS.items() if suffix in format.suffixes), None)


def written_as(name: str) -> str:
    """The format that pictures of this one are written in: itself, unless it is read only.

    Example:
        >>> written_as("PNG"), written_as("HEIC")
        ('PNG', 'JPEG')
    """
    return FORMATS[name].written_as or name


def output_format(path: str | Path) -> str:
    """The format that a file name's suffix stands for.

    Raises:
        FileError: an unknown suffix, or none, or one of a format that is read only.
    """
    if (name := format_named(path)) is not None:
        if (instead := FORMATS[name].written_as) is not None:
            suffix = FORMATS[instead].suffixes[0]
            raise FileError(f"{path}: expected a format that can be written, got {name}; name the output {suffix}")
        return name
    known = " ".join(format.suffixes[0] for format in FORMATS.values() if format.write is not None)
    raise FileError(f"{path}: expected a suffix like {known}, got '{Path(path).suffix.lower()}'; rename the output")
