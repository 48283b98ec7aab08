"""Pictures and files made on the spot."""

from __future__ import annotations

import numpy as np
import pytest

from deblur.images.stored import Stored


@pytest.fixture
def make_samples():
    """Random samples of a dtype and a number of channels (1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha)."""

    def make(dtype: str, channels: int, height: int = 13, width: int = 21, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        shape = (height, width) if channels == 1 else (height, width, channels)
        if dtype == "float32":
            samples = rng.normal(0.5, 1.0, shape).astype(np.float32)
            if channels in (2, 4):
                samples[..., -1] = rng.random((height, width), dtype=np.float32)
            return samples
        return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)

    return make


@pytest.fixture
def make_stored(make_samples):
    def make(dtype: str = "uint8", channels: int = 3, **rest) -> Stored:
        return Stored.from_samples(make_samples(dtype, channels), **rest)

    return make
