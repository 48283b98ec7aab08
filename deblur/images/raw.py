"""Cameras' RAW files: read through rawpy (LibRaw), developed into linear light and nothing else.

The camera's black and white levels are taken off, the mosaic is interpolated, the white balance is the one of the shot,
colours become those of sRGB; there is no curve, no sharpening, no brightening and no noise reduction. Many of these
files are TIFF files on the surface, with other pixels inside.
"""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from deblur.errors import FileError
from deblur.images.claims import check_claim
from deblur.images.exif import strip_exif_header
from deblur.images.extras import imported
from deblur.images.stored import Metadata, Stored
from deblur.images.tiff_tags import tags_of

__all__ = ["is_raw", "matches", "read"]

SUFFIXES = (
    *(".dng", ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw"),
    *(".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
)
WRITTEN_AS = "TIFF"

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BEGINNINGS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"II\x1a\0\0\0HEAPCCDR")


def is_raw(data: bytes, name: str) -> bool:
    """Whether a file is a camera's RAW file, by its first bytes, or by its suffix where these are those of a TIFF file.

    Example:
        >>> is_raw(b"II*\\0" + bytes(28), "holiday.nef"), is_raw(b"II*\\0" + bytes(28), "holiday.tif")
        (True, False)
    """
    if data.startswith(_BEGINNINGS) or data[4:12] == b"ftypcrx " or data[8:12] == b"CR\2\0":
        return True
    return data.startswith(_TIFF) and Path(name).suffix.lower() in SUFFIXES


matches = is_raw


def read(data: bytes) -> list[Stored]:
    """Develop the picture: uint16, linear light, the camera's white level at 65,535.

    Raises:
        FileError: rawpy is missing, or LibRaw cannot read it.
    """
    rawpy = imported("rawpy", "photo", "a camera's RAW file", "export it as a 16-bit TIFF or PNG")
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            check_claim(raw.sizes.width, raw.sizes.height, 10_000 * len(data))
            black = float(np.mean(raw.black_level_per_channel))
            white = float(raw.white_level)
            samples = raw.postprocess(
                gamma=(1, 1),
                no_auto_bright=True,
                adjust_maximum_thr=0,
                output_bps=16,
                use_camera_wb=True,
                output_color=rawpy.ColorSpace.sRGB,
            )
            exif = _exif(data, raw, rawpy)
    except rawpy.LibRawError as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise FileError(
            f"expected a RAW file that LibRaw reads, got another or a damaged one ({reason}); "
            "export it as a 16-bit TIFF or PNG"
        ) from error
    note = (
        f"developed into linear light by LibRaw, white balance as shot (black {black:.0f}, white {white:.0f}); "
        "written as a linear TIFF"
    )
    metadata = Metadata(exif=exif, icc=linear_profile())
    return [Stored.from_samples(samples, metadata=metadata, notes=(note,))]


def _exif(data: bytes, raw: Any, rawpy: Any) -> bytes | None:
    """The EXIF block of the file itself, where it is a TIFF on the surface, or of the preview in it."""
    with suppress(Exception):  # it is a file of some maker's own kind
        if data.startswith(_TIFF):
            with tifffile.TiffFile(io.BytesIO(data)) as tif:
                found: bytes | None = tags_of(data, tif, tif.pages[0].aspage(), description=True)["exif"]
                return found
    with suppress(Exception):
        preview = raw.extract_thumb()
        if preview.format == rawpy.ThumbFormat.JPEG:
            from PIL import Image

            with Image.open(io.BytesIO(preview.data)) as image:
                return strip_exif_header(image.info.get("exif"))
    return None


def linear_profile() -> bytes:
    """An ICC profile of linear light with the primaries of sRGB, so that other programs show the picture right.

    Source: ICC.1:2001-04 (version 2), sections 6.1 and 6.4; the primaries are adapted to D50.

    Example:
        >>> from deblur.images.icc import transfer_from_icc
        >>> transfer_from_icc(linear_profile())[0].name
        'linear'
    """
    name = b"Linear light, sRGB primaries\0"
    curve = b"curv" + bytes(4) + struct.pack(">I", 0)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78),
        b"cprt": b"text" + bytes(4) + b"No copyright\0",
        b"wtpt": _xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": _xyz(0.43607, 0.22249, 0.01392),
        b"gXYZ": _xyz(0.38515, 0.71687, 0.09708),
        b"bXYZ": _xyz(0.14307, 0.06061, 0.71410),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += tag + struct.pack(">II", at + len(body), len(content))
        body += padded
    size = at + len(body)
    header = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz(0.9642, 1.0, 0.8249)[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in (x, y, z)))
