"""What a file says of its pixels beside their values, where that bears on the curve between them and light."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["Origin", "program_in"]

_PROGRAMS = (
    *("ImageJ", "Micro-Manager", "MicroManager", "MetaMorph", "AxioVision", "ZEISS ZEN", "ZEISS LSM", "OME xmlns"),
    *("LAS X", "Leica Application Suite", "NIS-Elements", "cellSens", "FluoView", "SlideBook", "Huygens", "HCImage"),
    *("Andor", "ScanImage", "PixInsight", "Siril", "DeepSkyStacker", "Astro Pixel Processor", "AstroPixelProcessor"),
    *("AstroPy", "astropy", "SharpCap", "FireCapture", "MaxIm DL", "Nebulosity", "N.I.N.A.", "ASTAP", "AstroArt"),
)
_PROGRAM = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in _PROGRAMS))


@dataclass(frozen=True, kw_only=True)
class Origin:
    """How a file stores its pixels and who wrote it.

    Args:
        format: the name of the file format, such as `TIFF`.
        dtype: how it stores a sample.
        black, white: the stored values that are the pixel values 0 and 1.
        program: the program of a microscope or a telescope that its tags name; None for any other.

    Example:
        >>> str(Origin(format="TIFF", dtype="float32", white=1.0))
        '32-bit float TIFF'
    """

    format: str
    dtype: Literal["uint8", "uint16", "float32"]
    black: float = 0.0
    white: float
    program: str | None = None

    def __str__(self) -> str:
        kinds = {"uint8": "8-bit", "uint16": "16-bit", "float32": "32-bit float"}
        return f"{kinds[self.dtype]} {self.format}"


def program_in(*texts: str) -> str | None:
    """The program of a microscope or a telescope that one of the texts names; these write what sensors count.

    Example:
        >>> program_in("ImageJ=1.54f"), program_in("Adobe Photoshop 25.0")
        ('ImageJ', None)
    """
    found = _PROGRAM.search("\n".join(texts))
    return found[0].removesuffix(" xmlns") if found else None
