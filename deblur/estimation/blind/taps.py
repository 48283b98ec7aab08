"""What is done to a kernel between the steps: prune, centre, resize, cut to its window.

Kernels are (k, k) float32, k odd, non-negative, summing to 1.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from deblur.estimation.blind.periodic import Array

__all__ = ["centred", "centroid", "dilate", "enlarge", "extent", "normalised", "prune", "similarity", "tight", "window"]

_EIGHT = np.ones((3, 3), dtype=bool)


def normalised(kernel: np.ndarray) -> Array:
    """The kernel with sum 1; a single tap in the middle where nothing is left of it."""
    total = float(kernel.sum())
    if not (math.isfinite(total) and total > 0):
        rows, columns = kernel.shape
        kernel, total = np.zeros((rows, columns)), 1.0
        kernel[rows // 2, columns // 2] = 1
    return np.asarray(kernel / total, dtype=np.float32)


def prune(kernel: np.ndarray, share: float = 0.03, floor: float = 0.05) -> Array:
    """Drop taps below `floor` of the largest, then 8-connected components with less than `share` of the mass.

    Example:
        >>> prune(np.array([[0.9, 0, 0], [0, 0, 0], [0, 0, 0.1]]), share=0.2)[2, 2]
        np.float32(0.0)
    """
    kept = np.where(kernel < floor * kernel.max(), 0, kernel)
    labels, count = ndimage.label(kept > 0, _EIGHT)
    if count > 1 and share > 0:
        mass = ndimage.sum(kept, labels, np.arange(1, count + 1))
        keep = np.concatenate([[False], mass >= min(share * kept.sum(), mass.max())])
        kept = kept * keep[labels]
    return normalised(kept)


def dilate(kernel: np.ndarray, reach: int = 1) -> np.ndarray:
    """Where a kernel has taps, and `reach` pixels around them: (k, k) bool."""
    return np.asarray(ndimage.binary_dilation(kernel > 0, _EIGHT, iterations=reach))


def centroid(kernel: np.ndarray) -> tuple[float, float]:
    """The centre of mass, in pixels from the origin tap (rows, columns)."""
    rows, columns = (np.arange(n) - n // 2 for n in kernel.shape)
    total = float(kernel.sum())
    return float((kernel.sum(1) * rows).sum()) / total, float((kernel.sum(0) * columns).sum()) / total


def centred(kernel: np.ndarray, loss: float = 1.0) -> Array:
    """Move the centroid onto the origin tap, to half a pixel along each axis.

    Whole pixels only: the taps stay what they are. Where more than `loss` of the mass would leave the array, the
    array grows instead, by an even number of rows and columns.

    Example:
        >>> centred(np.array([[1.0, 0, 0], [0, 0, 0], [0, 0, 0]]))[1, 1]
        np.float32(1.0)
    """
    shift = tuple(-round(c) for c in centroid(kernel))
    if shift == (0, 0):
        return normalised(kernel)
    reach = max(abs(s) for s in shift)
    grown = np.roll(np.pad(kernel, reach), shift, (0, 1))
    inner = grown[reach:-reach, reach:-reach]
    return normalised(inner if inner.sum() >= (1 - loss) * grown.sum() else grown)


def enlarge(kernel: np.ndarray, size: int, factor: float = math.sqrt(2)) -> Array:
    """Resample a kernel to a grid `factor` times as fine (below 1: coarser), cubically, in an array of (size, size)."""
    fine = ndimage.zoom(kernel.astype(np.float64), factor, order=3, mode="grid-constant", grid_mode=True)
    fine = np.maximum(fine, 0)
    for axis in (0, 1):
        while fine.shape[axis] != size:
            first, last = np.take(fine, 0, axis).sum(), np.take(fine, -1, axis).sum()
            if fine.shape[axis] > size:
                fine = np.delete(fine, 0 if first < last else -1, axis)
            else:
                side = (1, 0) if first < last else (0, 1)
                fine = np.pad(fine, [side if a == axis else (0, 0) for a in (0, 1)])
    return normalised(fine)


def window(kernel: np.ndarray, size: int) -> Array:
    """The (size, size) part with the most mass; padded where the kernel is smaller."""
    short = max(size - kernel.shape[0], 0)
    kernel = np.pad(kernel, (short // 2, short - short // 2)) if short else kernel
    sums = np.pad(kernel.astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    mass = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    i, j = np.unravel_index(int(mass.argmax()), mass.shape)
    return normalised(kernel[i : i + size, j : j + size])


def tight(kernel: np.ndarray) -> Array:
    """The smallest odd square that holds all taps, the kernel's centroid in its middle as far as that holds them.

    Example:
        >>> tight(np.pad(np.eye(2), 9)).shape
        (3, 3)
    """
    side = extent(kernel, 0.0)
    return centred(window(kernel, side + 1 - side % 2), loss=0.0)


def extent(kernel: np.ndarray, floor: float = 0.05) -> int:
    """The longer side of the box around the taps above `floor` of the largest.

    Example:
        >>> extent(np.eye(7))
        7
    """
    used = kernel > floor * kernel.max()
    sides = [np.flatnonzero(used.any(axis)) for axis in (0, 1)]
    return max(int(side[-1] - side[0]) + 1 for side in sides)


def similarity(a: np.ndarray, b: np.ndarray, blur: float = 1.0) -> float:
    """How alike two kernels are, in [0, 1], at the best shift: their largest normalised cross-correlation.

    Both are smoothed by a Gaussian of `blur` pixels first, so that half a pixel's offset does not count (Hu and Yang,
    Good regions to deblur, ECCV 2012, compare kernels so).

    Example:
        >>> round(similarity(np.eye(5), np.eye(7)), 2) > 0.8
        True
        >>> similarity(np.eye(15), np.eye(15)[::-1]) < 0.4
        True
    """
    side = max(a.shape[0], b.shape[0]) + 8
    smooth = []
    for kernel in (a, b):
        short = side - kernel.shape[0]
        padded = np.pad(kernel.astype(np.float64), ((short // 2, short - short // 2),) * 2)
        smooth.append(ndimage.gaussian_filter(padded, blur, mode="constant"))
    spectra = [np.fft.rfft2(k / np.linalg.norm(k), (2 * side, 2 * side)) for k in smooth]
    return float(np.clip(np.fft.irfft2(spectra[0] * spectra[1].conj(), s=(2 * side, 2 * side)).max(), 0, 1))
