"""A photograph and what a camera makes of it."""

from __future__ import annotations

import numpy as np
import torch
from skimage import data
from torch import Tensor

from deblur import psf
from deblur.psf.operator import blur


def photograph(side: int = 200, top: int = 100, left: int = 120) -> Tensor:
    """A part of a photograph, (1, side, side) float64."""
    return torch.from_numpy(data.camera()[top : top + side, left : left + side] / 255)[None]


def seen(sharp: Tensor, kernel: np.ndarray) -> Tensor:
    """The part of a sharp picture at the pixels of its valid blur."""
    (height, width), (kh, kw) = sharp.shape[1:], kernel.shape
    top, left = (kh - 1) // 2, (kw - 1) // 2
    return sharp[:, top : top + height - kh + 1, left : left + width - kw + 1]


def noisy(image: Tensor, sigma: float, seed: int = 0) -> Tensor:
    return image + sigma * torch.randn(image.shape, generator=torch.Generator().manual_seed(seed), dtype=image.dtype)


def exposed(sharp: Tensor, spec: str, sigma: float = 0.0) -> Tensor:
    """The valid blur of a picture by a kernel of that name, with noise."""
    return noisy(blur(sharp, psf.make(spec)), sigma)


def distance(found: np.ndarray, kernel: np.ndarray) -> float:
    """The difference of two kernels about their origins, relative to the second."""
    size = [max(a, b) for a, b in zip(found.shape, kernel.shape, strict=True)]
    a, b = (
        np.pad(k, [((n - m) // 2, (n - m) // 2) for n, m in zip(size, k.shape, strict=True)]) for k in (found, kernel)
    )
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))
