"""ICC profiles made on the spot."""

from __future__ import annotations

import struct

import torch

from deblur.curves import SRGBCurve

SRGB_PARAMETERS = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def curv(*values: int) -> bytes:
    return struct.pack(f">4s4xI{len(values)}H", b"curv", len(values), *values)


def para(kind: int, *parameters: float) -> bytes:
    return struct.pack(f">4s4xHxx{len(parameters)}i", b"para", kind, *(round(p * 65536) for p in parameters))


def profile(curves: dict[str, bytes], name: str = "A profile", version: int = 4) -> bytes:
    """An ICC profile of these tags."""
    if version == 4:
        text = name.encode("utf-16-be")
        description = struct.pack(">4s4xII2s2sII", b"mluc", 1, 12, b"en", b"US", len(text), 28) + text
    else:
        description = struct.pack(">4s4xI", b"desc", len(name) + 1) + name.encode() + bytes(1 + 78)
    tags = {"desc": description, **curves}
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for key, value in tags.items():
        table += struct.pack(">4sII", key.encode(), start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    return struct.pack(">I32x4s88x", start + len(body), b"acsp") + table + body


def rgb(curve: bytes) -> dict[str, bytes]:
    return {"rTRC": curve, "gTRC": curve, "bTRC": curve}


def gamma_table(exponent: float, count: int) -> bytes:
    return curv(*(round((i / (count - 1)) ** exponent * 65535) for i in range(count)))


SRGB_TABLE = curv(*(SRGBCurve().to_linear(torch.linspace(0, 1, 1024)) * 65535).round().int().tolist())
PARAMETRIC = [
    para(1, 2.2, 1.1, -0.1),
    para(2, 2.2, 1.0, -0.05, 0.02),
    para(3, *SRGB_PARAMETERS),
    para(3, 1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081),
    para(4, 2.4, 0.9, 0.1, 0.2, 0.1, 0.01, 0.02),
]
