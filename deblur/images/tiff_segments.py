"""Decode the strips and tiles of a TIFF page that tifffile alone cannot: LZW, and the floating-point predictor.

libtiff inside Pillow knows every compression but few kinds of pixels. So the compressed strips are handed to it as a
gray picture of bytes, one byte a pixel, without predictor, in a small TIFF file built for the purpose; the bytes that
come back are put together to samples here.

Source: TIFF 6.0, sections 13 (LZW) and 14 (predictor); Adobe Photoshop TIFF Technical Note 3 (floating point).
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from deblur.images.stored import Array
from deblur.images.through_pillow import open_pillow

__all__ = ["decode_page"]

_HORIZONTAL, _FLOATING_POINT = 2, 3


def decode_page(data: bytes, page: Any) -> Array:
    """The samples (H, W, S) of a tifffile page whose samples are whole bytes, in the machine's byte order."""
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    samples = page.samplesperpixel // planes
    segments = len(page.dataoffsets) // planes
    decoded = []
    for plane in range(planes):
        part = slice(plane * segments, (plane + 1) * segments)
        strips = [
            data[at : at + size] for at, size in zip(page.dataoffsets[part], page.databytecounts[part], strict=True)
        ]
        decoded.append(_decode_plane(strips, page, samples))
    return decoded[0] if planes == 1 else np.concatenate(decoded, axis=2)


def _decode_plane(strips: list[bytes], page: Any, samples: int) -> Array:
    height, width = page.imagelength, page.imagewidth
    pixel = samples * page.dtype.itemsize
    across = page.tilewidth if page.is_tiled else width
    padded = -(-width // across) * across  # a tile at the border is stored whole
    raw = _bytes_of(strips, page, padded * pixel, height, across * pixel)
    out = np.empty((height, width, samples), page.dtype.newbyteorder("="))
    for left in range(0, width, across):
        right = min(left + across, width)
        tile = raw[:, left * pixel : (left + across) * pixel]
        out[:, left:right] = _samples(tile, page, samples)[:, : right - left]
    return out


def _samples(raw: Array, page: Any, samples: int) -> Array:
    """Undo the predictor of rows of bytes."""
    rows, size = len(raw), page.dtype.itemsize
    if page.predictor == _FLOATING_POINT:
        # Differences of bytes `samples` apart; the bytes of a row are sorted: all the highest ones first.
        summed = np.cumsum(raw.reshape(rows, -1, samples), axis=1, dtype=np.uint8)
        sorted_bytes = summed.reshape(rows, size, -1).swapaxes(1, 2)
        floats: Array = np.ascontiguousarray(sorted_bytes).view(page.dtype.newbyteorder(">"))
        return floats.reshape(rows, -1, samples)
    whole = np.ascontiguousarray(raw).view(np.dtype(f"{page.parent.byteorder}u{size}"))
    whole = whole.astype(whole.dtype.newbyteorder("=")).reshape(rows, -1, samples)
    if page.predictor == _HORIZONTAL:
        np.cumsum(whole, axis=1, dtype=whole.dtype, out=whole)
    samples_of_rows: Array = whole.view(page.dtype.newbyteorder("="))
    return samples_of_rows


def _bytes_of(strips: list[bytes], page: Any, width: int, height: int, tile_width: int) -> Array:
    """Decompress strips or tiles of bytes (height, width) through a gray TIFF made of them."""
    if page.is_tiled:
        layout = [(322, tile_width), (323, page.tilelength)]
        offsets_tag, counts_tag = 324, 325
    else:
        layout = [(278, page.rowsperstrip)]
        offsets_tag, counts_tag = 273, 279
    count = len(strips)
    entries = {256: width, 257: height, 258: 8, 259: int(page.compression), 262: 1, 277: 1, **dict(layout)}
    directory = 2 + 12 * (len(entries) + 2) + 4
    tables = 8 + directory
    start = tables + 8 * count
    sizes = [len(strip) for strip in strips]
    offsets = [start + sum_before for sum_before in np.cumsum([0, *sizes[:-1]]).tolist()]
    fields = [(tag, 4, 1, value) for tag, value in entries.items()]
    fields += [
        (offsets_tag, 4, count, tables if count > 1 else offsets[0]),
        (counts_tag, 4, count, tables + 4 * count if count > 1 else sizes[0]),
    ]
    header = struct.pack("<2sHIH", b"II", 42, 8, len(fields))
    header += b"".join(struct.pack("<HHII", *field) for field in sorted(fields)) + struct.pack("<I", 0)
    header += struct.pack(f"<{count}I", *offsets) + struct.pack(f"<{count}I", *sizes)
    with open_pillow(b"".join([header, *strips]), "TIFF") as image:
        return np.asarray(image)
