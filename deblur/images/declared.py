"""The transfer curve that a file declares: by a cICP chunk, an ICC profile, sRGB and gAMA chunks, or its EXIF block.

The first of them that a file has counts, in this order, as the PNG standard has it; EXIF comes last.

Source: W3C, Portable Network Graphics (Third Edition), 4.3; CIPA DC-008 (Exif), ColorSpace; DCF 2.0 (Adobe RGB).

Example:
    >>> declared_curve(Metadata(png=((b"cICP", bytes((9, 16, 0, 1))),)), channels=3)[0].name
    'PQ'
"""

from __future__ import annotations

import struct
from dataclasses import replace

from deblur.curves import Gamma, Linear
from deblur.images.exif import exif_colour_space
from deblur.images.icc import transfer_from_icc
from deblur.images.stored import Metadata
from deblur.transfer import TRANSFERS, Transfer, coded

__all__ = ["declared_curve"]

_SRGB, _ADOBE_RGB = 1, 2


def declared_curve(metadata: Metadata, channels: int) -> tuple[Transfer | None, str | None]:
    """The curve that a file's metadata declare, None where they declare none, and a line for the user or None."""
    chunks = dict(metadata.png)
    if len(code := chunks.get(b"cICP", b"")) == 4:
        curve = coded(code[1])
        if curve is not None:
            return curve, None
        if code[1] != 2:  # which is "unspecified"
            return TRANSFERS["srgb"], (
                f"its cICP chunk names the transfer {code[1]} of ITU-T H.273, which is not known here; it is taken as "
                "sRGB (--transfer linear takes the values as they are)"
            )
    if metadata.icc is not None:
        curve, note = transfer_from_icc(metadata.icc)
        if len(curve.curves) == 3 and channels > 3:  # data beside the colours are coded like green
            curve = replace(curve, curves=(*curve.curves, *curve.curves[1:2] * (channels - 3)))
        if len(curve.curves) not in (1, channels):
            return TRANSFERS["srgb"], "the ICC profile is one for colour; this gray picture is taken as sRGB"
        return curve, note
    if b"sRGB" in chunks:
        return TRANSFERS["srgb"], None
    if (gamma := _png_gamma(chunks.get(b"gAMA", b""))) is not None:
        return gamma, None
    space = exif_colour_space(metadata.exif)
    if space == _ADOBE_RGB:
        return Transfer("gamma 2.199", (Gamma(563 / 256),)), None
    return TRANSFERS["srgb"] if space == _SRGB else None, None


def _png_gamma(chunk: bytes) -> Transfer | None:
    """The transfer of a gAMA chunk; that of 1/2.2 is how PNG says sRGB."""
    if len(chunk) != 4:
        return None
    (encoded,) = struct.unpack(">I", chunk)
    if not 10_000 <= encoded <= 1_000_000:
        return None
    if abs(encoded - 45_455) < 500:
        return TRANSFERS["srgb"]
    if encoded == 100_000:
        return Transfer("linear", (Linear(),))
    return Transfer(f"gamma {100_000 / encoded:.4g}", (Gamma(100_000 / encoded),))
