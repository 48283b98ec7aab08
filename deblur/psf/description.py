"""What one wants to know of a kernel before trusting a restoration with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from deblur.ops import StabilityReport, stability
from deblur.psf.array import check, origin
from deblur.psf.quadrant import masked_form

__all__ = ["WEAK", "Description", "describe"]

WEAK = 0.01  # of full contrast: detail that the blur leaves fainter than this drowns in ordinary noise
_DECAYS = 1e-4  # a minimum-phase margin below this is no decay to rely on
_CARRIED = 0.99  # of the light: what counts as the support


@dataclass(frozen=True, kw_only=True)
class Description:
    """The figures of one kernel. Lengths in pixels, (rows, columns); rows count downwards.

    Attributes:
        size: (kh, kw).
        channels: how many kernels came; the figures are those of one of them.
        sum: of the taps as they came, before normalising; the other figures are of the kernel with sum 1.
        smallest, largest: taps.
        origin: the origin tap (kh // 2, kw // 2).
        centroid: relative to the origin tap: by this the blur moves the picture, and its restoration moves it back.
        spread: standard deviation of the light along the rows' axis and along the columns' (NaN where negative taps
            make the variance negative).
        support: rows and columns of the box around the fewest taps that carry 99 % of the light.
        support_taps: how many those are.
        least_gain: the smallest |K(w)| over the frequencies: what the inverse multiplies noise by is 1 / least_gain.
        weak_share: share of the frequencies with |K(w)| below 0.01.
        orientation: the corner the blur reads towards where it is a masked convolution itself, else None.
        stability: what `deblur.ops.stability` measures of its exact inverse, at 256 x 256; None without an orientation.
        invertible: whether that inverse can be trusted in float32 and decays, so that it can at any size.
        verdict: one sentence on the direct inverse.
    """

    size: tuple[int, int]
    channels: int
    sum: float
    smallest: float
    largest: float
    origin: tuple[int, int]
    centroid: tuple[float, float]
    spread: tuple[float, float]
    support: tuple[int, int]
    support_taps: int
    least_gain: float
    weak_share: float
    orientation: str | None
    stability: StabilityReport | None
    invertible: bool
    verdict: str


def describe(kernel: ArrayLike, *, channel: int = 0) -> Description:
    """The figures of a kernel.

    Args:
        kernel: (kh, kw), or (C, kh, kw) of which the figures are those of one `channel`; any positive sum.
        channel: 0 to C - 1.

    Raises:
        KernelError: the array is no kernel.

    Example:
        >>> from deblur.psf import motion
        >>> figures = describe(motion(length=15))
        >>> figures.size, figures.support, figures.orientation, figures.invertible
        ((1, 17), (1, 17), None, False)
    """
    normal = check(kernel)
    planes = normal.reshape(-1, *normal.shape[-2:])
    plane = planes[channel]
    raw = np.asarray(kernel, dtype=np.float64).reshape(planes.shape)[channel]
    form = masked_form(plane)
    report, verdict = None, _no_masked_form(plane)
    if form is not None:
        weight = torch.from_numpy(form.weight.copy())[None, None]
        report = stability(weight, 256, 256)
        corner, sentence = form.orientation.replace("_", " "), report.sentence[0].lower() + report.sentence[1:]
        verdict = f"the blur reads towards the {corner} alone, its anchor the origin tap; {sentence}"
    gain = _gain(plane)
    rows, columns = (np.arange(count) - centre for count, centre in zip(plane.shape, origin(plane.shape), strict=True))
    (row, row_spread), (column, column_spread) = _moments(plane.sum(1), rows), _moments(plane.sum(0), columns)
    box, taps = _support(plane)
    return Description(
        size=(plane.shape[0], plane.shape[1]),
        channels=len(planes),
        sum=float(raw.sum()),
        smallest=float(plane.min()),
        largest=float(plane.max()),
        origin=origin(plane.shape),
        centroid=(row, column),
        spread=(row_spread, column_spread),
        support=box,
        support_taps=taps,
        least_gain=float(gain.min()),
        weak_share=float((gain < WEAK).mean()),
        orientation=None if form is None else form.orientation,
        stability=report,
        invertible=report is not None and report.trusted and report.margin > _DECAYS,
        verdict=verdict,
    )


def _no_masked_form(plane: NDArray[np.float64]) -> str:
    """Why the kernel is no masked convolution."""
    if plane[origin(plane.shape)] == 0:
        return (
            "no direct inverse: the origin tap, its anchor, is zero; restore with a regularised method such as wiener"
        )
    return (
        "no direct inverse: there is light on opposite sides of the origin tap, so that no corner anchors the blur; "
        "restore with a regularised method such as wiener"
    )


def _gain(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """|K(w)| on a grid at least four times as fine as the kernel."""
    grid = [max(256, 1 << (4 * count - 1).bit_length()) if count > 1 else 1 for count in plane.shape]
    return np.abs(np.fft.fft2(plane, s=grid))


def _moments(profile: NDArray[np.float64], positions: NDArray[np.int_]) -> tuple[float, float]:
    """Mean and standard deviation of the light along one axis."""
    mean = float(profile @ positions)
    variance = float(profile @ (positions - mean) ** 2)
    return mean, float(np.sqrt(variance)) if variance >= 0 else float("nan")


def _support(plane: NDArray[np.float64]) -> tuple[tuple[int, int], int]:
    """The box around the fewest taps that carry 99 % of the light, and how many they are."""
    light = np.abs(plane)
    levels = np.sort(light, axis=None)[::-1]
    count = int(np.searchsorted(np.cumsum(levels), _CARRIED * levels.sum())) + 1
    rows, columns = np.nonzero(light >= levels[count - 1] * (1 - 1e-9))  # ties count in, whatever the order of the sum
    return (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1), rows.size
