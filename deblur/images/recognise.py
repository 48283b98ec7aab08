"""Tell what a file is by its first bytes, and say what to do with those this package does not read."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from deblur.errors import FileError
from deblur.images.formats import FORMATS, format_named, written_as

__all__ = ["recognise", "written_name"]

_EXPORT = "export it as a 16-bit TIFF or PNG"

_REFUSED: tuple[tuple[int, tuple[bytes, ...], str], ...] = (
    (4, (b"ftypavif", b"ftypavis"), "an AVIF picture"),
    (0, (b"\xff\x0a", b"\0\0\0\x0cJXL "), "a JPEG XL picture"),
    (0, (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"), "a JPEG 2000 picture"),
    (0, (b"GIF8",), "a GIF"),
    (0, (b"8BPS",), "a Photoshop file"),
    (0, (b"\x76\x2f\x31\x01",), "an OpenEXR picture"),
    (0, (b"#?RADIANCE", b"#?RGBE"), "a Radiance HDR picture"),
    (0, (b"%PDF",), "a PDF"),
    (0, (b"gimp xcf",), "a GIMP file"),
    (0, (b"\x93NUMPY", b"PK\3\4", b"PK\5\6"), "a NumPy or ZIP archive"),
    (0, (b"\x89HDF\r\n\x1a\n", b"MATLAB 5.0"), "a MATLAB or HDF5 file"),
    (4, (b"ftyp",), "a video"),
)
"""Files that are refused by name: the place of their signature, the signatures, what the file is called."""


def recognise(data: bytes, name: str) -> str:
    """The name in `FORMATS` of the first format that matches.

    Args:
        data: the file, or at least its first 32 bytes.
        name: the file's name, for formats whose bytes alone do not tell.

    Raises:
        FileError: no format matches: what the file is instead and what to export, without its name.
    """
    if not data:
        raise FileError(f"expected a picture ({_readable()}), got an empty file; copy it again")
    for format, entry in FORMATS.items():
        if entry.matches(data, name):
            return format
    for offset, signatures, what in _REFUSED:
        if data[offset : offset + 16].startswith(signatures):
            raise FileError(f"expected {_readable()}, got {what}; {_EXPORT}")
    raise FileError(f"expected {_readable()}, got a file of another kind; {_EXPORT}")


def written_name(path: str | Path) -> Path:
    """The name for a picture like this one: its own, unless the file is of a format that is read only.

    Example:
        >>> str(written_name("a/b.heic")), str(written_name("b.png")), str(written_name("b"))
        ('a/b.jpg', 'b.png', 'b')
    """
    path = Path(path)
    name = format_named(path)
    if name is None or written_as(name) == name:
        return path
    with suppress(OSError, FileError), path.open("rb") as file:  # another format may have this name
        name = recognise(file.read(64), path.name)
    instead = written_as(name)
    return path if instead == name else path.with_suffix(FORMATS[instead].suffixes[0])


def _readable() -> str:
    """The formats that are read: `PNG, TIFF, JPEG, WebP, BMP, FITS, HEIC or RAW`."""
    *others, last = FORMATS
    return f"{', '.join(others)} or {last}"
