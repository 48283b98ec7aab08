"""Between the numbers a file stores and the pixels of a frame: turning, scaling, and finding the ceiling.

Frames are large, so everything works plane by plane or in bands of rows: one float32 frame is allocated, no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from deblur.arrays import bits_of, guessed
from deblur.errors import DtypeError, FileError, OptionError, ShapeError
from deblur.images.declared import declared_curve
from deblur.images.frame import Frame
from deblur.images.stored import Array, Stored
from deblur.images.turned import cut_metadata, upright_metadata
from deblur.origin import Origin
from deblur.picture import ceiling_level

__all__ = ["FULL_SCALE", "frame_from_stored", "stored_from_frame", "turn"]

FULL_SCALE = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
"""The white level of each sample type where the user names none."""

_BAND = 256  # rows treated at a time on the way out


def frame_from_stored(
    stored: Stored, format: str, black: float | None, white: float | None, missing: bool = False
) -> Frame:
    """Make the frame: turned upright, scaled to black = 0 and white = 1, its ceiling and its transfer curve found."""
    dtype: Literal["uint8", "uint16", "float32"] = stored.array.dtype.name  # type: ignore[assignment]
    low, high = 0.0 if black is None else float(black), FULL_SCALE[dtype] if white is None else float(white)
    largest = torch.finfo(torch.float32).max
    if not (abs(low) < largest / 2 and abs(high) < largest / 2 and low < high):
        raise OptionError(
            f"expected --black below --white and both within {largest / 2:.1e}, got black {low:g} and white {high:g}"
        )
    array, alpha = turn(stored.array, stored.orientation), stored.alpha
    finite = dtype != "float32" or _is_finite(array)
    if not finite and not missing:
        raise FileError("expected finite values, got NaN or infinite ones; replace them first")
    planes = array[None] if array.ndim == 2 else np.moveaxis(array, 2, 0)
    pixels = np.empty(planes.shape, np.float32)
    for plane, stored_plane in zip(pixels, planes, strict=True):
        _scale(stored_plane, low, high, plane)
    level = ceiling_level(array if finite else np.where(np.isfinite(array), array, 0), high)
    ceiling = None if level is None else float(_scale(np.array([level], np.float32), low, high)[0])
    opacity = None
    if alpha is not None:
        full = FULL_SCALE[alpha.dtype.name]
        opacity = torch.from_numpy(_scale(turn(alpha, stored.orientation), 0.0, full)).clamp_(0, 1)
    metadata = upright_metadata(stored.metadata, stored.orientation)
    transfer, note = declared_curve(metadata, len(pixels))
    return Frame(
        pixels=torch.from_numpy(pixels),
        alpha=opacity,
        dtype=dtype,
        black=low,
        white=high,
        ceiling=ceiling,
        transfer=transfer,
        notes=stored.notes + ((note,) if note else ()),
        metadata=metadata,
        format=format,
        origin=Origin(format=format, dtype=dtype, black=low, white=high, program=stored.program),
        coding=stored.coding and stored.coding.turned(stored.orientation, *stored.array.shape[:2]),
    )


def fewer(pages: Sequence[Stored]) -> tuple[float | None, str | None]:
    """White of the 16-bit pages of a file whose samples have fewer bits, and what is said of it; None where not."""
    if any(page.array.dtype != np.uint16 for page in pages):
        return None, None
    largest = max(float(page.array.max()) for page in pages)
    bits = bits_of(largest, 16)
    return (None, None) if bits == 16 else (2.0**bits - 1, guessed(largest, bits, 16))


def stored_from_frame(frame: Frame, dtype: str | None = None) -> Stored:
    """Undo the scaling: integers are rounded and limited to what the type holds, float values are kept as they are.

    Args:
        frame: the picture to store.
        dtype: another sample type than the frame's own; black to white then fills its whole range.

    Raises:
        ShapeError, DtypeError: pixels that are not (C, H, W), alpha of another size.
        FileError: a pixel is NaN or infinite.
    """
    pixels, alpha = frame.pixels.detach().cpu(), frame.alpha
    if pixels.ndim != 3 or pixels.numel() == 0:
        raise ShapeError(f"expected pixels (C, H, W) to write, got {tuple(pixels.shape)}")
    if not pixels.is_floating_point():
        raise DtypeError(f"expected floating-point pixels to write, got {pixels.dtype}; scale them to [0, 1] first")
    if alpha is not None and tuple(alpha.shape) != tuple(pixels.shape[1:]):
        raise ShapeError(f"expected alpha {tuple(pixels.shape[1:])} like the pixels, got {tuple(alpha.shape)}")
    target = frame.dtype if dtype is None else dtype
    low, high = (frame.black, frame.white) if target == frame.dtype else (0.0, FULL_SCALE[target])
    channels, height, width = pixels.shape
    array = np.empty((height, width) if channels == 1 else (height, width, channels), target)
    for c in range(channels):
        _store(pixels[c], low, high, array if channels == 1 else array[..., c])
    opacity = None
    if alpha is not None:
        opacity = np.empty((height, width), target)
        _store(alpha.detach().cpu(), 0.0, FULL_SCALE[target], opacity)
    return Stored(array=array, alpha=opacity, metadata=cut_metadata(frame.metadata, frame.place))


def turn(array: Array, orientation: int) -> Array:
    """Turn a stored (H, W[, C]) array to how it is seen, by its EXIF orientation 1 to 8 (a view)."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def _bands(array: Array) -> list[Array]:
    return [array[start : start + _BAND] for start in range(0, array.shape[0], _BAND)]


def _is_finite(array: Array) -> bool:
    return all(bool(np.isfinite(band).all()) for band in _bands(array))


def _scale(values: Array, low: float, high: float, out: Array | None = None) -> Array:
    """(values - low) / (high - low) in float32, in place in `out`."""
    out = np.empty(values.shape, np.float32) if out is None else out
    np.copyto(out, values)
    if low:
        out -= np.float32(low)
    if high - low != 1:
        out /= np.float32(high - low)
    return out


def _store(plane: Tensor, low: float, high: float, out: Array) -> None:
    """The inverse of `_scale` into an array of the stored type, band by band."""
    largest = np.iinfo(out.dtype).max if out.dtype.kind == "u" else None
    for start in range(0, out.shape[0], _BAND):
        band = plane[start : start + _BAND].to(torch.float32, copy=True)
        if not torch.isfinite(band).all():
            raise FileError("expected finite pixels to write, got NaN or infinite ones; nothing was written")
        if high - low != 1:
            band.mul_(high - low)
        if low:
            band.add_(low)
        if largest is not None:
            band.round_().clamp_(0, largest)
        out[start : start + _BAND] = band.numpy()
