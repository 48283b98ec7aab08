"""The same problem at half the size, where a step costs a quarter and reaches twice as far: for a first guess."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from deblur.psf.operator import Blur
from deblur.restoration.problem import Problem

__all__ = ["doubled", "halved", "halved_frame", "halved_taps", "pooled", "shrunk", "worthwhile"]

SMALLEST = 48
"""Pixels on the shorter side of a frame that is halved, at least; and four times the kernel's."""

QUIETER = 0.7
"""The noise of a mean of four pixels, relative to theirs: a half if it were white, but a JPEG's goes along."""


def worthwhile(problem: Problem) -> bool:
    """Whether half the size leaves enough of frame and kernel to begin from."""
    height, width = problem.blurred.shape[-2:]
    size = max(problem.kernel.shape[-2:])
    return problem.blur.boundary == "unknown" and min(height, width) >= max(SMALLEST, 4 * size) and size >= 5


def halved(problem: Problem) -> Problem:
    """The problem of the means of 2 x 2 pixels; what is not believed, or clips, in one of four does so in the mean."""

    def mean(planes: Tensor) -> Tensor:
        return pooled(planes.to(problem.blurred.dtype))

    def somewhere(planes: Tensor) -> Tensor:
        return mean(planes) > 0

    return replace(
        problem,
        blurred=pooled(problem.blurred),
        kernel=halved_taps(problem.blur.taps),
        sigma=QUIETER * problem.sigma,
        mask=None if problem.mask is None else ~somewhere(~problem.mask),
        weights=None if problem.weights is None else mean(problem.weights),
        deviation=None if problem.deviation is None else mean(problem.deviation),
        clipped=None if problem.clipped is None else somewhere(problem.clipped),
        crushed=None if problem.crushed is None else somewhere(problem.crushed),
    )


def doubled(scene: Tensor, coarse: Blur, fine: Blur) -> Tensor:
    """A scene of the halved problem, (C, *coarse.scene), interpolated to that of the whole one, (C, *fine.scene)."""
    grown = F.interpolate(scene[None], scale_factor=2, mode="bilinear")[0]
    for axis in (0, 1):
        start = 2 * coarse.offset[axis] - fine.offset[axis]
        at = (torch.arange(fine.scene[axis], device=scene.device) + start) % grown.shape[axis + 1]
        grown = grown.index_select(axis + 1, at)
    return grown


def shrunk(scene: Tensor, coarse: Blur, fine: Blur) -> Tensor:
    """The means of 2 x 2 pixels of a scene (C, *fine.scene), for that of a halved problem, (C, *coarse.scene)."""
    for axis in (0, 1):
        start = fine.offset[axis] - 2 * coarse.offset[axis]
        at = (start + torch.arange(2 * coarse.scene[axis], device=scene.device)) % fine.scene[axis]
        scene = scene.index_select(axis + 1, at)
    return pooled(scene)


def pooled(planes: Tensor) -> Tensor:
    """The means of 2 x 2 pixels of planes (C, H, W); an odd row or column goes with itself."""
    height, width = planes.shape[-2:]
    odd = (0, width % 2, 0, height % 2)
    return F.avg_pool2d(F.pad(planes[None], odd, mode="replicate") if any(odd) else planes[None], 2)[0]


def halved_frame(frame: tuple[int, int]) -> tuple[int, int]:
    """The size (H, W) of a frame of means of 2 x 2 pixels."""
    return -(-frame[0] // 2), -(-frame[1] // 2)


def halved_taps(taps: Tensor) -> Tensor:
    """What blurs means of 2 x 2 pixels as the taps (C, kh, kw) blur pixels, if each mean stands for four equal ones."""
    rows, columns = (_halving(length).to(taps) for length in taps.shape[-2:])
    halved = rows @ taps @ columns.T
    return halved / halved.sum((-2, -1), keepdim=True)


def _halving(length: int) -> Tensor:
    """(m, length): how far each of `length` taps lies in each of m of twice the width, both about their origins."""
    origin = length // 2
    reach = (max(origin, length - 1 - origin) + 1) // 2
    near = np.abs(np.arange(length)[None] - origin - 2 * np.arange(-reach, reach + 1)[:, None])
    return torch.from_numpy(np.maximum(0, 1 - near / 2))
