"""TIFF: 8- and 16-bit integers and 32-bit floats, gray and RGB, with and without alpha, one page or many.

tifffile reads and writes the pages; what it cannot decompress by itself goes through `tiff_segments` (LZW) or Pillow
(1-bit pages, JPEG in TIFF).
"""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
import tifffile

from deblur.errors import FileError
from deblur.images.claims import check_claim
from deblur.images.raw import is_raw
from deblur.images.stored import Array, Metadata, Resolution, Stack, Stored
from deblur.images.through_pillow import open_pillow, samples_of
from deblur.images.tiff_segments import decode_page
from deblur.images.tiff_tags import add_directories, described, extra_tags, still_stack, tags_of
from deblur.origin import program_in

__all__ = ["matches", "read", "write"]

SUFFIXES = (".tif", ".tiff")
HOLDS = ("exif", "icc", "resolution", "xmp", "photoshop", "tags", "stack")

_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # TIFF and BigTIFF, little- and big-endian
_NONE, _LZW, _JPEG, _DEFLATE, _PACKBITS, _LZMA, _OLD_DEFLATE = 1, 5, 7, 8, 32773, 34925, 32946
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_SEPARATED, _RAW_KINDS = 5, (32803, 34892)
_FLOATING_POINT = 3  # predictor
_ORIENTATION, _DESCRIPTION, _SOFTWARE, _SUB_IFDS, _DNG = 274, 270, 305, 330, 50706
_TYPES = {("u", 1): np.uint8, ("u", 2): np.uint16, ("f", 2): np.float32, ("f", 4): np.float32}
_UNITS: dict[int, Any] = {1: "none", 2: "inch", 3: "cm"}
_SAMPLES = "samples of 8 or 16 bits or 32-bit floats"
_CLASSIC_LIMIT = (1 << 32) - (1 << 25)  # bytes, from which on a BigTIFF is written


def matches(data: bytes, name: str) -> bool:
    """Whether a file is a TIFF, by its first bytes, and not a camera's RAW file, which may start like one."""
    return data.startswith(_SIGNATURES) and not is_raw(data, name)


def read(data: bytes) -> list[Stored]:
    """Read every page; thumbnails and masks beside full pages are left out, with a note."""
    with _quiet(), io.BytesIO(data) as buffer, tifffile.TiffFile(buffer) as tif:
        pages = [page for page in _all(tif) if isinstance(page, tifffile.TiffPage)]
        if not pages or len(pages) < len(tif.pages):
            raise ValueError("it has no readable pages")
        _refuse_raw(pages)
        full = [page for page in pages if not (page.is_reduced or page.is_mask)] or pages
        _refuse_hidden_planes(tif, pages)
        left_out = (
            len(pages) - len(full) + sum(len(page.tags[_SUB_IFDS].value) for page in full if _SUB_IFDS in page.tags)
        )
        notes: tuple[str, ...] = ()
        if left_out:
            notes += (f"the file holds {left_out} thumbnails, reduced copies or masks, which are left out",)
        structure = len(full) > 1 and (tif.is_imagej or tif.is_ome)
        stack = described(data, tif, full) if structure else None
        if structure and stack is None:
            notes += ("the description of the stack (ImageJ, OME) is left out",)
        stored = []
        for page in full:
            number = f"page {full.index(page) + 1}: " if len(full) > 1 else ""
            try:
                stored.append(_read_page(data, tif, page, description=not (structure or tif.is_shaped)))
            except FileError as error:
                raise FileError(f"{number}{error}") from error
        stored[0].notes += notes
        stored[0].metadata = replace(stored[0].metadata, stack=stack)
        return stored


def write(file: BinaryIO, pages: list[Stored], quality: int | None) -> None:
    """Write every page, integers by Deflate unless they come from an uncompressed TIFF; `quality` is not used."""
    total = sum(page.array.nbytes + (page.alpha.nbytes if page.alpha is not None else 0) for page in pages)
    start = file.tell()
    stack = still_stack(pages[0].metadata.stack, [(*page.array.shape[:2], page.array.dtype.name) for page in pages])
    with _quiet(), tifffile.TiffWriter(file, bigtiff=total > _CLASSIC_LIMIT, byteorder="<") as writer:
        for page in pages:
            _write_page(writer, page, stack if page is pages[0] else None)
    if total <= _CLASSIC_LIMIT:
        add_directories(file, start, pages)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep tifffile's remarks on unusual files away from the terminal; what matters is raised."""
    logger = logging.getLogger("tifffile")
    kept, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = kept


