"""Registration of a sharp picture with a blurred one: whole pixels where the kernel's window could not hold the shift,
a fraction of a pixel where it makes the fit better.

A displacement and a kernel that is off its origin are the same thing. So the pair is moved only as far as it has to be:
within the window the kernel says where the blurred picture lies. What no kernel over whole taps can say exactly is a
fraction of a pixel, since it takes negative taps; it shows in the residual and is found there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from deblur.estimation.least_squares import Pair

__all__ = ["displacement", "fraction", "moved", "shifted"]

_SMOOTH = 9
"""Pixels a side over which the light of a kernel is gathered to find where most of it lies."""


def displacement(pair: Pair) -> tuple[int, int]:
    """How far (rows down, columns right) the blurred picture lies from the sharp one, in whole pixels.

    The Wiener quotient of the two spectra is the kernel at its displacement, roughly; most of its light is there.

    Example:
        >>> sharp = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(0))
        >>> displacement(Pair(blurred=sharp.roll((5, -3), (1, 2)), sharp=sharp))
        (5, -3)
    """
    (height, width) = (min(a, b) for a, b in zip(pair.blurred.shape[1:], pair.sharp.shape[1:], strict=True))
    blurred, sharp = (_tapered(_middle(image, height, width)) for image in (pair.blurred, pair.sharp))
    first, second = torch.fft.rfft2(blurred), torch.fft.rfft2(sharp)
    power = second.abs().square().sum(0)
    cross = (first * second.conj()).sum(0) / (power + 0.01 * power.mean() + 1e-300)
    light = torch.fft.irfft2(cross, s=(height, width))
    grown = torch.nn.functional.pad(light[None, None], (_SMOOTH // 2,) * 4, mode="circular")
    gathered = torch.nn.functional.avg_pool2d(grown, _SMOOTH, stride=1)[0, 0]
    row, column = divmod(int(gathered.argmax()), width)
    top, left = row - _SMOOTH // 2, column - _SMOOTH // 2
    window = light.roll((-top, -left), (0, 1))[:_SMOOTH, :_SMOOTH].clamp_min(0).square()
    total = float(window.sum())
    if total > 0:  # the centre of that light
        places = torch.arange(_SMOOTH, dtype=window.dtype)
        row = top + round(float((window.sum(1) * places).sum()) / total)
        column = left + round(float((window.sum(0) * places).sum()) / total)
    return (row + height // 2) % height - height // 2, (column + width // 2) % width - width // 2


def shifted(pair: Pair, rows: int, columns: int) -> Pair:
    """The parts of a pair that belong together where the blurred picture lies (rows, columns) from the sharp one."""
    cuts = []
    for blurred, sharp, move in zip(pair.blurred.shape[1:], pair.sharp.shape[1:], (rows, columns), strict=True):
        lead = (sharp - blurred) // 2 - move  # the sharp pixel that belongs to blurred pixel 0
        start, stop = max(0, -lead), min(blurred, sharp - lead)
        cuts.append((slice(start, stop), slice(start + lead, stop + lead)))
    (from_y, from_x), (to_y, to_x) = zip(*cuts, strict=True)
    mask = None if pair.mask is None else pair.mask[..., from_y, from_x]
    return Pair(blurred=pair.blurred[:, from_y, from_x], sharp=pair.sharp[:, to_y, to_x], mask=mask)


def moved(pair: Pair, rows: float, columns: float) -> Pair:
    """The pair with the sharp picture moved by a fraction of a pixel, down and right (splines of order 5)."""
    from scipy.ndimage import shift

    planes = [shift(plane, (rows, columns), order=5, mode="mirror") for plane in pair.sharp.double().numpy()]
    return dataclasses.replace(pair, sharp=torch.from_numpy(np.stack(planes)))


def fraction(residual: Callable[[float, float], float], rounds: int = 3) -> tuple[float, float]:
    """The fraction of a pixel (down, right) by which the sharp picture should move so that the residual is least.

    The best of a step to either side and of the parabola through both, along each axis in turn, over steps that halve.

    Example:
        >>> fraction(lambda r, c: (r - 0.3) ** 2 + (c + 0.2) ** 2)
        (0.3, -0.2)
    """
    place, step, lowest = [0.0, 0.0], 0.4, residual(0.0, 0.0)
    for _ in range(rounds):
        for axis in (0, 1):
            centre, here = list(place), lowest
            values: list[float] = []
            for sign in (-1.0, 1.0, 0.0):
                if sign == 0:
                    bend = values[0] + values[1] - 2 * here
                    sign = min(max(0.5 * (values[0] - values[1]) / bend, -1.0), 1.0) if bend > 0 else 0.0
                    if sign == 0:
                        break
                tried = list(centre)
                tried[axis] += sign * step
                value = residual(*tried)
                values.append(value)
                if value < lowest:
                    place, lowest = tried, value
        step /= 2
    return round(place[0], 4), round(place[1], 4)


def _middle(image: Tensor, height: int, width: int) -> Tensor:
    top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
    return image[:, top : top + height, left : left + width].double()


def _tapered(image: Tensor) -> Tensor:
    """The differences of an image, which carry the edges, under a Hann window."""
    edges = [torch.diff(image, dim=axis, append=image.narrow(axis, -1, 1)) for axis in (1, 2)]
    window = torch.outer(*(torch.hann_window(n, periodic=False, dtype=image.dtype) for n in image.shape[1:]))
    return torch.cat(edges) * window
