"""How close a restored picture is to the truth: PSNR, SSIM, and PSNR up to a shift.

Pictures have values in [0, 1]. A NumPy array is (H, W) or (H, W, C); a tensor is (H, W), (C, H, W) or (B, C, H, W), as
everywhere in this package (`deblur.layout`). The value of a batch is the mean of its pictures' values.

Example:
    >>> truth = np.full((40, 40), 0.5)
    >>> round(psnr(truth + 0.1, truth), 6)
    20.0
    >>> a, b = common_part(truth, truth[7:-7, 3:-2])
    >>> a.shape == b.shape == (26, 35)
    True
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deblur.errors import ShapeError
from deblur.layout import as_batch, as_planes

__all__ = ["METRICS", "common_part", "psnr", "shift_tolerant_psnr", "ssim"]

Picture: TypeAlias = NDArray[Any] | Tensor
_A = TypeVar("_A", NDArray[Any], Tensor)
_B = TypeVar("_B", NDArray[Any], Tensor)

_SEARCHED = 1024  # pixels a side, in the middle of the frame, in which the shift is looked for


def psnr(estimate: Picture, truth: Picture) -> float:
    """Peak signal-to-noise ratio in dB, -10 log10(mean squared error), the estimate limited to [0, 1].

    Args:
        estimate: the restored picture.
        truth: the sharp one, of the same size.

    Returns:
        dB; infinity for equal pictures.

    Raises:
        ShapeError: two sizes; see `common_part` for those of a blurred frame and its scene. Or a tensor with its
            channels last.

    Example:
        >>> import torch
        >>> truth = torch.full((2, 3, 40, 50), 0.5)
        >>> estimate = truth + torch.tensor([0.1, 0.01]).reshape(2, 1, 1, 1)
        >>> round(psnr(estimate[0], truth[0]), 3), round(psnr(estimate, truth), 3)
        (20.0, 30.0)
    """
    return _mean_of(lambda a, b: _decibel(_squared_error(np.clip(a, 0, 1), b) / b.size), estimate, truth)


def ssim(estimate: Picture, truth: Picture) -> float:
    """Structural similarity, at most 1, the mean over the channels, the estimate limited to [0, 1].

    The window is the original one, a gaussian of sigma 1.5 over 11 x 11 pixels: Wang, Bovik, Sheikh & Simoncelli, IEEE
    Transactions on Image Processing 13 (2004).

    Raises:
        ShapeError: two sizes, one below 11 pixels, or a tensor with its channels last.

    Example:
        >>> ramp = np.linspace(0, 1, 40 * 50).reshape(40, 50)
        >>> ssim(ramp, ramp), round(ssim(1 - ramp, ramp), 2)
        (1.0, -0.37)
    """
    return _mean_of(_ssim, estimate, truth)


def _ssim(a: NDArray[Any], b: NDArray[Any]) -> float:
    from skimage import metrics as skimage_metrics

    similarity: Any = skimage_metrics.structural_similarity
    if min(a.shape[1:]) < 11:
        raise ShapeError(f"expected at least 11 x 11 pixels for SSIM, got {a.shape[1]} x {a.shape[2]}; use PSNR alone")
    values = [
        similarity(np.clip(x, 0, 1), y, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
        for x, y in zip(a, b, strict=True)
    ]
    return float(np.mean(values))


def shift_tolerant_psnr(estimate: Picture, truth: Picture, reach: int = 6, border: int = 15) -> float:
    """PSNR at the best shift: a kernel that is off by a pixel moves the picture but leaves it as sharp.

    Whole shifts of up to `reach` pixels each way are tried, then quarters of a pixel around the best (cubic spline).
    One shift serves all channels; it is found on their mean, in the middle 1024 x 1024 pixels. A border of
    `border` + `reach` pixels is left out, in small pictures at most a quarter of their side.

    After Levin, Weiss, Durand & Freeman, "Understanding and evaluating blind deconvolution algorithms", CVPR 2009.

    Raises:
        ShapeError: two sizes, a picture too small for the reach, or a tensor with its channels last.

    Example:
        >>> texture = np.random.default_rng(0).random((80, 80))
        >>> moved = np.roll(texture, 3, axis=1)
        >>> round(psnr(moved, texture)), shift_tolerant_psnr(moved, texture)
        (8, inf)
    """
    return _mean_of(lambda a, b: _shifted_psnr(a, b, reach, border), estimate, truth)


def _shifted_psnr(a: NDArray[Any], b: NDArray[Any], reach: int, border: int) -> float:
    height, width = b.shape[1:]
    margin = min(border + reach, max(reach + 1, min(height, width) // 4))
    if min(height, width) <= 2 * margin:
        raise ShapeError(
            f"expected more than {2 * margin} x {2 * margin} pixels for shifts of {reach}, got {height} x {width}; "
            "lower the reach"
        )
    top, left = max(0, (height - _SEARCHED) // 2), max(0, (width - _SEARCHED) // 2)
    middle = (slice(None), slice(top, top + _SEARCHED), slice(left, left + _SEARCHED))
    best = _best_shift(a[middle].mean(axis=0), b[middle].mean(axis=0), margin, reach)
    inner = (slice(margin, -margin), slice(margin, -margin))
    error = sum(_squared_error(np.clip(_moved(x, *best)[inner], 0, 1), y[inner]) for x, y in zip(a, b, strict=True))
    return _decibel(error / b[(slice(None), *inner)].size)


def common_part(a: _A, b: _B) -> tuple[_A, _B]:
    """The part that two pictures show in common where one is the other's valid blur.

    A blur by a kernel of k pixels, its origin at tap k // 2, shrinks the frame by k - 1: the smaller picture starts at
    pixel (k - 1) // 2 of the larger one, along each axis.

    Args:
        a: a picture.
        b: another one, of the same size or larger or smaller along both axes.

    Returns:
        Both, the larger one cropped to the smaller one's size (a view).

    Raises:
        ShapeError: sizes that no blur can explain: one is wider but less high, or twice as large or more. Or a tensor
            with its channels last.

    Example:
        >>> import torch
        >>> scene, frame = common_part(torch.rand(3, 40, 50), torch.rand(3, 36, 44))
        >>> scene.shape == frame.shape == (3, 36, 44)
        True
    """
    (first, second), names = (_size(a), _size(b)), [f"{w} x {h}" for h, w in (_size(a), _size(b))]
    differences = [y - x for x, y in zip(first, second, strict=True)]
    opposite = differences[0] * differences[1] < 0
    if opposite or any(abs(d) >= min(x, y) for d, x, y in zip(differences, first, second, strict=True)):
        raise ShapeError(
            f"expected a picture and its blur, got {names[0]} and {names[1]} pixels, which do not belong "
            "together; "
            "check the files"
        )
    height, width = min(first[0], second[0]), min(first[1], second[1])
    return _centre(a, height, width), _centre(b, height, width)


def _size(picture: Picture) -> tuple[int, int]:
    """Height and width."""
    planes = as_batch(picture) if isinstance(picture, Tensor) else as_planes(picture)
    return int(planes.shape[-2]), int(planes.shape[-1])


def _centre(picture: _A, height: int, width: int) -> _A:
    full_height, full_width = _size(picture)
    top, left = (full_height - height) // 2, (full_width - width) // 2
    rows, columns = slice(top, top + height), slice(left, left + width)
    return picture[..., rows, columns] if isinstance(picture, Tensor) else picture[rows, columns]


def _batch(picture: Picture) -> NDArray[Any]:
    """(B, C, H, W), float32 or float64."""
    if not isinstance(picture, Tensor):
        array = as_planes(picture)[None]
        return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)
    tensor = as_batch(picture).detach().cpu()
    return (tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()).numpy()


def _mean_of(metric: Callable[[NDArray[Any], NDArray[Any]], float], estimate: Picture, truth: Picture) -> float:
    """The mean of a metric of two pictures (C, H, W) over a batch."""
    a, b = _batch(estimate), _batch(truth)
    if a.shape != b.shape or b.size == 0:
        raise ShapeError(f"expected two pictures of one size, got {_words(a)} and {_words(b)}; check the files")
    return float(np.mean([metric(x, y) for x, y in zip(a, b, strict=True)]))


def _words(batch: NDArray[Any]) -> str:
    """`50 x 40 with 3 channels`, behind the number of pictures where it is not 1."""
    count, channels, height, width = batch.shape
    size = f"{width} x {height} with {channels} channel{'s' * (channels != 1)}"
    return size if count == 1 else f"{count} times {size}"


def _squared_error(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Sum of squared differences, rows summed in their own type and the sums in float64."""
    difference = a - b
    rows = np.einsum("...i,...i->...", difference, difference)
    return float(rows.sum(dtype=np.float64))