def _all(tif: tifffile.TiffFile) -> list[Any]:
    """Its pages, by their number: tifffile's own iteration never ends where they lie in a circle."""
    return [tif.pages[index] for index in range(len(tif.pages))]


def _refuse_raw(pages: list[tifffile.TiffPage]) -> None:
    first = pages[0]
    thumbnail_only = first.is_reduced and _SUB_IFDS in first.tags
    if _DNG in first.tags or thumbnail_only or any(page.photometric in _RAW_KINDS for page in pages):
        raise FileError("expected developed pixels, got a camera's RAW file; export it as a 16-bit TIFF or PNG")


def _refuse_hidden_planes(tif: tifffile.TiffFile, pages: list[tifffile.TiffPage]) -> None:
    """ImageJ and tifffile can put a whole stack behind one page's directory; half of it would be lost."""
    described = 1
    if tif.is_imagej:
        described = int((tif.imagej_metadata or {}).get("images", 1))
    elif tif.is_shaped:
        with suppress(ValueError, TypeError, AttributeError):  # a description that only looks like tifffile's
            described = sum(
                int(np.prod(record["shape"])) // max(1, int(np.prod(pages[0].shape)))
                for record in tif.shaped_metadata or ()
                if record.get("truncated") and "shape" in record
            )
    if described > len(pages) or any(page.imagedepth > 1 for page in pages):
        raise FileError("expected a page for each plane, got a stack of planes behind one page; save it again so")


def _read_page(data: bytes, tif: tifffile.TiffFile, page: tifffile.TiffPage, *, description: bool) -> Stored:
    if page.photometric == _SEPARATED:
        raise FileError("expected gray or RGB, got CMYK (print colours); export it as RGB, in 16-bit TIFF or PNG")
    if page.imagewidth == 0 or page.imagelength == 0:
        raise ValueError("its size is zero")
    check_claim(page.imagewidth, page.imagelength, len(data))
    if len(page.dataoffsets) != len(page.databytecounts):
        raise ValueError("its directory makes no sense")
    if any(size == 0 or at + size > len(data) for at, size in zip(page.dataoffsets, page.databytecounts, strict=True)):
        raise ValueError("it ends too early")
    if page.compression == _JPEG and any(
        b"\xff\xd9" not in data[at : at + size][-16:]
        for at, size in zip(page.dataoffsets, page.databytecounts, strict=True)
    ):
        raise ValueError("its JPEG data end too early")
    samples = _samples(data, tif, page)
    extra = tuple(int(code) for code in page.extrasamples)
    beside = (
        samples.shape[-1] - (3 if page.photometric == _RGB else 1)
        if samples.ndim == 3 and page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB)
        else 0
    )
    extra = (extra or ((2,) if beside == 1 else ())) + (0,) * beside
    metadata = Metadata(
        **tags_of(data, tif, page, description=description),
        resolution=_resolution(page),
        compressed=page.compression != _NONE,
        lossless=True,
        extra_samples=extra[:beside],
    )
    orientation = int(page.tags.valueof(_ORIENTATION, default=1))
    first = tif.pages.first  # where a stack is described
    texts = [str(first.tags.valueof(tag, default="")) for tag in (_DESCRIPTION, _SOFTWARE)]
    texts += ["Micro-Manager"] * tif.is_micromanager + ["ZEISS LSM"] * tif.is_lsm
    return Stored.from_samples(
        samples,
        metadata=metadata,
        orientation=orientation if 1 <= orientation <= 8 else 1,
        program=program_in(*texts),
    )


