"""Tell what a file is by its first bytes, and say what to do with those this package does not read."""

from __future__ import annotations

from pathlib import Path

from deblur.errors import FileError

__all__ = ["READS", "recognise"]

READS = "PNG, TIFF, JPEG, WebP or BMP"

_EXPORT = "export it as a 16-bit TIFF or PNG"
_RAW_SUFFIXES = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw"),
    *(".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
)
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_REFUSED: tuple[tuple[int, tuple[bytes, ...], str], ...] = (
    (8, (b"CR\2\0",), "a camera's RAW file"),
    (
        0,
        (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"II\x1a\0\0\0HEAPCCDR"),
        "a camera's RAW file",
    ),
    (4, (b"ftypcrx ",), "a camera's RAW file"),
    (4, (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftyphevx", b"ftypheim", b"ftypmif1", b"ftypmsf1"), "an HEIC picture"),
    (4, (b"ftypavif", b"ftypavis"), "an AVIF picture"),
    (0, (b"\xff\x0a", b"\0\0\0\x0cJXL "), "a JPEG XL picture"),
    (0, (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"), "a JPEG 2000 picture"),
    (0, (b"GIF8",), "a GIF"),
    (0, (b"8BPS",), "a Photoshop file"),
    (0, (b"\x76\x2f\x31\x01",), "an OpenEXR picture"),
    (0, (b"#?RADIANCE", b"#?RGBE"), "a Radiance HDR picture"),
    (0, (b"SIMPLE  =",), "a FITS file"),
    (0, (b"%PDF",), "a PDF"),
    (0, (b"gimp xcf",), "a GIMP file"),
    (0, (b"\x93NUMPY", b"PK\3\4", b"PK\5\6"), "a NumPy or ZIP archive"),
    (0, (b"\x89HDF\r\n\x1a\n", b"MATLAB 5.0"), "a MATLAB or HDF5 file"),
    (4, (b"ftyp",), "a video"),
)


def recognise(data: bytes, name: str) -> str:
    """The format of these bytes: `PNG`, `TIFF`, `JPEG`, `WebP` or `BMP`.

    Args:
        data: the file, or at least its first 32 bytes.
        name: the file's name. Most RAW files are TIFF files on the surface: there the suffix tells.

    Raises:
        FileError: what it is instead and what to export, without the name.
    """
    if not data:
        raise FileError(f"the file is empty, expected a picture ({READS})")
    for offset, signatures, what in _REFUSED:
        if data[offset:].startswith(signatures) if offset == 0 else data[offset : offset + 16].startswith(signatures):
            raise FileError(f"is {what}, expected {READS}; {_EXPORT}")
    if data.startswith(_TIFF):
        if Path(name).suffix.lower() in _RAW_SUFFIXES:
            raise FileError(f"is a camera's RAW file, expected {READS}; {_EXPORT}")
        return "TIFF"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP"
    if data.startswith(b"BM") and len(data) >= 26:
        return "BMP"
    raise FileError(f"is not a picture this program knows, expected {READS}; {_EXPORT}")
