"""Picture files built byte by byte, so that every field of their headers can be set to anything."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["bmp_fields", "jpeg_fields", "png", "png_fields", "sample", "segments", "tiff", "tiff_fields", "webp_fields"]

SIDES = (0, 1, 7, 255, 65535, 65536, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
HEIGHT, WIDTH = 36, 40


@cache
def pixels(channels: int = 3) -> np.ndarray[Any, Any]:
    """A small picture with edges and a little noise."""
    random = np.random.default_rng(5)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    plane = 60 + 90 * ((rows // 9 + columns // 7) % 2) + random.normal(0, 4, (HEIGHT, WIDTH))
    stack = np.stack([plane + 20 * i for i in range(channels)], axis=2).clip(0, 255).astype(np.uint8)
    return stack[..., 0] if channels == 1 else stack


@cache
def sample(format: str) -> bytes:
    """A good file of a format, by Pillow's name or with a mode after a colon."""
    name, _, mode = format.partition(":")
    file = io.BytesIO()
    options: dict[str, Any] = {"progressive": True} if mode == "progressive" else {}
    image = Image.fromarray(pixels())
    image = image.convert(mode) if mode and mode != "progressive" else image
    if name == "JPEG" and not mode:
        exif = Image.Exif()
        exif[274], exif[271] = 6, "Maker"
        options["exif"] = exif
    if name == "WEBP" and not mode:
        options["lossless"] = True
    image.save(file, name, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes, length: int | None = None) -> bytes:
    """A PNG chunk with a right checksum."""
    size = len(content) if length is None else length
    return struct.pack(">I", size) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    header: tuple[int, ...] = (WIDTH, HEIGHT, 8, 2, 0, 0, 0),
    rows: bytes | None = None,
    before: bytes = b"",
    packed: bytes | None = None,
) -> bytes:
    """A PNG; `before` stands between header and pixels, `packed` in place of the compressed rows."""
    if rows is None:
        rows = b"".join(b"\0" + row.tobytes() for row in pixels())
    data = zlib.compress(rows) if packed is None else packed
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *header))
    return start + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def png_fields() -> Iterator[tuple[str, bytes]]:
    """Every field of the header at its extremes, checksums right, and chunks with nonsense in them."""
    usual = (WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    names = ("width", "height", "depth", "colour", "compression", "filter", "interlace")
    for place, name in enumerate(names):
        for value in SIDES if place < 2 else (0, 1, 2, 3, 4, 5, 6, 7, 16, 255):
            yield f"{name}={value}", png((*usual[:place], value, *usual[place + 1 :]))
    for depth, colour in ((1, 3), (2, 3), (4, 3), (8, 3), (16, 3), (1, 0), (16, 0), (16, 4), (16, 6)):
        header = (WIDTH, HEIGHT, depth, colour, 0, 0, 0)
        row = b"\0" + bytes(range(256)) * 2
        bits = depth * {0: 1, 3: 1, 4: 2, 6: 4}[colour]
        rows = row[: 1 + (WIDTH * bits + 7) // 8] * HEIGHT
        for entries in (None, 0, 1, 2, 256, 257):
            palette = b"" if entries is None else chunk(b"PLTE", bytes(3 * entries))
            yield f"depth={depth} colour={colour} palette={entries}", png(header, rows, palette)
        yield (
            f"depth={depth} colour={colour} tRNS",
            png(header, rows, chunk(b"PLTE", bytes(5)) + chunk(b"tRNS", bytes(9))),
        )
    plain = b"".join(b"\0" + row.tobytes() for row in pixels())
    for value in (5, 127, 255):
        yield f"filter byte={value}", png(rows=bytes([value]) + plain[1:])
    yield "rows missing", png(rows=plain[: len(plain) // 2])
    yield "rows too many", png(rows=plain * 3)
    yield "no zlib", png(packed=b"\x00" * 50)
    yield "zlib cut", png(packed=zlib.compress(plain)[:-9])
    yield "zlib checksum", png(packed=zlib.compress(plain)[:-1] + b"\x99")
    for kind in (
        b"iCCP",
        b"eXIf",
        b"pHYs",
        b"tEXt",
        b"zTXt",
        b"iTXt",
        b"gAMA",
        b"cHRM",
        b"sRGB",
        b"cICP",
        b"tRNS",
        b"acTL",
        b"sBIT",
        b"hIST",
        b"bKGD",
    ):
        for size in (0, 1, 9, 300):
            yield (
                f"{kind.decode()} of {size} bytes",
                png(before=chunk(kind, bytes(range(256)) * 2)[:0] + chunk(kind, (b"II*\0" + bytes(300))[:size])),
            )
    for length in (0, 12, 1 << 31, (1 << 32) - 1):
        yield f"chunk length={length}", png(before=chunk(b"tEXt", b"a\0b", length))
    bomb = zlib.compress(bytes(1 << 24), 9)
    yield "profile that unpacks to 16 MB", png(before=chunk(b"iCCP", b"x\0\0" + bomb))


TAGS: dict[int, tuple[int, ...]] = {
    256: (0, 1, 39, 65536, (1 << 31) - 1, (1 << 32) - 1),
    257: (0, 1, 35, 65536, (1 << 31) - 1, (1 << 32) - 1),
    258: (0, 1, 2, 4, 7, 12, 16, 24, 32, 64, 65535),
    259: (0, 2, 3, 4, 5, 6, 7, 8, 32773, 32809, 34712, 34925, 50000, 65535),
    262: (0, 2, 3, 4, 5, 6, 8, 9, 32803, 34892, 65535),
    273: (0, 8, 1 << 20, (1 << 32) - 1),
    274: (0, 9, 65535),
    277: (0, 2, 3, 4, 5, 255, 65535),
    278: (0, 1, 7, 37, (1 << 32) - 1),
    279: (0, 1, 1439, 1 << 30, (1 << 32) - 1),
    284: (0, 2, 3, 65535),
    317: (0, 2, 3, 4, 65535),
    338: (0, 1, 2, 3, 65535),
    339: (0, 2, 3, 4, 5, 6, 65535),
    322: (0, 1, 16, 65536, (1 << 31) - 1),
    320: (0, 1, 65535),
    254: (1, 2, 4, 65535),
    330: (0, 8, (1 << 32) - 1),
    34665: (0, 8, (1 << 32) - 1),
    34853: (0, 8, (1 << 32) - 1),
    34675: (0, 65535),
    347: (0, 65535),
    32997: (0, 2, 65535),
}


def tiff(changes: Mapping[int, tuple[int, int, int]] | None = None, next_page: int = 0, order: str = "<") -> bytes:
    """A gray TIFF of one strip; `changes` has type, count and value of tags."""
    data = pixels(1).tobytes()
    tags = {256: (4, 1, WIDTH), 257: (4, 1, HEIGHT), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 8)}
    tags |= {277: (3, 1, 1), 278: (4, 1, HEIGHT), 279: (4, 1, len(data))}
    tags |= dict(changes or {})
    at = 8 + len(data)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, at)
    entries = b""
    for tag, (kind, count, value) in sorted(tags.items()):
        short = kind == 3 and count == 1
        packed = struct.pack(
            order + ("HH" if short else "I"), *((value & 65535, 0) if short else (value & 0xFFFFFFFF,))
        )
        entries += struct.pack(order + "HHI", tag, kind & 65535, count & 0xFFFFFFFF) + packed
    return head + data + struct.pack(order + "H", len(tags)) + entries + struct.pack(order + "I", next_page)


def tiff_fields() -> Iterator[tuple[str, bytes]]:
    """Every tag at its extremes: value, type and count."""
    at = 8 + HEIGHT * WIDTH
    for tag, values in TAGS.items():
        kind = 3 if tag in (258, 259, 262, 274, 277, 284, 317, 338, 339, 254) else 4
        for value in values:
            yield f"tag {tag}={value}", tiff({tag: (kind, 1, value)})
        for kind_of, count in (
            (0, 1),
            (2, 1),
            (5, 1),
            (12, 1),
            (16, 1),
            (99, 1),
            (4, 0),
            (4, 2),
            (4, 1 << 28),
            (3, 70000),
        ):
            yield f"tag {tag} type={kind_of} count={count}", tiff({tag: (kind_of, count, values[0])})
    for value in (at, 2, 7, 1 << 30):
        yield f"next page={value}", tiff(next_page=value)
    for order in "<>":
        for offset in (0, 1, 4, 8, 1 << 20, (1 << 32) - 1):
            data = tiff(order=order)
            yield f"directory at {offset} {order}", data[:4] + struct.pack(order + "I", offset) + data[8:]
    yield "directory of 65535 tags", tiff()[:at] + b"\xff\xff" + tiff()[at + 2 :]
    for side in (46, 4096, 65536):
        many = {256: (4, 1, side * 64), 257: (4, 1, side * 64), 278: (4, 1, side * 64), 279: (4, 1, HEIGHT * WIDTH)}
        yield f"{side * 64} pixels a side in a small strip", tiff(many)
    yield "bilevel claims many pixels", tiff({256: (4, 1, 30000), 257: (4, 1, 30000), 258: (3, 1, 1)})
    yield "many pages in a circle", tiff(next_page=at)


def segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Where each marker segment of a JPEG begins, and its marker."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        yield at, data[at + 1]
        if data[at + 1] == 0xDA:
            return
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]


def jpeg_fields() -> Iterator[tuple[str, bytes]]:
    """Every byte of the frame and scan headers, and every length, at its extremes; cut at every marker."""
    for mode in ("JPEG", "JPEG:L", "JPEG:progressive", "JPEG:CMYK"):
        data = sample(mode)
        for at, marker in segments(data):
            yield f"{mode} cut at {marker:02x} {at}", data[:at]
            yield f"{mode} cut after {marker:02x} {at}", data[: at + 4]
            for length in (0, 1, 2, 3, 65535):
                yield (
                    f"{mode} {marker:02x} {at} length={length}",
                    data[: at + 2] + struct.pack(">H", length) + data[at + 4 :],
                )
            if mode != "JPEG:CMYK" and marker in (0xC0, 0xC2, 0xDA):
                size = struct.unpack_from(">H", data, at + 2)[0]
                for place in range(at + 4, at + 2 + size):
                    for value in (0, 1, 17, 255):
                        yield (
                            f"{mode} {marker:02x}[{place - at}]={value}",
                            data[:place] + bytes([value]) + data[place + 1 :],
                        )
            if marker == 0xC0:
                for height, width in ((65535, 65535), (0, 40), (36, 0), (1, 65535)):
                    size_bytes = struct.pack(">HH", height, width)
                    yield f"{mode} claims {width} x {height}", data[: at + 5] + size_bytes + data[at + 9 :]
        for marker in (0x01, 0xC1, 0xC3, 0xC5, 0xC9, 0xCC, 0xD0, 0xD8, 0xD9, 0xDD, 0xE2, 0xED, 0xFE):
            inserted = bytes([0xFF, marker]) + struct.pack(">H", 8) + b"ICC_PR"
            yield f"{mode} with marker {marker:02x}", data[:2] + inserted + data[2:]


def webp_fields() -> Iterator[tuple[str, bytes]]:
    """Sizes of chunks, and the bits of the frame headers."""
    for mode in ("WEBP", "WEBP:RGB", "WEBP:RGBA"):
        data = sample(mode)
        for at in (4, 16):
            for value in (0, 1, 2, 8, len(data), 1 << 24, (1 << 31) - 1, (1 << 32) - 1):
                yield f"{mode} size at {at}={value}", data[:at] + struct.pack("<I", value) + data[at + 4 :]
        for place in range(12, 34):
            for value in (0, 255):
                yield f"{mode} [{place}]={value}", data[:place] + bytes([value]) + data[place + 1 :]


def bmp_fields() -> Iterator[tuple[str, bytes]]:
    """Every field of the header at its extremes."""
    for mode in ("BMP", "BMP:P", "BMP:1"):
        data = sample(mode)
        for at, size in (
            (2, 4),
            (10, 4),
            (14, 4),
            (18, 4),
            (22, 4),
            (26, 2),
            (28, 2),
            (30, 4),
            (34, 4),
            (38, 4),
            (46, 4),
        ):
            for value in (0, 1, 3, 12, 40, 124, 32768, 1 << 16, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1):
                field = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
                yield f"{mode} field at {at}={value}", data[:at] + field + data[at + size :]
