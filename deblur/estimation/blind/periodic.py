"""Frames made periodic, their differences and their blur: what the image step computes with.

Single precision and scipy's Fourier transforms, which beat torch's at the few hundred pixels a side that a kernel is
estimated from.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft2, rfft2

from deblur.fourier import fast_length

__all__ = ["Array", "Spectrum", "apply", "differences", "extend", "laplacian", "transfer"]

Array = npt.NDArray[np.float32]
Spectrum = npt.NDArray[np.complex64]


def extend(frame: Array, margin: int) -> Array:
    """Grow a frame (H, W) below and to the right so that opposite borders meet smoothly, to sizes fast to transform.

    Args:
        frame: (H, W).
        margin: pixels to grow by at least.

    Returns:
        (H', W'), H' >= H + margin; its top left (H, W) pixels are the frame.

    Example:
        >>> extend(np.ones((20, 30), np.float32), 5).shape
        (25, 36)
    """
    grown = frame
    for axis in (0, 1):
        image = np.moveaxis(grown, axis, 0)
        size = image.shape[0]
        index = np.arange(fast_length(size + margin) - size)
        count = len(index)
        ramp = ((index + 1) / (count + 1)).astype(np.float32)[:, None]
        ramp = ramp * ramp * (3 - 2 * ramp)
        behind = image[size - 1 - np.minimum(index, size - 1)]
        before = image[np.minimum(count - 1 - index, size - 1)]
        grown = np.moveaxis(np.concatenate([image, (1 - ramp) * behind + ramp * before]), 0, axis)
    return np.ascontiguousarray(grown, dtype=np.float32)


def transfer(taps: npt.NDArray[np.floating], shape: tuple[int, int]) -> Spectrum:
    """Half spectrum of a kernel on a periodic frame, its origin at tap (kh // 2, kw // 2).

    Example:
        >>> bool(np.allclose(transfer(np.ones((1, 1)), (4, 6)), 1))
        True
    """
    placed = np.zeros(shape, np.float32)
    placed[: taps.shape[0], : taps.shape[1]] = taps
    rolled = np.roll(placed, (-(taps.shape[0] // 2), -(taps.shape[1] // 2)), (0, 1))
    return np.asarray(rfft2(rolled), dtype=np.complex64)


def apply(spectrum: Spectrum, image: Array) -> Array:
    """Convolve a periodic image with the kernel of this spectrum."""
    return np.asarray(irfft2(spectrum * rfft2(image), s=image.shape), dtype=np.float32)


@lru_cache(maxsize=64)
def laplacian(shape: tuple[int, int]) -> Array:
    """Half spectrum of the sum of squared forward differences on a periodic frame, real."""
    rows = 2 * np.pi * np.fft.fftfreq(shape[0])[:, None]
    columns = 2 * np.pi * np.fft.rfftfreq(shape[1])[None]
    return np.asarray(4 - 2 * np.cos(rows) - 2 * np.cos(columns), dtype=np.float32)


def differences(image: Array) -> tuple[Array, Array]:
    """Forward differences along the columns and the rows, zero at the last of them.

    Example:
        >>> differences(np.array([[0.0, 1.0], [3.0, 5.0]], np.float32))[0]
        array([[1., 0.],
               [2., 0.]], dtype=float32)
    """
    across, down = np.zeros_like(image), np.zeros_like(image)
    np.subtract(image[:, 1:], image[:, :-1], out=across[:, :-1])
    np.subtract(image[1:], image[:-1], out=down[:-1])
    return across, down
