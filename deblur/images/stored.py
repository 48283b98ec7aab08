"""What a picture file holds, in the file's own units: the form every format is read into and written from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deblur.coding import Coding

__all__ = ["Array", "Metadata", "Resolution", "Stack", "Stored", "Unit"]

Array: TypeAlias = NDArray[Any]
"""A NumPy array of uint8, uint16 or float32."""

_METRES = {"inch": 0.0254, "cm": 0.01, "metre": 1.0}


@dataclass(frozen=True)
class Resolution:
    """Pixels per unit across (x) and down (y); unit `none` gives the shape of a pixel only.

    Example:
        >>> Resolution(300, 300, "inch").per("cm")
        (118.11023622047244, 118.11023622047244)
    """

    x: float
    y: float
    unit: Literal["inch", "cm", "metre", "none"] = "inch"

    def per(self, unit: Literal["inch", "cm", "metre"]) -> tuple[float, float] | None:
        """The same in another unit; None where the file names no unit."""
        if self.unit == "none":
            return None
        if self.unit == unit:
            return self.x, self.y
        factor = _METRES[unit] / _METRES[self.unit]
        return self.x * factor, self.y * factor


@dataclass(frozen=True)
class Stack:
    """What ImageJ or OME say of the pages of a file: axes, channels, calibration, in their own words.

    Args:
        description: the text of the first page.
        pages, shape: the number of pages that it speaks of, and their size (H, W).
        dtype: their sample type.
        tags: ImageJ's own tags, as `Metadata.tags` has them.
    """

    description: bytes
    pages: int
    shape: tuple[int, int]
    dtype: str
    tags: tuple[tuple[int, int, bytes], ...] = ()


@dataclass(frozen=True)
class Unit:
    """What a FITS file says of its picture and holds beside it.

    Args:
        cards: the header of the picture's unit, cards of 80 letters without its end.
        before, after: the bytes of the units before and behind it.
        shape: (H, W) of the picture.
    """

    cards: bytes
    before: bytes = b""
    after: bytes = b""
    shape: tuple[int, int] = (0, 0)


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What is carried from the file that was read to the one that is written.

    Args:
        exif: an EXIF block as a small TIFF file (it starts with `II*` or `MM*`; no `Exif` header), or None.
        icc: the bytes of the ICC profile, or None.
        resolution: pixels per unit, or None.
        png: the PNG chunks about colour other than the profile (gAMA, cHRM, sRGB, cICP), in their order.
        compressed: whether the samples were stored compressed (TIFF).
        lossless: whether the file kept every value (WebP knows both kinds).
        extra_samples: TIFF's codes of the channels beside gray or red, green and blue, in their order: 0 data, 1
            premultiplied alpha, 2 alpha. The first alpha is `Stored.alpha`, the others are channels of the array.
        xmp: the XMP packet, or None.
        photoshop: Photoshop's image resources, where IPTC captions lie, from the first `8BIM` on; or None.
        comment: a JPEG's comment, or None.
        texts: the PNG chunks with texts (tEXt, zTXt, iTXt), in their order.
        segments: a JPEG's segments as they lie in the file, but for those about pixels, EXIF and profile, among them
            those of `xmp`, `photoshop` and `comment`.
        tags: TIFF's private tags (GeoTIFF, GDAL, ...), each with its type and its little-endian bytes.
        stack: how the pages of a TIFF make up a stack, with the first page; or None.
        unit: the header of a FITS picture with what lies around it, with the first page; or None.
        tables: a JPEG's quantisation tables, one a component, 64 numbers row by row; empty for others.
        sampling: its chroma subsampling, rows and columns.
    """

    exif: bytes | None = None
    icc: bytes | None = None
    resolution: Resolution | None = None
    png: tuple[tuple[bytes, bytes], ...] = ()
    compressed: bool = True
    lossless: bool = False
    extra_samples: tuple[int, ...] = ()
    xmp: bytes | None = None
    photoshop: bytes | None = None
    comment: bytes | None = None
    texts: tuple[tuple[bytes, bytes], ...] = ()
    segments: tuple[bytes, ...] = ()
    tags: tuple[tuple[int, int, bytes], ...] = ()
    stack: Stack | None = None
    unit: Unit | None = None
    tables: tuple[tuple[int, ...], ...] = ()
    sampling: tuple[int, int] = (1, 1)


@dataclass(kw_only=True)
class Stored:
    """One picture as stored.

    Args:
        array: (H, W), or (H, W, C) in RGB order, data channels after these; uint8, uint16 or float32.
        alpha: (H, W) of the same type, or None.
        metadata: what is carried over.
        orientation: the EXIF orientation that the array still has to be turned by, 1 to 8.
        notes: lines for the user.
        coding: how the file rounded the array, before it is turned; None where it did not or nobody knows.
        program: the program of a microscope or a telescope that wrote the file; None for any other.
    """

    array: Array
    alpha: Array | None = None
    metadata: Metadata = field(default_factory=Metadata)
    orientation: int = 1
    notes: tuple[str, ...] = ()
    coding: Coding | None = None
    program: str | None = None

    @classmethod
    def from_samples(cls, samples: Array, **rest: Any) -> Stored:
        """Split (H, W), (H, W, C) into colour, data and alpha.

        Which is alpha the codes in the metadata say; without any, 2 channels are gray and alpha, 4 are RGB and alpha.
        """
        if samples.ndim == 2:
            return cls(array=samples, **rest)
        channels = samples.shape[-1]
        codes = rest["metadata"].extra_samples if "metadata" in rest else ()
        place = _alpha(codes or ((2,) if channels in (2, 4) else ()))
        kept = samples
        if place is not None:
            place += channels - max(len(codes), 1)
            kept = np.delete(samples, place, axis=2) if place < channels - 1 else samples[..., :-1]
        array = kept[..., 0] if kept.shape[-1] == 1 else kept
        return cls(array=array, alpha=None if place is None else samples[..., place], **rest)

    def samples(self) -> Array:
        """Colour, data and alpha in one array, in the order of the file: (H, W) or (H, W, C)."""
        if self.alpha is None:
            return self.array
        colour = self.array if self.array.ndim == 3 else self.array[..., None]
        codes = self.metadata.extra_samples
        after = 0 if (place := _alpha(codes)) is None else len(codes) - 1 - place  # data channels behind alpha
        behind = colour.shape[-1] - after
        return np.concatenate([colour[..., :behind], self.alpha[..., None], colour[..., behind:]], axis=2)


def _alpha(codes: tuple[int, ...]) -> int | None:
    """Which of the extra samples is alpha; None where all are data."""
    return next((index for index, code in enumerate(codes) if code in (1, 2)), None)
