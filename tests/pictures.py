"""A small picture with edges and slopes, and how near an estimate comes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from deblur.picture import Picture


def picture(height: int = 72, width: int = 80) -> Tensor:
    """Flat areas, a disk, a slope and bars, (1, H, W) float32 in [.1, .9]."""
    y, x = np.mgrid[:height, :width].astype(float)
    image = 0.3 + 0.3 * x / width
    image[(y - height / 2) ** 2 + (x - width / 3) ** 2 < (height / 4) ** 2] = 0.85
    image[:, 2 * width // 3 :] = np.where((x[:, 2 * width // 3 :] // 5) % 2 == 0, 0.1, 0.6)
    image[height // 8 : height // 4, width // 8 : width // 2] = 0.15
    return torch.tensor(image, dtype=torch.float32)[None]


def of(pixels: Tensor, **rest: Any) -> Picture:
    """Pixels (C, H, W) as what `deblur.restore` takes."""
    return Picture(pixels=pixels, **rest)


def psnr(estimate: Tensor, truth: Tensor) -> float:
    return -10 * float((estimate - truth).square().mean().log10())
