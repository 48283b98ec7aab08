"""What a format can't hold of a picture, said before the work: what is refused, and what is left out."""

from __future__ import annotations

from collections.abc import Sequence

from deblur.errors import FileError, OptionError
from deblur.images.formats import FORMATS
from deblur.images.frame import Frame
from deblur.images.tiff_tags import still_stack

__all__ = ["check_storable", "losses"]

_WORDS = {
    "exif": "EXIF block",
    "icc": "ICC profile",
    "resolution": "resolution",
    "xmp": "XMP packet",
    "photoshop": "Photoshop resources (IPTC)",
    "comment": "comment",
    "texts": "PNG texts",
    "tags": "private TIFF tags (GeoTIFF and others)",
    "stack": "description of the stack (ImageJ, OME)",
    "unit": "FITS header",
}


def check_storable(frames: Sequence[Frame], name: str, quality: int | None = None) -> None:
    """Raise if a format cannot hold these frames: their number, size, kind and alpha; their pixels are not looked at.

    Args:
        frames: as in `write_frames`.
        name: a name in `FORMATS`, as `output_format` gives it.
        quality: as in `write_frames`.

    Raises:
        FileError, OptionError: as `write_frames` would, without the file's name.
    """
    format = FORMATS[name]
    if quality is not None and not 1 <= quality <= 100:
        raise OptionError(f"expected --quality from 1 to 100, got {quality}")
    if not frames:
        raise FileError("expected a picture to write, got none")
    if len(frames) > 1 and not format.pages:
        raise FileError(f"expected one picture for {name}, got {len(frames)} pages; name the output .tif")
    for frame in frames:
        if frame.dtype == "float32" and "float32" not in format.depths:
            raise FileError(f"expected integer samples for {name}, got float values; name the output .tif")
        if name != "TIFF" and (channels := len(frame.pixels)) not in (1, 3):
            raise FileError(f"expected gray or RGB for {name}, got {channels} channels; name the output .tif")
        if frame.alpha is not None and not format.alpha:
            raise FileError(
                f"expected a picture without alpha for {name}, got one with it; name the output .png or .tif"
            )
        if (side := max(frame.height, frame.width)) > format.largest:
            raise FileError(
                f"expected at most {format.largest} pixels a side for {name}, got {side}; name the output .png or .tif"
            )


def losses(frames: Sequence[Frame], name: str) -> tuple[str, ...]:
    """What a format leaves out of these frames, a line for depth and one for metadata, where there is something.

    Args:
        frames: as in `write_frames`, which a `check_storable` let pass.
        name: a name in `FORMATS`.

    Example:
        >>> import torch
        >>> from deblur.images.stored import Metadata
        >>> frame = Frame(pixels=torch.zeros(1, 4, 5), dtype="uint16", metadata=Metadata(comment=b"mine"))
        >>> losses([frame], "PNG"), losses([frame], "BMP")
        ((), ('16 bits become 8 in a BMP', 'its comment is left out: BMP holds none'))
    """
    format, lines = FORMATS[name], []
    if any(frame.dtype == "uint16" and "uint16" not in format.depths for frame in frames):
        lines.append(f"16 bits become 8 in a {name}")
    left = [words for field, words in _WORDS.items() if any(_lost(frame, frames, field, name) for frame in frames)]
    if left:
        *others, last = left
        are = "are" if len(left) > 1 or last.endswith(("texts", "resources (IPTC)", "others)")) else "is"
        lines.append(f"its {', '.join(others) + ' and ' if others else ''}{last} {are} left out: {name} holds none")
    return tuple(lines)


def _lost(frame: Frame, frames: Sequence[Frame], field: str, name: str) -> bool:
    value = getattr(frame.metadata, field)
    if not value:
        return False
    if field == "stack":
        return name != "TIFF" or still_stack(value, [(each.height, each.width, each.dtype) for each in frames]) is None
    format = FORMATS[name]
    return field not in format.holds or (field in format.room and len(value) > format.room[field])
