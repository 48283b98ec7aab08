"""The segments of a JPEG beside its picture: XMP, IPTC, comments and what programs add, kept byte for byte.

Source: ITU-T T.81, annex B (markers); Adobe, XMP specification part 3, 1.1.3 (JPEG); Adobe, Photoshop file formats.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from deblur.images.stored import Metadata

__all__ = ["ROOM", "segments_of", "with_segments"]

_LONGEST = 65533  # bytes of one segment
_APP1, _APP13, _COMMENT, _SCAN = 0xE1, 0xED, 0xFE, 0xDA
_XMP, _PHOTOSHOP = b"http://ns.adobe.com/xap/1.0/\0", b"Photoshop 3.0\0"
ROOM = {"exif": _LONGEST - len(b"Exif\0\0"), "xmp": _LONGEST - len(_XMP), "comment": _LONGEST}
"""Bytes at most of what one segment has to hold, by the fields of `Metadata`."""

_OTHERS = ((0xE0, b""), (0xE1, b"Exif\0"), (0xE2, b"ICC_PROFILE\0"), (0xE2, b"MPF\0"), (0xEE, b"Adobe"))
"""Segments that are written anew, or speak of what is not written: JFIF, EXIF, profile, more pictures, colour."""


def with_segments(metadata: Metadata, data: bytes) -> Metadata:
    """The metadata with what the segments of a JPEG add.

    Args:
        metadata: of the picture.
        data: the bytes of the file.
    """
    found = [(marker, content) for marker, content in _segments(data) if not _other(marker, content)]
    xmp = b"".join(content[len(_XMP) :] for marker, content in found if marker == _APP1 and content.startswith(_XMP))
    photoshop = b"".join(
        content[len(_PHOTOSHOP) :] for marker, content in found if marker == _APP13 and content.startswith(_PHOTOSHOP)
    )
    comment = next((content for marker, content in found if marker == _COMMENT), None)
    return replace(
        metadata,
        xmp=xmp or None,
        photoshop=photoshop or None,
        comment=comment,
        segments=tuple(_segment(marker, content) for marker, content in found),
    )


def segments_of(metadata: Metadata) -> bytes:
    """The segments to be written: those of the JPEG that was read, or those made of what another format held."""
    if metadata.segments:
        return b"".join(metadata.segments)
    made = []
    if metadata.xmp is not None and len(metadata.xmp) <= ROOM["xmp"]:
        made.append(_segment(_APP1, _XMP + metadata.xmp))
    room = _LONGEST - len(_PHOTOSHOP)
    for start in range(0, len(metadata.photoshop or b""), room):
        made.append(_segment(_APP13, _PHOTOSHOP + (metadata.photoshop or b"")[start : start + room]))
    if metadata.comment is not None and len(metadata.comment) <= ROOM["comment"]:
        made.append(_segment(_COMMENT, metadata.comment))
    return b"".join(made)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The application segments and comments before the first scan: marker and content."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        if marker == _SCAN or length < 2:
            return
        if 0xE0 <= marker <= 0xEF or marker == _COMMENT:
            yield marker, data[position + 4 : position + 2 + length]
        position += 2 + length


def _other(marker: int, content: bytes) -> bool:
    return any(marker == known and content.startswith(start) for known, start in _OTHERS)


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
