"""EXIF blocks and resolution: read the orientation, reset it, keep the rest byte for byte.

An EXIF block is a small TIFF file: a header, directories (IFD0, the EXIF and GPS directories inside it, IFD1 with a
thumbnail) of 12-byte entries. It is patched in place and never rebuilt, because a camera maker's own notes hold
offsets into it that a rebuilt block would break.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = ["exif_colour_space", "exif_orientation", "sized_exif", "strip_exif_header", "upright_exif"]

_ORIENTATION, _EXIF_IFD, _COLOUR_SPACE, _WIDTH, _HEIGHT = 0x0112, 0x8769, 0xA001, 0xA002, 0xA003
_SHORT, _LONG = 3, 4


def strip_exif_header(exif: bytes | None) -> bytes | None:
    """The block without the `Exif` header of JPEG files; None for an empty or broken one."""
    if not exif:
        return None
    exif = exif.removeprefix(b"Exif\0\0")
    return exif if exif[:4] in (b"II*\0", b"MM\0*") else None


def exif_orientation(exif: bytes | None) -> int:
    """The orientation tag, 1 to 8; 1 where there is none or it makes no sense."""
    if exif is None:
        return 1
    try:
        value = next((value for tag, value, _ in _numbers(exif, _first_directory(exif)) if tag == _ORIENTATION), 1)
    except struct.error:
        return 1
    return value if 1 <= value <= 8 else 1


def sized_exif(exif: bytes | None, width: int, height: int) -> bytes | None:
    """The block with the picture's size in PixelXDimension and PixelYDimension, where it has these tags."""
    if exif is None:
        return None
    block = bytearray(exif)
    try:
        for tag, value, _ in _numbers(exif, _first_directory(exif)):
            if tag == _EXIF_IFD:
                for inner, _, place in _numbers(exif, value):
                    if inner in (_WIDTH, _HEIGHT):
                        _put(block, place, width if inner == _WIDTH else height)
    except struct.error:
        return exif
    return bytes(block)


def exif_colour_space(exif: bytes | None) -> int | None:
    """The ColorSpace tag of the EXIF directory (1 is sRGB, 2 Adobe RGB, 65535 another one); None without it."""
    if exif is None:
        return None
    try:
        for tag, value, _ in _numbers(exif, _first_directory(exif)):
            if tag == _EXIF_IFD:
                return next((inner for name, inner, _ in _numbers(exif, value) if name == _COLOUR_SPACE), None)
    except struct.error:
        pass
    return None


def upright_exif(exif: bytes | None) -> bytes | None:
    """Orientation 1, and no thumbnail: it shows the blurred picture, turned the old way."""
    if exif is None:
        return None
    block = bytearray(exif)
    try:
        start = _first_directory(exif)
        for tag, _, place in _numbers(exif, start):
            if tag == _ORIENTATION:
                _put(block, place, 1)
        (entries,) = struct.unpack_from(_order(exif) + "H", exif, start)
        struct.pack_into(_order(exif) + "I", block, start + 2 + 12 * entries, 0)
    except struct.error:
        pass
    return bytes(block)


def _order(exif: bytes | bytearray) -> str:
    return "<" if exif[:2] == b"II" else ">"


def _first_directory(exif: bytes) -> int:
    return int(struct.unpack_from(_order(exif) + "I", exif, 4)[0])


def _numbers(exif: bytes, directory: int) -> Iterator[tuple[int, int, tuple[int, str]]]:
    """The single whole numbers of a directory: (tag, value, (offset, struct code) of the value)."""
    order = _order(exif)
    (entries,) = struct.unpack_from(order + "H", exif, directory)
    for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", exif, entry)
        if kind in (_SHORT, _LONG) and count == 1:
            code = order + ("H" if kind == _SHORT else "I")
            yield tag, struct.unpack_from(code, exif, entry + 8)[0], (entry + 8, code)


def _put(block: bytearray, place: tuple[int, str], value: int) -> None:
    offset, code = place
    if value < 1 << 8 * struct.calcsize(code):
        struct.pack_into(code, block, offset, value)
