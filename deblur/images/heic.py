"""HEIC and HEIF, what phones write: read through pillow-heif, 8 bits, or 10 and 12 as 16."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from deblur.errors import FileError
from deblur.images.claims import check_claim
from deblur.images.exif import strip_exif_header
from deblur.images.extras import imported
from deblur.images.stored import Metadata, Stored

__all__ = ["matches", "read"]

SUFFIXES = (".heic", ".heif", ".hif")
WRITTEN_AS = "JPEG"

_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


def matches(data: bytes, name: str) -> bool:
    """Whether a file is an HEIC picture, by its brand; AVIF, which begins alike, is another one."""
    if data[4:8] != b"ftyp" or data[8:12] not in _BRANDS:
        return False
    length = min(int.from_bytes(data[:4], "big"), 256)
    return b"avif" not in data[8:length]


def read(data: bytes) -> list[Stored]:
    """Read the main picture, turned as it is to be seen.

    Raises:
        FileError: pillow-heif is missing, or a kind of pixels that it does not tell.
    """
    heif = imported("pillow_heif", "photo", "an HEIC picture", "export it as a 16-bit TIFF or PNG")
    file = heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    width, height = file.size
    check_claim(width, height, len(data))
    samples = np.asarray(file)
    if samples.dtype not in (np.uint8, np.uint16) or samples.ndim not in (2, 3):
        raise FileError(f"expected samples of 8 to 16 bits, got {file.mode}; export it as a 16-bit TIFF")
    icc = file.info.get("icc_profile") or None
    exif = strip_exif_header(file.info.get("exif"))
    metadata = Metadata(
        exif=exif,
        icc=icc,
        xmp=file.info.get("xmp") or None,
        png=() if icc else _coded(file.info.get("nclx_profile")),
    )
    more = len(file) - 1
    notes = (f"the file holds {more} more pictures, which are left out",) if more else ()
    # libheif turns the picture by the file's own boxes; what EXIF says of its orientation is not to be done again
    return [Stored.from_samples(samples, metadata=metadata, orientation=1, notes=notes)]


def _coded(profile: Any) -> tuple[tuple[bytes, bytes], ...]:
    """What the file says of its colours by numbers of ITU-T H.273, as the PNG chunk that says the same."""
    if not isinstance(profile, dict) or "transfer_characteristics" not in profile:
        return ()
    primaries, transfer = int(profile.get("color_primaries", 2)), int(profile["transfer_characteristics"])
    return ((b"cICP", bytes((primaries & 255, transfer & 255, 0, 1))),)
