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


@pytest.mark.parametrize("job", [*JOBS, "fit"])
def test_an_array_laid_out_as_a_tensor_is_refused(job: str) -> None:
    with pytest.raises(ShapeError, match=r"looks like \(C, H, W\)"):
        JOBS.get(job, deblur.fit)(np.random.default_rng(0).random((3, 40, 44)))


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("channels", [2, 4, 5, 7])
def test_every_channel_is_data_unless_the_last_is_said_to_be_alpha(job: str, channels: int) -> None:
    gray = picture(40, 44)
    array = torch.cat([gray * (1 - 0.1 * index) for index in range(channels)]).movedim(0, -1).numpy()
    result = deblur.apply(array, KERNEL, method="tv", mask="none", trust="none") if job == "apply" else JOBS[job](array)
    assert result.shape == array.shape
    assert (np.abs(result - array).mean((0, 1)) > 1e-4).all()


@pytest.mark.parametrize("method", ["flow", "tv"])
def test_a_channel_that_holds_nothing_spoils_no_other(method: str) -> None:
    gray = deblur.blur(picture(80, 84), KERNEL, noise=0.004)[0].numpy()
    options: dict[str, Any] = {"method": method, "mask": "none", "trust": "none"}
    alone, record = deblur.apply(gray, KERNEL, full_output=True, **options)
    beside, other = deblur.apply(np.dstack([gray, np.full_like(gray, 0.5)]), KERNEL, full_output=True, **options)
    assert other.sigma < 2 * record.sigma
    assert np.abs(beside[..., 0] - alone).mean() < 0.01


WIDE = [np.uint8, np.uint16, np.uint32, np.uint64, np.float16, np.float32, np.float64]


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("colours", [1, 3, 4])
def test_alpha_and_what_it_hides_come_back_to_the_bit(dtype: type, colours: int) -> None:
    rng = np.random.default_rng(0)
    white = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    array = (rng.random((40, 44, colours + 1)) * white).astype(dtype)
    array[10:14, 20:30, -1] = 0
    result = deblur.apply(array, KERNEL, method="wiener", alpha=True)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result[..., -1], array[..., -1])
    assert (result[..., :-1] != array[..., :-1]).any()
    if np.dtype(dtype) != np.uint64:  # 64 bits are more than a double holds
        np.testing.assert_array_equal(result[10:14, 20:30], array[10:14, 20:30])
    cut = deblur.blur(array, KERNEL, alpha=True)
    rows, columns = ((a - b + 1) // 2 for a, b in zip(array.shape, cut.shape[:2], strict=False))
    np.testing.assert_array_equal(cut[..., -1], array[rows:, columns:, -1][: cut.shape[0], : cut.shape[1]])


def test_alpha_of_a_tensor_and_of_a_batch_is_kept() -> None:
    batch = torch.stack([_colour(alpha=True), _colour(alpha=True).flip(-1)])
    batch[:, -1] = torch.rand(batch[:, -1].shape, generator=torch.Generator().manual_seed(0))
    result = deblur.apply(batch, KERNEL, method="wiener", alpha=True)
    torch.testing.assert_close(result[:, -1], batch[:, -1], rtol=0, atol=0)
    with pytest.raises(ShapeError, match="alpha=False"):
        deblur.apply(batch[:, :1], KERNEL, alpha=True)
