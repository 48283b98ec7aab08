"""A size that a small file claims is refused by its header: decoders would fill the memory before they find out."""

from __future__ import annotations

from deblur.errors import FileError

__all__ = ["check_claim"]

_MOST = 1 << 30
"""Pixels of a picture, at most; as in OpenCV."""

_FREE = 10**8
"""Up to so many pixels a file may be as small as it likes."""

_DENSEST = 10_000
"""Pixels that a byte holds at most: a blank page of one bit a pixel, packed by Deflate."""


def check_claim(width: int, height: int, size: int) -> None:
    """Refuse a picture of more pixels than a file of `size` bytes can hold, or than is worked on.

    Raises:
        FileError: what was claimed.

    Example:
        >>> check_claim(6000, 4000, 2_000_000)
    """
    pixels = width * height
    if pixels > _MOST:
        raise FileError(f"expected at most {_MOST} pixels, got a file that claims to have more; cut it to pieces")
    if pixels > max(_FREE, _DENSEST * size):
        raise FileError(
            f"expected a whole picture, got {size} bytes that claim to be {width} x {height} pixels; export it again"
        )
