"""One layout for everything: an array is (H, W[, C]), a tensor (H, W), (C, H, W) or (B, C, H, W)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pictures import picture

import deblur
from deblur.errors import ShapeError

KERNEL = "motion:length=5,angle=30"
JOBS: dict[str, Callable[..., Any]] = {
    "apply": lambda image: deblur.apply(image, KERNEL, method="wiener", transfer="linear"),
    "denoise": lambda image: deblur.denoise(image, noise=0.05),
    "blur": lambda image: deblur.blur(image, KERNEL, boundary="replicate"),
}


def _colour(alpha: bool = False) -> torch.Tensor:
    gray = picture(40, 44)
    parts = [gray, 0.9 * gray.flip(-1), 0.5 + 0.4 * gray.flip(-2)]
    return torch.cat([*parts, torch.full_like(gray, 0.5)] if alpha else parts)


@pytest.mark.parametrize("job", JOBS)
def test_arrays_and_tensors_are_worked_on_alike(job: str) -> None:
    work = JOBS[job]
    for tensor in (picture(40, 44)[0], picture(40, 44), _colour(), _colour(alpha=True)):
        array = tensor.numpy() if tensor.ndim == 2 else tensor.movedim(0, -1).numpy()
        result = work(tensor)
        assert result.shape == tensor.shape
        np.testing.assert_array_equal(result if tensor.ndim == 2 else result.movedim(0, -1), work(array))


@pytest.mark.parametrize("job", ["apply", "denoise"])
def test_a_batch_is_its_pictures(job: str) -> None:
    batch = torch.stack([_colour(), _colour().flip(-1)])
    together = JOBS[job](batch)
    assert together.shape == batch.shape
    for one, alone in zip(together, batch, strict=True):
        torch.testing.assert_close(one, JOBS[job](alone), rtol=0, atol=0)


def test_a_batch_shares_one_kernel() -> None:
    sharp = torch.stack([picture(96, 90), picture(96, 90).flip(-1)])
    blurred = deblur.blur(sharp, KERNEL, transfer="linear")
    assert blurred.shape[:2] == sharp.shape[:2]
    estimate = deblur.fit(blurred, sharp, size=7, transfer="linear")
    listed = deblur.fit(list(blurred), list(sharp), size=7, transfer="linear")
    np.testing.assert_array_equal(estimate.kernel, listed.kernel)


@pytest.mark.parametrize("job", [*JOBS, "fit"])
@pytest.mark.parametrize("shape", [(40, 44, 3), (40, 44, 1), (2, 40, 44, 3)])
def test_a_tensor_laid_out_as_an_array_is_refused(job: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"use \.movedim\(-1, [01]\)"):
        JOBS.get(job, deblur.fit)(torch.rand(shape))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64, torch.bfloat16])
def test_a_tensor_comes_back_on_its_device_in_its_type(dtype: torch.dtype) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tensor = (_colour() * (255 if dtype == torch.uint8 else 1)).to(device, dtype)
    for work in JOBS.values():
        result = work(tensor)
        assert (result.dtype, result.device.type) == (dtype, device)


def test_more_than_four_channels_are_refused() -> None:
    with pytest.raises(ShapeError, match="C = 1 to 4"):
        deblur.apply(np.zeros((20, 20, 5)), KERNEL)
    with pytest.raises(ShapeError, match="C = 1 to 4"):
        deblur.apply(torch.zeros(5, 20, 20), KERNEL)
