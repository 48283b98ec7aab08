"""JPEG: 8 bits, gray or RGB, lossy."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np

from deblur.coding import BLOCK, Coding
from deblur.images.exif import sized_exif
from deblur.images.stored import Stored
from deblur.images.through_pillow import open_pillow, pillow_image, stored_of

__all__ = ["matches", "read", "write"]

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")

_QUALITY = 95
_FULL_COLOUR = 90  # from this quality on colour is stored at full size (4:4:4), below at half (4:2:0)
_MOST_EXIF = 65533 - 6


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
        return [stored]


def write(file: BinaryIO, pages: list[Stored], quality: int | None) -> None:
    """Write one 8-bit picture; quality 1 to 100, by default 95.

    An EXIF block above the 64 KiB that a JPEG segment holds is left out.
    """
    (page,) = pages
    quality = _QUALITY if quality is None else quality
    options: dict[str, Any] = {"quality": quality, "subsampling": "4:4:4" if quality >= _FULL_COLOUR else "4:2:0"}
    metadata = page.metadata
    exif = sized_exif(metadata.exif, page.array.shape[1], page.array.shape[0])
    if exif is not None and len(exif) <= _MOST_EXIF:
        options["exif"] = b"Exif\0\0" + exif
    if metadata.icc is not None:
        options["icc_profile"] = metadata.icc
    if metadata.resolution is not None and (density := metadata.resolution.per("inch")):
        options["dpi"] = tuple(min(max(round(value), 1), 65535) for value in density)
    pillow_image(page).save(file, "JPEG", **options)


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
