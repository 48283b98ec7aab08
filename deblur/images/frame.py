"""A picture ready to be worked on: float32 channels, as the picture is seen, with what writing it back needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from deblur.images.coding import Coding
from deblur.images.stored import Metadata
from deblur.transfer import TRANSFERS, Transfer

__all__ = ["Frame"]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture, or one page of a file with several.

    A stored value v becomes the pixel (v - black) / (white - black): no curve is applied, nothing is clipped, so a
    float file may exceed 1 and a value below the black level is negative. To write a restored picture back, replace
    the pixels and keep the rest: `dataclasses.replace(frame, pixels=restored)`.

    Args:
        pixels: (C, H, W) float32, C = 1 or 3 (RGB), turned as the EXIF orientation says.
        alpha: (H, W) float32 in [0, 1], or None.
        dtype: how the file stores a sample.
        black: the stored value that becomes 0.
        white: the stored value that becomes 1.
        ceiling: the pixel value at and above which the frame is saturated; infinity where nothing shows that it is.
        transfer: the curve between pixels and linear light: the profile's, or sRGB.
        notes: lines the user should see, such as a profile that was not understood.
        metadata: EXIF, ICC profile, resolution.
        format: the name of the file format, such as `PNG`.
        coding: how the file rounded the pixels (a JPEG does); None where it did not or nobody knows. It speaks of the
            pixels that were read, and is not written.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    dtype: Literal["uint8", "uint16", "float32"] = "uint8"
    black: float = 0.0
    white: float = 255.0
    ceiling: float = float("inf")
    transfer: Transfer = TRANSFERS["srgb"]
    notes: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=Metadata)
    format: str = "PNG"
    coding: Coding | None = None

    @property
    def height(self) -> int:
        """Rows, as the picture is seen."""
        return int(self.pixels.shape[1])

    @property
    def width(self) -> int:
        """Columns, as the picture is seen."""
        return int(self.pixels.shape[2])
