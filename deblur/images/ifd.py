"""Directories of tags as TIFF files and EXIF blocks hold them: read them out of a file, write them into another.

The values stay as they are, byte for byte but for the byte order, which becomes little-endian: no fraction is rounded
and no text decoded on the way.

Source: TIFF 6.0, section 2 (image file directory); BigTIFF.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

__all__ = ["EXIF", "GPS", "INTEROPERABILITY", "Directory", "Entry", "read_directory", "write_directory"]

EXIF, GPS, INTEROPERABILITY = 0x8769, 0x8825, 0xA005
"""The tags whose value is the offset of another directory."""

_NESTED = (EXIF, GPS, INTEROPERABILITY)
_LONG = 4
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SWAPPED = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4}  # bytes that change places together


@dataclass(frozen=True)
class Entry:
    """The value of a tag: its TIFF type (2 text, 3 short, 4 long, 5 fraction, ...) and its little-endian bytes."""

    kind: int
    value: bytes


Directory: TypeAlias = "dict[int, Entry | Directory]"
"""Tag -> value, or the directory that the tag points to."""


def read_directory(data: bytes, offset: int, order: str, *, big: bool = False, depth: int = 0) -> Directory:
    """The directory at an offset, and the EXIF, GPS and interoperability directories in it.

    Entries that point outside the file or have a type of their own are left out.

    Args:
        data: the whole file, from which the offsets count.
        offset: where the directory starts.
        order: `<` or `>`, the byte order of the file.
        big: whether the file is a BigTIFF.
        depth: how many directories this one is inside of.
    """
    found: Directory = {}
    start, step, field = (8, 20, "Q") if big else (2, 12, "I")
    try:
        (entries,) = struct.unpack_from(order + ("Q" if big else "H"), data, offset)
        for at in range(offset + start, offset + start + step * min(entries, 4096), step):
            tag, kind, count = struct.unpack_from(order + "HH" + field, data, at)
            size, inline = _SIZES.get(kind, 0) * count, at + step - struct.calcsize(field)
            (pointer,) = struct.unpack_from(order + field, data, inline)
            place = inline if size <= struct.calcsize(field) else pointer
            if not 0 < size <= len(data) - place:
                continue
            if tag in _NESTED:
                if (
                    depth < 2
                    and kind in (_LONG, 13)
                    and (nested := read_directory(data, pointer, order, depth=depth + 1))
                ):
                    found[tag] = nested
                continue
            found[tag] = Entry(kind, _little_endian(data[place : place + size], kind, order))
    except struct.error:  # the file ends inside the directory: what was found is good
        pass
    return found


def write_directory(directory: Directory, offset: int) -> bytes:
    """The bytes of a directory that will stand at this (even) offset of a little-endian file, its values behind it."""
    table, values = struct.pack("<H", len(directory)), b""
    behind = offset + 2 + 12 * len(directory) + 4
    for tag, entry in sorted(directory.items()):
        if isinstance(entry, dict):
            table += struct.pack("<HHII", tag, _LONG, 1, behind + len(values))
            values += write_directory(entry, behind + len(values))
            continue
        table += struct.pack("<HHI", tag, entry.kind, len(entry.value) // _SIZES[entry.kind])
        if len(entry.value) <= 4:
            table += entry.value.ljust(4, b"\0")
        else:
            table += struct.pack("<I", behind + len(values))
            values += entry.value + b"\0" * (len(entry.value) % 2)
    return table + struct.pack("<I", 0) + values


def _little_endian(value: bytes, kind: int, order: str) -> bytes:
    unit = _SWAPPED.get(kind)
    return value if order == "<" or unit is None else np.frombuffer(value, f"u{unit}").byteswap().tobytes()
