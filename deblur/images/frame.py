"""A picture file ready to be worked on: a picture, as it is seen, with what writing it back needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from deblur.images.stored import Metadata
from deblur.picture import Picture

__all__ = ["Frame"]


@dataclass(frozen=True, kw_only=True)
class Frame(Picture):
    """A picture from a file, or one page of a file with several.

    A stored value v becomes the pixel (v - black) / (white - black): no curve is applied, nothing is clipped, so a
    float file may exceed 1 and a value below the black level is negative. To write a restored picture back, replace
    the pixels and keep the rest: `dataclasses.replace(frame, pixels=restored)`.

    Args:
        pixels: (C, H, W) float32, gray or RGB, then a TIFF's data channels, turned as the EXIF orientation says.
        alpha, ceiling, transfer, notes, mask, weights, coding, place, origin: as `deblur.picture.Picture` has them.
        dtype: how the file stores a sample.
        black: the stored value that becomes 0.
        white: the stored value that becomes 1.
        metadata: EXIF, ICC profile, resolution.
        format: the name of the file format, such as `PNG`.
        coding: how the file rounded the pixels (a JPEG does); None where it did not or nobody knows. It speaks of the
            pixels that were read, and is not written.
    """

    dtype: Literal["uint8", "uint16", "float32"] = "uint8"
    black: float = 0.0
    white: float = 255.0
    metadata: Metadata = field(default_factory=Metadata)
    format: str = "PNG"
