"""A small problem: a frame with an unknown border and noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pictures import picture
from torch import Tensor

from deblur import psf as psfs
from deblur.psf.operator import blur
from deblur.restoration import Problem


@pytest.fixture(scope="session")
def kernel() -> np.ndarray:
    return psfs.make("motion:length=7,angle=30")


@pytest.fixture(scope="session")
def case(kernel: np.ndarray) -> tuple[Problem, Tensor]:
    """A frame with an unknown border and noise, and the truth it shows."""
    scene = picture()
    frame = blur(scene, kernel)
    frame = frame + 0.01 * torch.randn(frame.shape, generator=torch.Generator().manual_seed(0))
    top, left = ((k - 1 - k // 2) for k in kernel.shape)
    truth = scene[:, top : top + frame.shape[1], left : left + frame.shape[2]]
    return Problem(blurred=frame, kernel=kernel, sigma=0.012), truth