def _samples(data: bytes, tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Array:
    """The samples (H, W) or (H, W, S): uint8, uint16 or float32; black is zero."""
    # Depths are checked before decoding, so that an unsupported one gives its line and not a decoder's trouble.
    small = page.bitspersample < 8 and page.samplesperpixel == 1
    if small or page.compression not in (_NONE, _LZW, _DEFLATE, _OLD_DEFLATE, _PACKBITS, _LZMA):
        return _through_pillow(data, tif, page)
    kind = None if page.dtype is None else _TYPES.get((page.dtype.kind, page.dtype.itemsize))
    if kind is None or page.bitspersample not in (8, 16, 32):
        raise FileError(f"expected {_SAMPLES}, got {page.bitspersample} bits ({_sample_format(page)}); export it so")
    colour = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1}.get(int(page.photometric))
    palette = page.photometric == _PALETTE
    if colour is None or page.samplesperpixel < colour or (palette and page.samplesperpixel > 2):
        channels = f"{page.samplesperpixel} channels of the kind {getattr(page.photometric, 'name', page.photometric)}"
        raise FileError(f"expected gray or RGB with or without alpha, got {channels}; export it as RGB")
    if page.compression == _LZW or page.predictor == _FLOATING_POINT:
        samples = decode_page(data, page)
    else:
        samples = page.asarray()
        samples = samples.reshape(
            (page.samplesperpixel, page.imagelength, page.imagewidth)
            if page.planarconfig == 2
            else (page.imagelength, page.imagewidth, page.samplesperpixel)
        )
        samples = np.moveaxis(samples, 0, 2) if page.planarconfig == 2 else samples
    samples = samples.astype(kind, copy=False)
    if page.photometric == _PALETTE and page.colormap is not None:
        return _expand_palette(samples, page.colormap)
    if page.photometric == _WHITE_IS_ZERO and samples.dtype.kind == "u":
        samples = samples.copy()
        np.invert(samples[..., 0], out=samples[..., 0])
    return samples


def _through_pillow(data: bytes, tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Array:
    """Below 8 bits, or a compression of 8-bit pixels that only libtiff knows (JPEG, fax)."""
    name = getattr(page.compression, "name", page.compression)
    refusal = FileError(
        f"expected LZW, Deflate or no compression, got {name} with {page.bitspersample} bits; save it again so"
    )
    if page.bitspersample > 8:
        raise refusal
    patched = bytearray(data)
    for other in _all(tif):  # Pillow would turn the picture, which is done later for all formats alike
        tag = other.aspage().tags.get(_ORIENTATION)
        if tag is not None:
            struct.pack_into(tif.byteorder + "H", patched, tag.valueoffset, 1)
    with open_pillow(bytes(patched), "TIFF") as image:
        image.seek(page.index)
        try:
            return samples_of(image)
        except OSError as error:
            if isinstance(error, FileError) or "decoder" not in str(error):
                raise
            raise refusal from error


def _expand_palette(index: Array, colours: Array) -> Array:
    """RGB of a palette (3, entries) of 16-bit values; 8 bits where these hold no more (v * 256 or v * 257)."""
    low = colours & 255
    eight = bool((low == 0).all() or (low == colours >> 8).all())
    table = (colours >> 8).astype(np.uint8) if eight else colours.astype(np.uint16)
    return np.ascontiguousarray(table.T)[index[..., 0]]


def _sample_format(page: tifffile.TiffPage) -> str:
    return {1: "unsigned", 2: "signed", 3: "float"}.get(int(page.sampleformat), "of another kind")


def _resolution(page: tifffile.TiffPage) -> Resolution | None:
    if 282 not in page.tags or 283 not in page.tags:
        return None
    x, y = (n / d if d else 0.0 for n, d in (page.tags[282].value, page.tags[283].value))
    unit = _UNITS.get(int(page.tags.valueof(296, default=2)), "none")
    return Resolution(x, y, unit) if x > 0 and y > 0 and not (unit == "none" and x == y == 1) else None


def _write_page(writer: tifffile.TiffWriter, page: Stored, stack: Stack | None) -> None:
    metadata, samples = page.metadata, page.samples()
    description, extra = extra_tags(metadata, stack)
    options: dict[str, Any] = {}
    if metadata.resolution is not None:
        usable = metadata.resolution
        if usable.unit == "metre":
            usable = replace(usable, x=usable.x / 100, y=usable.y / 100, unit="cm")
        options["resolution"] = (usable.x, usable.y)
        options["resolutionunit"] = {unit: code for code, unit in _UNITS.items()}[usable.unit]
    count = samples.shape[-1] if samples.ndim == 3 else 1
    colours = count - len(metadata.extra_samples)
    if colours not in (1, 3):  # codes that speak of another picture, or none
        colours = 3 if count >= 3 else 1
    if count > colours:
        codes = metadata.extra_samples or (0,) * (count - colours - (page.alpha is not None)) + (2,)
        options["extrasamples"] = list(codes[: count - colours])
    if metadata.compressed and samples.dtype.kind == "u":  # floats hardly get smaller
        options |= {"compression": "adobe_deflate", "compressionargs": {"level": 4}, "predictor": True}
    if samples.ndim == 3:
        options["planarconfig"] = "contig"
    writer.write(
        samples,
        photometric="rgb" if colours == 3 else "minisblack",
        iccprofile=metadata.icc,
        description=description,
        software=False,
        metadata=None,
        extratags=extra,
        **options,
    )
