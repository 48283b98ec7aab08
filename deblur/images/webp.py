"""WebP: 8 bits, RGB with or without alpha, lossy or lossless."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np

from deblur.errors import FileError
from deblur.images.exif import sized_exif
from deblur.images.stored import Stored
from deblur.images.through_pillow import open_pillow, pillow_image, stored_of

__all__ = ["matches", "read", "write"]

SUFFIXES = (".webp",)
HOLDS = ("exif", "icc", "xmp")
LARGEST = 16383

_QUALITY = 95


def matches(data: bytes, name: str) -> bool:
    """Whether a file is a WebP, by its first bytes."""
    return data.startswith(b"RIFF") and data[8:12] == b"WEBP"


def read(data: bytes) -> list[Stored]:
    """Read one picture; an animation is refused."""
    if int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise ValueError("it ends too early")
    with open_pillow(data, "WEBP") as image:
        if getattr(image, "n_frames", 1) > 1:
            raise FileError("expected one picture, got an animation; export the frame you want")
        return [stored_of(image, lossless=_is_lossless(data))]


def write(file: BinaryIO, pages: list[Stored], quality: int | None) -> None:
    """Write one 8-bit picture; quality 1 to 99, 100 is lossless.

    Without a quality a picture from a lossless file stays lossless, and any other gets 95. Gray is written as RGB and
    a resolution is lost: WebP knows neither.
    """
    (page,) = pages
    if page.array.ndim == 2:
        page = Stored(array=np.stack([page.array] * 3, axis=2), alpha=page.alpha, metadata=page.metadata)
    lossless = quality == 100 or (quality is None and page.metadata.lossless)
    options: dict[str, Any] = {"lossless": lossless, "exact": True, "method": 4}
    options["quality"] = 75 if lossless else _QUALITY if quality is None else quality  # lossless: the effort
    exif = sized_exif(page.metadata.exif, page.array.shape[1], page.array.shape[0])
    if exif is not None:
        options["exif"] = exif
    if page.metadata.xmp is not None:
        options["xmp"] = page.metadata.xmp
    if page.metadata.icc is not None:
        options["icc_profile"] = page.metadata.icc
    pillow_image(page).save(file, "WEBP", **options)


def _is_lossless(data: bytes) -> bool:
    """Whether the picture is in a VP8L chunk: chunks follow the 12-byte header, padded to an even length."""
    position = 12
    while position + 8 <= len(data):
        kind = data[position : position + 4]
        if kind in (b"VP8L", b"VP8 "):
            return kind == b"VP8L"
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8 + length + length % 2
    return False
