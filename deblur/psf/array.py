"""What is, and what is not, a blur kernel: checks and the few exact rearrangements of its array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deblur.errors import KernelError

__all__ = ["check", "fits", "flip", "origin", "square", "trim"]

Array = NDArray[np.float64]


def check(kernel: ArrayLike) -> Array:
    """The kernel as float64 with sum 1 (each channel of its own), or a KernelError that says why it cannot be one.

    Negative taps are allowed as long as the sum is positive: a lens with a sharpening stage has them, and so has a
    band-limited resampling of a kernel.

    Args:
        kernel: (kh, kw), or (C, kh, kw) for one kernel per channel; real numbers of any type.

    Raises:
        KernelError: not an array of real numbers, not 2-D or 3-D, empty, not finite, all zero, or a sum that is not
            positive (below 1e-6 of the sum of magnitudes counts as zero).

    Example:
        >>> check([[1, 2, 1]])
        array([[0.25, 0.5 , 0.25]])
    """
    try:
        array = np.asarray(kernel)
    except ValueError:
        raise KernelError(
            "expected a rectangular array of numbers as a kernel, got rows of different lengths"
        ) from None
    if array.dtype.kind == "c":
        raise KernelError(f"expected a real kernel, got {array.dtype}; store its real part")
    if array.dtype.kind not in "buif":
        raise KernelError(f"expected an array of numbers as a kernel, got one of type {array.dtype}; convert it")
    if array.ndim not in (2, 3):
        shape = f"shape {array.shape}" if array.ndim else "a single number"
        raise KernelError(f"expected a kernel (rows, columns) or (channels, rows, columns), got {shape}")
    if array.size == 0:
        raise KernelError(
            f"expected a kernel of at least one tap, got an empty array of shape {array.shape}; check its file"
        )
    if array.ndim == 3 and array.shape[0] > 4 and array.shape[2] <= 4:
        raise KernelError(
            f"expected one kernel per channel as (channels, rows, columns), got {array.shape}; transpose it"
        )
    taps = array.astype(np.float64)
    if not np.isfinite(taps).all():
        bad = int(np.size(taps) - np.isfinite(taps).sum())
        raise KernelError(f"expected finite taps, got NaN or infinity in {bad} of {taps.size}; replace them")
    largest = np.abs(taps).max(axis=(-2, -1), keepdims=True)
    if not largest.all():
        which = "its taps" if taps.ndim == 2 else f"the taps of channel {int(np.argmin(largest))}"
        raise KernelError(f"expected a kernel with light in it, got {which} all zero; check the file")
    exponent = np.frexp(largest)[1]
    taps = np.ldexp(taps, -exponent)  # the sum of huge taps must not overflow; powers of two round nothing
    total = taps.sum(axis=(-2, -1), keepdims=True)
    size = np.abs(taps).sum(axis=(-2, -1), keepdims=True)
    if (total <= 1e-6 * size).any():
        worst = float(np.ldexp(total, exponent).min())
        raise KernelError(f"expected a kernel with a positive sum (it keeps the brightness), got {worst:.3g}")
    one = np.ldexp(1.0, np.clip(-exponent, -99, 99))
    total = np.where(np.abs(total - one) < 1e-14 * size, one, total)  # checking twice changes nothing
    return np.asarray(taps / total, dtype=np.float64)


def origin(shape: Sequence[int]) -> tuple[int, int]:
    """The origin tap (kh // 2, kw // 2) of a kernel of shape (..., kh, kw).

    Example:
        >>> origin((5, 4))
        (2, 2)
    """
    return shape[-2] // 2, shape[-1] // 2


def square(kernel: ArrayLike, *, room: int = 0, least: int = 0) -> Array:
    """The taps of all channels' mean in an odd square about their origin.

    Args:
        kernel: (kh, kw), or (C, kh, kw).
        room: pixels beyond what the taps reach.
        least: pixels that the square reaches from its middle at least.

    Example:
        >>> square([[1.0, 3.0]]).tolist()
        [[0.0, 0.0, 0.0], [1.0, 3.0, 0.0], [0.0, 0.0, 0.0]]
    """
    taps = np.asarray(kernel, dtype=np.float64)
    taps = taps if taps.ndim == 2 else taps.mean(0)
    reach = max(least, room + max(max(length // 2, length - 1 - length // 2) for length in taps.shape))
    grown = np.zeros((2 * reach + 1, 2 * reach + 1))
    top, left = (reach - length // 2 for length in taps.shape)
    grown[top : top + taps.shape[0], left : left + taps.shape[1]] = taps
    return grown


def fits(kernel: Array, frame_shape: Sequence[int]) -> None:
    """Raise KernelError unless the kernel can have blurred a frame of this shape.

    Args:
        kernel: (kh, kw) or (C, kh, kw).
        frame_shape: (H, W) or (..., C, H, W).

    Example:
        >>> fits(np.ones((3, 3)) / 9, (1, 64, 64))
        >>> fits(np.full((9, 1), 1 / 9), (8, 64))
        Traceback (most recent call last):
        deblur.errors.KernelError: expected a kernel no larger than the frame, got 9 x 1 taps for 8 x 64 pixels; ...
    """
    rows, columns = frame_shape[-2:]
    if kernel.shape[-2] > rows or kernel.shape[-1] > columns:
        got = f"{kernel.shape[-2]} x {kernel.shape[-1]} taps for {rows} x {columns} pixels"
        raise KernelError(f"expected a kernel no larger than the frame, got {got}; crop it about its origin")
    channels = frame_shape[-3] if len(frame_shape) > 2 else 1
    if kernel.ndim == 3 and kernel.shape[0] not in (1, channels):
        raise KernelError(
            f"expected one kernel per channel, got {kernel.shape[0]} kernels for {channels} channel(s); "
            "give one kernel for all or one for each"
        )
    if getattr(kernel, "stack", False) and channels > 1:
        raise KernelError(
            f"expected one kernel for all channels, got a stack of {kernel.shape[0]} planes, which may be a volume's; "
            "--kernel-channels (kernel_channels=True) takes one for each channel"
        )


def flip(kernel: Array) -> Array:
    """Turn a correlation kernel into a convolution kernel (and back): both axes reversed about the origin tap.

    An axis of even size gains one tap, since the reflection of tap 0 about tap k // 2 is tap k.

    Example:
        >>> flip(np.array([[0.75, 0.25, 0.0]]))
        array([[0.  , 0.25, 0.75]])
        >>> flip(np.array([[0.75, 0.25]]))
        array([[0.  , 0.25, 0.75]])
    """
    even = [(0, 0)] * (kernel.ndim - 2) + [(0, 1 - size % 2) for size in kernel.shape[-2:]]
    return np.ascontiguousarray(np.pad(kernel, even)[..., ::-1, ::-1])


def trim(kernel: Array, loss: float = 0.0) -> Array:
    """Cut the zero margins off, as far as the origin tap stays the origin tap: less work, the same blur.

    Args:
        kernel: (kh, kw) or (C, kh, kw).
        loss: the share of the magnitudes that may go with the margins of either axis.

    Example:
        >>> trim(np.array([[0.0, 0.5, 0.5, 0.0, 0.0]]))
        array([[0.5, 0.5, 0. ]])
    """
    cuts = []
    for axis in (-2, -1):
        centre = kernel.shape[axis] // 2
        others = tuple(a for a in range(-kernel.ndim, 0) if a != axis)
        profile, away = np.abs(kernel).sum(others), np.abs(np.arange(kernel.shape[axis]) - centre)
        beyond = np.cumsum(np.bincount(away, profile)[::-1])[::-1]  # what lies at every distance or farther
        reach = int(np.flatnonzero(beyond > loss * profile.sum()).max())
        cuts.append(slice(max(centre - reach, 0), centre + reach + 1))
    return np.ascontiguousarray(kernel[..., cuts[0], cuts[1]])
