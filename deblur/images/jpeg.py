"""JPEG: 8 bits, gray or RGB, lossy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np

from deblur.coding import BLOCK, Coding
from deblur.images.exif import sized_exif
from deblur.images.jpeg_segments import ROOM, segments_of, with_segments
from deblur.images.stored import Metadata, Stored
from deblur.images.through_pillow import open_pillow, pillow_image, stored_of

__all__ = ["ROOM", "matches", "read", "write"]

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
HOLDS = ("exif", "icc", "resolution", "xmp", "photoshop", "comment")
LARGEST = 65500  # libjpeg's own limit, below that of the format

_QUALITY = 95
_FULL_COLOUR = 90  # from this quality on colour is stored at full size (4:4:4), below at half (4:2:0)


def matches(data: bytes, name: str) -> bool:
    """Whether a file is a JPEG, by its first bytes."""
    return data.startswith(b"\xff\xd8\xff")


def read(data: bytes) -> list[Stored]:
    """Read one picture; of a file that holds several (a phone's gain map or second view) the main one."""
    with open_pillow(data, "JPEG") as image:
        count = getattr(image, "n_frames", 1)
        more = (f"the file holds {count - 1} more pictures (a gain map or preview), which are left out",)
        stored = stored_of(image, lossless=False, notes=more if count > 1 else ())
        stored.coding = _coding(image)
        stored.metadata = with_segments(_quantised(stored.metadata, stored.coding), data)
        return [stored]


def write(file: BinaryIO, pages: list[Stored], quality: int | None) -> None:
    """Write one 8-bit picture; quality 1 to 100, by default that of the JPEG that was read, by its tables, or else 95.

    An EXIF block above the 64 KiB that a JPEG segment holds is left out.
    """
    (page,) = pages
    metadata = page.metadata
    options = _options(page) if quality is None else _options_of(quality)
    if segments := segments_of(metadata):
        options["extra"] = segments
    exif = sized_exif(metadata.exif, page.array.shape[1], page.array.shape[0])
    if exif is not None and len(exif) <= ROOM["exif"]:
        options["exif"] = b"Exif\0\0" + exif
    if metadata.icc is not None:
        options["icc_profile"] = metadata.icc
    if metadata.resolution is not None and (density := metadata.resolution.per("inch")):
        options["dpi"] = tuple(min(max(round(value), 1), 65535) for value in density)
    pillow_image(page).save(file, "JPEG", **options)


def _options_of(quality: int) -> dict[str, Any]:
    return {"quality": quality, "subsampling": "4:4:4" if quality >= _FULL_COLOUR else "4:2:0"}


def _options(page: Stored) -> dict[str, Any]:
    """Pillow's options for the tables and the subsampling of the JPEG that was read, if one was."""
    tables = [*page.metadata.tables[: 1 if page.array.ndim == 2 else 3]]
    if not tables or any(not 1 <= value <= 255 for table in tables for value in table):
        return _options_of(_QUALITY)
    while len(tables) > 1 and tables[-1] == tables[-2]:  # the last one serves for all components that follow
        tables.pop()
    sampling = {(1, 1): "4:4:4", (1, 2): "4:2:2", (2, 2): "4:2:0"}.get(page.metadata.sampling, "4:4:4")
    return {"qtables": [list(table) for table in tables], "subsampling": sampling}


def _quantised(metadata: Metadata, coding: Coding | None) -> Metadata:
    """The metadata with the tables that a file was coded by."""
    if coding is None:
        return metadata
    tables = tuple(tuple(int(value) for value in table.flat) for table in coding.tables)
    return replace(metadata, tables=tables, sampling=coding.subsampling)


def _coding(image: Any) -> Coding | None:
    """The tables and sampling factors in the file's header, or None where they do not mean what `Coding` says."""
    if any(table not in image.quantization for *_, table in image.layer) or _holds_rgb(image):
        return None
    tables = np.stack([np.reshape(image.quantization[table], (BLOCK, BLOCK)) for *_, table in image.layer])
    if len(image.layer) == 1:  # the blocks of a single component lie side by side whatever its factors are
        return Coding(format="JPEG", tables=tables)
    (_, across, down, _), *colours = image.layer
    shares = {(down / rows, across / columns) for _, columns, rows, _ in colours}
    rows, columns = shares.pop()
    if shares or rows % 1 or columns % 1:  # Cb unlike Cr, or denser than Y: allowed, and written by nobody
        return None
    return Coding(format="JPEG", tables=tables, subsampling=(int(rows), int(columns)))


def _holds_rgb(image: Any) -> bool:
    """Whether the components are red, green and blue, by libjpeg's rules."""
    if "jfif" in image.info:
        return False
    if "adobe_transform" in image.info:
        return bool(image.info["adobe_transform"] == 0)
    return [component for component, *_ in image.layer] == list(b"RGB")