def _decibel(mean_squared_error: float) -> float:
    return math.inf if mean_squared_error == 0 else -10 * math.log10(mean_squared_error)


def _best_shift(a: NDArray[Any], b: NDArray[Any], margin: int, reach: int) -> tuple[float, float]:
    """How far (rows, columns) the picture a has moved against b, to a quarter of a pixel."""
    height, width = b.shape
    inner = b[margin:-margin, margin:-margin]

    def error(picture: NDArray[Any], i: int, j: int) -> float:
        return _squared_error(picture[margin + i : height - margin + i, margin + j : width - margin + j], inner)

    near = range(-reach, reach + 1)
    i, j = min(((i, j) for i in near for j in near), key=lambda whole: error(a, *whole))
    quarters = np.arange(-0.5, 0.51, 0.25)
    u, v = min(((u, v) for u in quarters for v in quarters), key=lambda part: error(_moved(a, *part), i, j))
    return i + float(u), j + float(v)


def _moved(picture: NDArray[Any], down: float, right: float) -> NDArray[Any]:
    """The picture moved back by (down, right) pixels."""
    from scipy.ndimage import shift

    if down == 0 and right == 0:
        return picture
    order = 3 if down % 1 or right % 1 else 0
    return cast("NDArray[Any]", shift(picture, (-down, -right), order=order, mode="mirror", output=picture.dtype))


METRICS = {"psnr": psnr, "ssim": ssim, "shift_tolerant_psnr": shift_tolerant_psnr}
"""The metrics that `deblur evaluate` prints."""
