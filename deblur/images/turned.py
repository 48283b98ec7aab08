"""Metadata that speak of where pixels lie, once the picture is turned upright or a part of it is cut out."""

from __future__ import annotations

import re
import struct
from dataclasses import replace

from deblur.images.exif import upright_exif
from deblur.images.stored import Metadata, Resolution

__all__ = ["cut_metadata", "upright_metadata"]

_TIEPOINTS, _TRANSFORMATION, _DOUBLE = 33922, 34264, 12
_REFERENCE = re.compile(rb"(CRPIX([12])[A-Z ] *= *)([-+.0-9EeDd]+)")
_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|\s*>\s*))[1-8]""")


def upright_metadata(metadata: Metadata, orientation: int) -> Metadata:
    """The metadata of the picture once it is turned: orientation 1, no thumbnail, what has axes along the new ones.

    Args:
        metadata: as stored.
        orientation: the EXIF orientation that it was stored with, 1 to 8.
    """
    metadata = replace(metadata, exif=upright_exif(metadata.exif))
    if orientation == 1:
        return metadata
    segments = tuple(_upright_xmp(segment) for segment in metadata.segments)
    xmp = None if metadata.xmp is None else _upright_xmp(metadata.xmp)
    metadata = replace(metadata, xmp=xmp, segments=segments, stack=None)
    if orientation < 5:
        return metadata
    resolution = metadata.resolution
    return replace(
        metadata,
        resolution=resolution and Resolution(resolution.y, resolution.x, resolution.unit),
        tables=tuple(tuple(table[8 * j + i] for i in range(8) for j in range(8)) for table in metadata.tables),
        sampling=metadata.sampling[::-1],
    )


def cut_metadata(metadata: Metadata, place: tuple[int, int]) -> Metadata:
    """The metadata of a part whose first pixel was in this row and column: places on earth and sky move with it.

    Source: OGC 19-008, 7.4 (ModelTiepoint, ModelTransformation).
    """
    if place == (0, 0):
        return metadata
    if metadata.unit is not None:
        metadata = replace(metadata, unit=replace(metadata.unit, cards=_moved_cards(metadata.unit.cards, place)))
    tags = tuple((tag, kind, _moved(tag, kind, value, place)) for tag, kind, value in metadata.tags)
    return replace(metadata, tags=tags)


def _moved_cards(cards: bytes, place: tuple[int, int]) -> bytes:
    """FITS cards with the reference pixels of their axes moved along (FITS standard 4.0, 8.1: CRPIXja)."""
    moved = [cards[at : at + 80] for at in range(0, len(cards), 80)]
    for index, card in enumerate(moved):
        found = _REFERENCE.match(card)
        if found is not None:
            value = float(found[3].replace(b"D", b"E")) - place[2 - int(found[2])]
            moved[index] = (found[1] + f"{value!r:>20}".encode() + card[found.end(3) :].rstrip()).ljust(80)[:80]
    return b"".join(moved)


def _moved(tag: int, kind: int, value: bytes, place: tuple[int, int]) -> bytes:
    top, left = place
    if kind != _DOUBLE or tag not in (_TIEPOINTS, _TRANSFORMATION):
        return value
    numbers = [*struct.unpack(f"<{len(value) // 8}d", value)]
    if tag == _TIEPOINTS:
        for at in range(0, len(numbers) - 5, 6):
            numbers[at] -= left
            numbers[at + 1] -= top
    elif len(numbers) == 16:
        for row in range(0, 12, 4):
            numbers[row + 3] += numbers[row] * left + numbers[row + 1] * top
    return struct.pack(f"<{len(numbers)}d", *numbers)


def _upright_xmp(data: bytes) -> bytes:
    return _XMP_ORIENTATION.sub(rb"\g<1>1", data)
