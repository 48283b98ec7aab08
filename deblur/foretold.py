"""What a pixel of a blurred frame must be, foretold from its neighbours.

A blurred frame cannot hold detail that is finer than its blur. With the covariance P of the blurred scene (gradients of
deviation g) and of white noise, at every frequency

    P = |H|^2 g^2 / |D|^2 + sigma^2,        e_i = (P^-1 y)_i / (P^-1)_ii,        var e_i = 1 / (P^-1)_ii

e is the error of foretelling each pixel from all others (Dubrule 1983, "Cross validation of kriging in a unique
neighborhood"). What was added to some pixels is what makes P^-1 (y - added) zero there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from deblur.device import using_threads
from deblur.fourier import fast_shape
from deblur.measuring import Measurements
from deblur.noise import mean_around
from deblur.psf import Kernel

__all__ = ["CORE", "FAR", "Foretold", "cells", "each_of", "inside", "taps_of", "whole_lines"]

Cell = tuple[tuple[slice, slice], tuple[slice, slice]]
"""Rows and columns of a core, and those of the window around it."""

_Made = TypeVar("_Made")

FAR = 11.0
"""Deviations, and times what is missed around it, from which a pixel begins a group."""

CORE = 480
"""Pixels a side of the cells that are looked at."""

GRADIENT = 0.06
"""Standard deviation of a sharp scene's differences, as a share of the frame's span."""

QUIETEST = 0.002
"""Noise, as a share of the span, below which nothing is told apart: rounding, interpolation."""

PADDING = 16
"""Pixels by which a part is mirrored at its edges."""


class Foretold:
    """One channel of a part of a frame, and how far its pixels are from what their neighbours say.

    Args:
        plane: (H, W) float32 in stored values.
        taps: of the blur, (kh, kw).
        record: what the whole frame shows.

    Example:
        >>> plane = torch.full((40, 40), 0.5)
        >>> plane[20, 20] = 0.6
        >>> part = Foretold(plane, np.full((5, 5), 0.04), Measurements(linear=True, deviations=(0.01,)))
        >>> bool(part.deviations()[20, 20] > 8)
        True
    """

    def __init__(self, plane: Tensor, taps: NDArray[np.float64], record: Measurements) -> None:
        self.plane, self.shape = plane, tuple(plane.shape)
        self.size = fast_shape([n + 2 * PADDING for n in self.shape])
        deviations, shares = np.array(record.deviations), np.array(record.shares)
        noise = float(np.sqrt((shares * deviations**2).sum() / shares.sum()))
        noise = max(noise, record.shown, QUIETEST * (record.span or 1.0))
        numbers = np.asarray(taps, np.float32)
        self._precision, diagonal = _precision(
            self.size, numbers.tobytes(), numbers.shape, GRADIENT * record.span, noise
        )
        around = mean_around(plane[None], 5)[0].numpy()
        noisier = np.maximum(np.interp(around, record.levels, record.deviations) / noise, 1)
        self.deviation = (noisier / math.sqrt(diagonal)).astype(np.float32)
        self._scale = (1 / (noisier * math.sqrt(diagonal))).astype(np.float32)

    def deviations(self, added: Tensor | None = None) -> NDArray[np.float32]:
        """How many standard deviations each pixel is above what the others say, once what was added is taken off."""
        plane = self.plane if added is None else self.plane - added
        deviations: NDArray[np.float32] = self._filtered(_mirrored(plane)).numpy() * self._scale
        return deviations

    def profiles(self) -> list[NDArray[np.float64]]:
        """What a column, and a row, that is off by a deviation does to those within 64 of it."""
        lines = [torch.fft.irfft(self._precision[0], self.size[1]), torch.fft.ifft(self._precision[:, 0]).real]
        found = []
        for line in lines:
            reach = min(64, (len(line) - 1) // 2)
            found.append(torch.cat([line[-reach:], line[: reach + 1]]).double().numpy() / float(line[0]))
        return found

    def added(self, found: NDArray[np.bool_], start: Tensor | None = None, steps: int = 40) -> Tensor:
        """What was added to the pixels found, by conjugate gradients from a start."""
        at = torch.from_numpy(found)
        added = torch.zeros(self.shape) if start is None else start * at
        residual = self._filtered(_mirrored(self.plane - added)).mul_(at)
        direction, power = residual.clone(), float(residual.square().sum())
        least = 1e-5 * power
        for _ in range(steps):
            if power <= least:
                break
            image = self._filtered(F.pad(direction, [PADDING] * 4)).mul_(at)
            step = power / float((direction * image).sum())
            added += step * direction
            residual -= step * image
            last, power = power, float(residual.square().sum())
            direction.mul_(power / last).add_(residual)
        return added

    def _filtered(self, padded: Tensor) -> Tensor:
        """P^-1 of a padded part, without its padding; beyond, it goes on as its edge does."""
        (height, width), beyond = padded.shape, [n - m for n, m in zip(self.size, padded.shape, strict=True)]
        if any(beyond):
            padded = F.pad(padded[None, None], [0, beyond[1], 0, beyond[0]], mode="replicate")[0, 0]
        result = torch.fft.irfft2(torch.fft.rfft2(padded).mul_(self._precision), self.size)
        inner: Tensor = result[PADDING : height - PADDING, PADDING : width - PADDING].contiguous()
        return inner


@lru_cache(maxsize=32)
def _precision(
    size: tuple[int, ...], taps: bytes, shape: tuple[int, int], gradient: float, noise: float
) -> tuple[Tensor, float]:
    """P^-1 on a grid, and its diagonal among pixels; most cells of a frame share it."""
    transfer = torch.fft.rfft2(torch.from_numpy(np.frombuffer(taps, np.float32).reshape(shape).copy()), size)
    rows, columns = torch.fft.fftfreq(size[0]), torch.fft.rfftfreq(size[1])
    down, across = (2 - 2 * torch.cos(2 * math.pi * frequency) for frequency in (rows, columns))
    scene = gradient**2 / (down[:, None] + across + 1e-4)
    precision = 1 / (transfer.abs().square() * scene + noise**2)
    return precision, float(torch.fft.irfft2(precision, size)[0, 0])


def whole_lines(
    planes: Tensor, kernel: Kernel, record: Measurements, barred: NDArray[np.bool_], margin: int
) -> list[NDArray[np.bool_]]:
    """Which columns, and which rows, are off as a whole."""
    size = barred.shape[1], barred.shape[0]
    edge = max(16, *kernel.shape[-2:])
    lines, parts = [np.zeros(n, bool) for n in size], list(cells(barred.shape, CORE, margin))
    for channel, plane in enumerate(planes):
        sums, counts = ([np.zeros(n) for n in size] for _ in range(2))

        def medians(
            cell: Cell, channel: int = channel, plane: Tensor = plane
        ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            core, window = cell
            part = Foretold(plane[window], taps_of(kernel, window, channel), record)
            z, bad = part.deviations()[inside(core, window)], barred[core]
            return _medians(z, bad, 0), _medians(z, bad, 1)

        for (core, _), both in each_of(medians, parts):
            for axis, (at, middle) in enumerate(zip((core[1], core[0]), both, strict=True)):
                count = (~barred[core]).sum(axis)
                sums[axis][at] += middle * count
                counts[axis][at] += count
        window = parts[-1][1]
        profiles = Foretold(plane[window], taps_of(kernel, window, channel), record).profiles()
        for line, total, count, profile in zip(lines, sums, counts, profiles, strict=True):
            good = count > 32
            good[:edge] = good[-edge:] = False  # what lies beyond the frame is unknown, and what is not believed
            good &= ~binary_dilation(count <= 32, iterations=edge)
            line |= _peaks(np.where(good, total / np.maximum(count, 1), 0), good, profile)
    return lines


def _medians(z: NDArray[np.float32], bad: NDArray[np.bool_], axis: int) -> NDArray[np.float64]:
    """The medians along an axis of what is not bad; 0 where all is."""
    if not bad.any():
        return np.median(z, axis).astype(np.float64)
    told = np.flatnonzero(~bad.all(axis))
    medians = np.zeros(bad.shape[1 - axis])
    medians[told] = np.nanmedian(np.where(bad, np.nan, z).take(told, 1 - axis), axis)
    return medians


def _peaks(middle: NDArray[np.float64], good: NDArray[np.bool_], profile: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the lines are off by themselves, the strongest first, each with what it does to the others taken off."""
    found: NDArray[np.bool_] = np.zeros(len(middle), bool)
    start = np.abs(middle).max(initial=0)
    if not good.any():
        return found
    reach = len(profile) // 2
    for _ in range(len(middle) // 50 + 1):
        off = np.where(good & ~found, np.abs(middle - np.median(middle[good])), 0)
        at = int(off.argmax())
        around = slice(max(0, at - 24), at + 25)
        usual = max(np.median(off[part][good[part] & ~found[part]]) / 0.6745 for part in (around, slice(None)))
        if off[at] < max(1.5, FAR * usual, 0.1 * start):
            break
        found[at] = True
        padded = np.pad(middle, reach)
        padded[at : at + len(profile)] -= middle[at] * profile
        middle = padded[reach:-reach]
    return found


def taps_of(kernel: Kernel, window: tuple[slice, slice], channel: int) -> NDArray[np.float64]:
    """The taps that blurred a channel in a window, (kh, kw)."""
    taps: NDArray[np.float64] = kernel.at(window).taps
    return taps if taps.ndim == 2 else taps[channel % len(taps)]


def inside(core: tuple[slice, slice], window: tuple[slice, slice]) -> tuple[slice, slice]:
    """The core within its window."""
    rows, columns = (slice(c.start - w.start, c.stop - w.start) for c, w in zip(core, window, strict=True))
    return rows, columns


def cells(shape: tuple[int, ...], side: int, margin: int) -> Iterator[Cell]:
    """Cells that cover a plane, and each with a margin where the plane goes on."""
    for top in range(0, shape[0], side):
        for left in range(0, shape[1], side):
            ends = min(top + side, shape[0]), min(left + side, shape[1])
            wide = slice(max(0, top - margin), ends[0] + margin), slice(max(0, left - margin), ends[1] + margin)
            window = (
                slice(wide[0].start, min(wide[0].stop, shape[0])),
                slice(wide[1].start, min(wide[1].stop, shape[1])),
            )
            yield (slice(top, ends[0]), slice(left, ends[1])), window


def each_of(work: Callable[[Cell], _Made], todo: Sequence[Cell]) -> Iterator[tuple[Cell, _Made]]:
    """Every cell with what a job makes of it, in order, as many at a time as torch has threads."""
    count = torch.get_num_threads()
    # each job has one thread of torch's; what that sets for all is set back
    with using_threads(count), ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from zip(todo, pool.map(work, todo), strict=True)


def _mirrored(plane: Tensor) -> Tensor:
    least = min(plane.shape) > PADDING
    return F.pad(plane[None, None], [PADDING] * 4, mode="reflect" if least else "replicate")[0, 0]
