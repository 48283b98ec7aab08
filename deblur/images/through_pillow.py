"""What the formats that Pillow reads and writes have in common."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from deblur.errors import FileError
from deblur.images.claims import check_claim
from deblur.images.exif import exif_orientation, strip_exif_header
from deblur.images.stored import Array, Metadata, Resolution, Stored

__all__ = ["open_pillow", "pillow_image", "samples_of", "stored_of"]

_EXACT = {
    "1": "L",
    "L": "L",
    "LA": "LA",
    "RGB": "RGB",
    "RGBA": "RGBA",
    "RGBX": "RGB",
    "PA": "RGBA",
}
"""Mode -> the mode that holds the same values; palettes are treated apart."""

_JFIF_UNITS: dict[int, Literal["inch", "cm", "none"]] = {1: "inch", 2: "cm"}

_settings = threading.Lock()


@contextmanager
def open_pillow(data: bytes, format: str) -> Iterator[Image.Image]:
    """Open a picture strictly: a cut-off file is an error whatever Pillow's global settings say."""
    with _settings, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, False
        try:
            with Image.open(io.BytesIO(data), formats=[format]) as image:
                check_claim(*image.size, len(data))
                yield image
        except UnidentifiedImageError as error:
            raise ValueError("its header makes no sense") from error
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = kept


def samples_of(image: Image.Image) -> Array:
    """Its 8-bit samples (H, W) or (H, W, C); a palette and 1 bit are expanded, which loses nothing."""
    if image.mode in ("CMYK", "YCCK"):
        raise FileError("expected gray or RGB, got CMYK (print colours); export it as RGB, in 16-bit TIFF or PNG")
    mode = _EXACT.get(image.mode)
    if image.mode == "P":
        mode = _palette_mode(image)
    elif "transparency" in image.info and image.mode in ("1", "L", "RGB"):
        mode = "RGBA" if image.mode == "RGB" else "LA"
    if mode is None:
        raise FileError(f"expected gray or RGB, got pixels of the kind {image.mode}; export it as RGB, in TIFF or PNG")
    return np.asarray(image if mode == image.mode else image.convert(mode))


def stored_of(image: Image.Image, *, lossless: bool, notes: tuple[str, ...] = ()) -> Stored:
    """The picture with the profile, EXIF block and resolution that Pillow found."""
    samples = samples_of(image)
    exif = strip_exif_header(image.info.get("exif"))
    metadata = Metadata(
        exif=exif,
        icc=image.info.get("icc_profile") or None,
        resolution=_resolution(image),
        lossless=lossless,
        xmp=image.info.get("xmp") or None,
    )
    return Stored.from_samples(samples, metadata=metadata, orientation=exif_orientation(exif), notes=notes)


def pillow_image(page: Stored) -> Image.Image:
    """A Pillow image of 8-bit samples."""
    return Image.fromarray(np.ascontiguousarray(page.samples()))


def _palette_mode(image: Image.Image) -> str:
    """Gray, if every entry of the palette is, or RGB; with alpha if an entry is transparent."""
    palette = np.array(image.getpalette("RGB") or [0, 0, 0], np.uint8).reshape(-1, 3)
    if "transparency" in image.info:
        return "RGBA"
    return "L" if (palette == palette[:, :1]).all() and image.format == "BMP" else "RGB"


def _resolution(image: Image.Image) -> Resolution | None:
    density = image.info.get("jfif_density")
    if density and all(density):
        unit = _JFIF_UNITS.get(image.info.get("jfif_unit", 0), "none")
        return None if unit == "none" and density == (1, 1) else Resolution(density[0], density[1], unit)
    across, down = image.info.get("dpi") or (0, 0)
    return Resolution(float(across), float(down), "inch") if across > 0 and down > 0 else None
