"""The tags of a TIFF beside its picture: texts, EXIF, XMP, GeoTIFF and other private ones, and what a stack is made of.

Source: TIFF 6.0; OGC 19-008 (GeoTIFF); Adobe, XMP specification part 3, 1.1.2 (TIFF); OME-TIFF specification.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

import tifffile

from deblur.images.exif import sized_exif
from deblur.images.ifd import EXIF, GPS, Directory, Entry, read_directory, write_directory
from deblur.images.stored import Metadata, Stack, Stored

__all__ = ["add_directories", "described", "extra_tags", "still_stack", "tags_of"]

_DESCRIPTION, _XMP, _PHOTOSHOP, _ICC = 270, 700, 34377, 34675
_TEXTS = (_DESCRIPTION, 269, 271, 272, 285, 305, 306, 315, 316, 33432)
"""Description, document, maker, model, page, software, date, artist, computer, copyright."""

_PRIVATE = 32768
"""The first of the tags that programs add."""

_IMAGEJ = (50838, 50839)
_NOT_KEPT = (
    *(_ICC, EXIF, GPS, _PHOTOSHOP, *_IMAGEJ, 37724),  # kept in another way; Photoshop's layers, which are blurred still
    *(32953, 32954, 32955, 32956, 32995, 32996, 32997, 32998, 33421, 33422, 34016, 34017, 34018, 34019, 34020, 34022),
    *range(34024, 34031),  # these and those above: how samples lie in the file
    *range(50706, 50780),  # of a digital negative
)

_PLACEHOLDERS = {EXIF: EXIF - 1, GPS: GPS - 1}  # unused tags that sort alike: tifffile writes no directory tags


def tags_of(data: bytes, tif: tifffile.TiffFile, page: tifffile.TiffPage, *, description: bool) -> dict[str, Any]:
    """The fields of `Metadata` that a page's tags hold: exif, xmp, photoshop, tags.

    Args:
        data: the bytes of the file.
        tif: the open file.
        page: one of its pages.
        description: whether its description is one for people.
    """
    found = read_directory(data, page.offset, tif.byteorder, big=tif.is_bigtiff)
    wanted = [tag for tag in (*_TEXTS, EXIF, GPS) if tag in found and (tag != _DESCRIPTION or description)]
    exif = b"II*\0\x08\0\0\0" + write_directory({tag: found[tag] for tag in wanted}, 8) if wanted else None
    plain = {tag: entry for tag, entry in found.items() if isinstance(entry, Entry)}
    return {
        "exif": exif,
        "icc": bytes(page.tags[_ICC].value) if _ICC in page.tags else None,
        "xmp": plain[_XMP].value if _XMP in plain else None,
        "photoshop": plain[_PHOTOSHOP].value if _PHOTOSHOP in plain else None,
        "tags": tuple(
            (tag, entry.kind, entry.value) for tag, entry in plain.items() if tag >= _PRIVATE and tag not in _NOT_KEPT
        ),
    }


def described(data: bytes, tif: tifffile.TiffFile, pages: list[tifffile.TiffPage]) -> Stack | None:
    """What ImageJ or OME say of the pages, where each of the file's pages is one of them; None elsewhere."""
    first = pages[0]
    if not (tif.is_imagej or tif.is_ome) or len(pages) != len(tif.pages) or first.dtype is None:
        return None
    found = read_directory(data, first.offset, tif.byteorder, big=tif.is_bigtiff)
    text = found.get(_DESCRIPTION)
    own = [(tag, entry) for tag, entry in found.items() if tag in _IMAGEJ and isinstance(entry, Entry)]
    return Stack(
        description=text.value.rstrip(b"\0") if isinstance(text, Entry) else b"",
        pages=len(pages),
        shape=(first.imagelength, first.imagewidth),
        dtype=first.dtype.name,
        tags=tuple((tag, entry.kind, entry.value) for tag, entry in own) if tif.byteorder == "<" else (),
    )


def still_stack(stack: Stack | None, pages: Sequence[tuple[int, int, str]]) -> Stack | None:
    """What is said of a stack, if these pages (height, width, sample type) are those that it speaks of; or None."""
    if stack is None or len(pages) != stack.pages:
        return None
    return stack if all(page == (*stack.shape, stack.dtype) for page in pages) else None


def extra_tags(metadata: Metadata, stack: Stack | None) -> tuple[bytes | None, list[Any]]:
    """The description of a page, and the other tags of it as tifffile takes them.

    Args:
        metadata: of the page.
        stack: what is said of all pages, for the first one.
    """
    held = _directory_of(metadata.exif)
    texts = {tag: entry.value.rstrip(b"\0") for tag in _TEXTS if isinstance(entry := held.get(tag), Entry)}
    description = texts.pop(_DESCRIPTION, None) if stack is None else stack.description
    extra: list[Any] = [(tag, 2, 0, value, True) for tag, value in texts.items() if tag != _DESCRIPTION]
    extra += [(_PLACEHOLDERS[tag], 4, 1, 0, True) for tag in (EXIF, GPS) if tag in held]
    packets = ((_XMP, 1, metadata.xmp), (_PHOTOSHOP, 7, metadata.photoshop))
    private = (*metadata.tags, *(() if stack is None else stack.tags))
    for tag, kind, value in (*((tag, kind, value) for tag, kind, value in packets if value is not None), *private):
        extra.append((tag, kind, len(value), value, True))
    return description, extra


def add_directories(file: BinaryIO, start: int, pages: list[Stored]) -> None:
    """Put each page's EXIF and GPS directories behind the pixels and their tags in place of the placeholders."""
    file.seek(start)
    with tifffile.TiffFile(file) as written:
        places = [
            {tag: where.tags[held].offset for tag, held in _PLACEHOLDERS.items() if held in where.tags}
            for where in (page.aspage() for page in written.pages)
        ]
    for page, tags in zip(pages, places, strict=True):
        height, width = page.array.shape[:2]
        found = _directory_of(sized_exif(page.metadata.exif, width, height))
        for tag, at in tags.items():
            end = file.seek(0, io.SEEK_END)
            end += file.write(b"\0" * (end % 2))
            nested = found[tag]
            file.write(write_directory(nested if isinstance(nested, dict) else {}, end))
            file.seek(at)
            file.write(struct.pack("<HHII", tag, 4, 1, end))
    file.seek(0, io.SEEK_END)


def _directory_of(exif: bytes | None) -> Directory:
    if exif is None:
        return {}
    order = "<" if exif[:2] == b"II" else ">"
    return read_directory(exif, struct.unpack_from(order + "I", exif, 4)[0], order)
