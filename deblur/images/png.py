"""PNG, 8 and 16 bit, gray and RGB, with and without alpha.

Reading goes through OpenCV where a sample has 16 bits and through Pillow below. Writing is done here, because neither
of them writes 16-bit gray with alpha or keeps all of profile, EXIF and resolution: rows are filtered and compressed in
bands, so that a large picture needs no second copy.

Source: W3C, Portable Network Graphics (Third Edition): chunks (11), filters (9).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import cv2
import numpy as np

from deblur.errors import FileError
from deblur.images.claims import check_claim
from deblur.images.exif import exif_orientation, strip_exif_header
from deblur.images.stored import Array, Metadata, Resolution, Stored
from deblur.images.through_pillow import open_pillow, samples_of

__all__ = ["matches", "read", "write"]

SUFFIXES = (".png",)
HOLDS = ("exif", "icc", "resolution", "xmp", "comment", "texts")

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> colour type
_COLOUR_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"cICP")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_XMP = b"XML:com.adobe.xmp\0\0\0\0\0"  # of an iTXt chunk: its keyword, not compressed, no language
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_BAND_BYTES = 1 << 22


def matches(data: bytes, name: str) -> bool:
    """Whether a file is a PNG, by its first bytes."""
    return data.startswith(_SIGNATURE)


def read(data: bytes) -> list[Stored]:
    """Read one picture; palettes and depths below 8 bits become 8 bits, a transparent colour becomes alpha."""
    chunks = list(_chunks(data))
    header = chunks[0][1]
    width, height, depth, colour_type = struct.unpack_from(">IIBB", header)
    if width == 0 or height == 0:
        raise ValueError("its size is zero")
    check_claim(width, height, len(data))
    _check_rows(chunks)
    texts = {kind: bytes(content) for kind, content in chunks if kind not in (b"IDAT", b"fdAT")}
    if b"acTL" in texts and struct.unpack_from(">I", texts[b"acTL"])[0] > 1:
        raise FileError("expected one picture, got an animation; export the frame you want")
    spoken = [bytes(content) for kind, content in chunks if kind == b"iTXt"]
    exif = strip_exif_header(texts.get(b"eXIf"))
    metadata = Metadata(
        exif=exif,
        icc=_profile(texts.get(b"iCCP")),
        resolution=_resolution(texts.get(b"pHYs")),
        png=tuple((kind, texts[kind]) for kind in _COLOUR_CHUNKS if kind in texts),
        lossless=True,
        xmp=next((content.removeprefix(_XMP) for content in spoken if content.startswith(_XMP)), None),
        texts=tuple(
            (kind, bytes(content)) for kind, content in chunks if kind in _TEXTS and not bytes(content).startswith(_XMP)
        ),
    )
    if depth == 16:
        samples = _read_16_bit(data, colour_type, texts.get(b"tRNS"))
    else:
        with open_pillow(data, "PNG") as image:
            samples = samples_of(image)
    return [Stored.from_samples(samples, metadata=metadata, orientation=exif_orientation(exif))]


def write(file: BinaryIO, pages: list[Stored], quality: int | None) -> None:
    """Write one picture of 8 or 16 bits; `quality` is not used."""
    (page,) = pages
    array, alpha, metadata = page.array, page.alpha, page.metadata
    channels = (1 if array.ndim == 2 else array.shape[2]) + (alpha is not None)
    depth = 8 * array.dtype.itemsize
    file.write(_SIGNATURE)
    header = struct.pack(">IIBB3x", array.shape[1], array.shape[0], depth, _COLOUR_TYPES[channels])
    _put(file, b"IHDR", header)
    for kind, content in metadata.png:
        if metadata.icc is None or kind != b"sRGB":  # a file has one of the two
            _put(file, kind, content)
    if metadata.icc is not None:
        _put(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc))
    if metadata.resolution is not None:
        per_metre = metadata.resolution.per("metre")
        x, y = per_metre or (metadata.resolution.x, metadata.resolution.y)
        _put(file, b"pHYs", struct.pack(">IIB", round(x), round(y), per_metre is not None))
    if metadata.exif is not None:
        _put(file, b"eXIf", metadata.exif)
    if metadata.xmp is not None:
        _put(file, b"iTXt", _XMP + metadata.xmp)
    for kind, content in metadata.texts:
        _put(file, kind, content)
    if metadata.comment is not None:
        _put(file, *_comment(metadata.comment))
    # Runs only: filtered photographs repeat nothing else, and the search for more costs three times the time.
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_RLE)
    for band in _filtered(array, alpha):
        if piece := packer.compress(band):
            _put(file, b"IDAT", piece)
    _put(file, b"IDAT", packer.flush())
    _put(file, b"IEND", b"")


def _comment(text: bytes) -> tuple[bytes, bytes]:
    """A comment as a chunk: Latin-1 in a tEXt, else UTF-8 in an iTXt."""
    try:
        return b"iTXt", b"Comment\0\0\0\0\0" + text.decode("utf-8").encode("utf-8")
    except UnicodeDecodeError:
        return b"tEXt", b"Comment\0" + text.replace(b"\0", b"")


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The chunks up to IEND, their checksums tested: the decoders would fill a cut-off picture up with black."""
    view, position, kind = memoryview(data), len(_SIGNATURE), b""
    while kind != b"IEND":
        if position + 12 > len(data):
            raise ValueError("it ends too early")
        (length,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        content = view[position + 8 : position + 8 + length]
        end = position + 12 + length
        if end > len(data):
            raise ValueError("it ends too early")
        if zlib.crc32(content, zlib.crc32(kind)) != struct.unpack_from(">I", data, end - 4)[0]:
            raise ValueError("a checksum is wrong")
        if (position == len(_SIGNATURE)) != (kind == b"IHDR"):
            raise ValueError("its chunks are out of order")
        yield kind, content
        position = end


def _check_rows(chunks: list[tuple[bytes, memoryview]]) -> None:
    """Unpack all rows once and count: a stream that ends well but early would leave the rest of the picture black."""
    width, height, depth, colour_type, _, _, interlaced = struct.unpack_from(">IIBBBBB", chunks[0][1])
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    expected = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        expected += max(rows, 0) * (1 + (columns * bits + 7) // 8) if columns > 0 else 0
    unpacker, found = zlib.decompressobj(), 0
    for kind, content in chunks:
        if kind != b"IDAT":
            continue
        rest: bytes | memoryview = content
        while rest and not unpacker.eof:
            found += len(unpacker.decompress(rest, _BAND_BYTES))
            rest = unpacker.unconsumed_tail
    if found + len(unpacker.flush()) < expected:
        raise ValueError("some of its rows are missing")


def _read_16_bit(data: bytes, colour_type: int, transparent: bytes | None) -> Array:
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16:
        raise ValueError("its pixels cannot be decoded")
    if colour_type == 4:  # OpenCV expands gray and alpha to BGRA
        return decoded[..., [0, -1]]
    if decoded.ndim == 3:
        decoded = cv2.cvtColor(
            decoded, cv2.COLOR_BGRA2RGBA if decoded.shape[2] == 4 else cv2.COLOR_BGR2RGB, dst=decoded
        )
    if colour_type == 6 or transparent is None:
        return decoded
    colour = decoded[..., None] if decoded.ndim == 2 else decoded[..., :3]
    key = np.frombuffer(transparent[: 2 * colour.shape[2]], ">u2").astype(np.uint16)
    alpha = (colour != key).any(axis=2, keepdims=True) * np.uint16(65535)
    return np.concatenate([colour, alpha], axis=2)


def _profile(content: bytes | None) -> bytes | None:
    """iCCP: a name, a zero, the method (0), the compressed profile. A broken profile counts as none."""
    if content is None:
        return None
    try:
        return zlib.decompress(content[content.index(b"\0") + 2 :])
    except (ValueError, zlib.error):
        return None


def _resolution(content: bytes | None) -> Resolution | None:
    if content is None or len(content) != 9:
        return None
    x, y, unit = struct.unpack(">IIB", content)
    return Resolution(x, y, "metre" if unit == 1 else "none") if x and y else None


def _put(file: BinaryIO, kind: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + kind)
    file.write(content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))


def _filtered(array: Array, alpha: Array | None) -> Iterator[bytes]:
    """Rows of big-endian samples, each behind the number of the filter that leaves the smallest differences.

    Of the five filters three are tried: 1 takes the left pixel away, 2 the one above, 3 the mean of both.
    """
    height, width = array.shape[:2]
    channels = (1 if array.ndim == 2 else array.shape[2]) + (alpha is not None)
    pixel = channels * array.dtype.itemsize
    rows = max(1, _BAND_BYTES // (width * pixel))
    above = np.zeros((1, width * pixel), np.uint8)
    for start in range(0, height, rows):
        band = Stored(array=array[start : start + rows], alpha=None if alpha is None else alpha[start : start + rows])
        samples = np.ascontiguousarray(band.samples(), dtype=array.dtype.newbyteorder(">"))
        plain = samples.reshape(len(samples), -1).view(np.uint8)
        up = np.concatenate([above, plain[:-1]])
        left = np.zeros_like(plain)
        left[:, pixel:] = plain[:, :-pixel]
        mean = (up & left) + ((up ^ left) >> 1)  # floor of the mean without a ninth bit
        best, cost = np.empty((len(plain), 1 + plain.shape[1]), np.uint8), np.full(len(plain), np.inf)
        for number, prediction in ((1, left), (2, up), (3, mean)):
            difference = plain - prediction
            size = np.abs(difference.view(np.int8)).view(np.uint8).sum(axis=1, dtype=np.int64)
            better = size < cost
            best[better, 0], best[better, 1:], cost[better] = number, difference[better], size[better]
        above = plain[-1:]
        yield best.tobytes()
