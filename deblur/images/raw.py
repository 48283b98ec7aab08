"""Tell a camera's RAW file: many are TIFF files on the surface, with other pixels inside."""

from __future__ import annotations

from pathlib import Path

__all__ = ["is_raw"]

_SUFFIXES = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw"),
    *(".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
)
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
    return data.startswith(_TIFF) and Path(name).suffix.lower() in _SUFFIXES
