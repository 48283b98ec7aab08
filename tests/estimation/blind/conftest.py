"""A photograph blurred by a camera's shake."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray
from torch import Tensor

from deblur import psf
from deblur.estimation.blind.periodic import Array
from deblur.psf.operator import blur


@pytest.fixture(scope="session")
def scene() -> Array:
    """A part of a photograph, (172, 172) in [0, 1]."""
    return np.asarray(skimage.data.camera()[60:232, 150:322] / 255, dtype=np.float32)


@pytest.fixture(scope="session")
def kernel() -> NDArray[np.float64]:
    return psf.make("shake:size=13,seed=3")


@pytest.fixture(scope="session")
def frame(scene: Array, kernel: NDArray[np.float64]) -> Tensor:
    """(1, 160, 160): the valid part of the blurred scene, with a little noise."""
    blurred = blur(torch.as_tensor(scene)[None], kernel)
    return blurred + 0.002 * torch.randn(blurred.shape, generator=torch.Generator().manual_seed(0))
