"""BMP: 8 bits, gray or RGB, with or without alpha; no metadata but the resolution."""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

import cv2

from deblur.images.stored import Stored
from deblur.images.through_pillow import open_pillow, pillow_image, stored_of

__all__ = ["matches", "read", "write"]

SUFFIXES = (".bmp", ".dib")
HOLDS = ("resolution",)

_RESOLUTION_AT = 38  # bytes into the file: pixels per metre across and down, little-endian


def matches(data: bytes, name: str) -> bool:
    """Whether a file is a BMP, by its first bytes and by being longer than its shortest header."""
    return data.startswith(b"BM") and len(data) >= 26


def read(data: bytes) -> list[Stored]:
    """Read one picture; palettes and depths below 8 bits become 8 bits."""
    with open_pillow(data, "BMP") as image:
        return [stored_of(image, lossless=True)]


def write(file: BinaryIO, pages: list[Stored], quality: int | None) -> None:
    """Write one 8-bit picture; `quality` is not used."""
    (page,) = pages
    if page.alpha is None:
        buffer = io.BytesIO()
        pillow_image(page).save(buffer, "BMP")
        encoded = bytearray(buffer.getbuffer())
    else:  # Pillow's 32-bit BMP does not say which byte is alpha
        samples = page.samples()
        colour = samples[..., [0, 0, 0, 1]] if samples.shape[2] == 2 else samples[..., [2, 1, 0, 3]]
        encoded = bytearray(cv2.imencode(".bmp", colour)[1].tobytes())
    resolution = page.metadata.resolution
    across, down = (resolution and resolution.per("metre")) or (0, 0)
    struct.pack_into("<ii", encoded, _RESOLUTION_AT, round(across), round(down))
    file.write(encoded)
