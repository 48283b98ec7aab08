"""The measures agree with their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, shift
from scipy.signal import fftconvolve

from deblur.errors import ShapeError
from deblur.metrics import common_part, psnr, shift_tolerant_psnr, ssim


def scene(height: int = 96, width: int = 120, seed: int = 0) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(height, width)), 2)
    return np.clip(0.5 + noise, 0, 1)


def test_psnr_is_its_formula_and_limits_the_estimate():
    truth = scene()
    noisy = truth + np.random.default_rng(1).normal(0, 0.1, truth.shape)
    assert psnr(noisy, truth) == pytest.approx(-10 * np.log10(np.mean((np.clip(noisy, 0, 1) - truth) ** 2)))
    assert psnr(truth, truth) == math.inf
    assert psnr(np.full((4, 4), 7.0), np.ones((4, 4))) == math.inf


def test_layouts_agree():
    colour = np.stack([scene(seed=i) for i in range(3)], 2)
    noisy = colour + np.random.default_rng(1).normal(0, 0.1, colour.shape)
    tensors = [torch.from_numpy(np.moveaxis(x, 2, 0).copy()) for x in (noisy, colour)]
    for metric in (psnr, ssim, shift_tolerant_psnr):
        assert metric(noisy, colour) == pytest.approx(metric(*tensors), abs=1e-9)
        assert metric(noisy, colour) == pytest.approx(metric(tensors[0], colour), abs=1e-9)
        assert metric(noisy.astype(np.float32), colour.astype(np.float32)) == pytest.approx(
            metric(noisy, colour), abs=1e-4
        )
        assert metric(noisy[..., 0], colour[..., 0]) == pytest.approx(metric(noisy[..., :1], colour[..., :1]))


def test_ssim_is_one_for_equal_pictures_and_falls_with_blur():
    truth = scene()
    assert ssim(truth, truth) == pytest.approx(1)
    values = [ssim(gaussian_filter(truth, sigma), truth) for sigma in (0.5, 1, 2, 4)]
    assert values == sorted(values, reverse=True)
    with pytest.raises(ShapeError, match="expected at least 11 x 11 pixels for SSIM, got 10 x 40"):
        ssim(np.zeros((10, 40)), np.zeros((10, 40)))


@pytest.mark.parametrize(("down", "right"), [(0, 0), (3, -5), (-6, 6), (2.25, -0.5), (-1.75, 4.25)])
def test_a_shift_is_forgiven(down, right):
    truth = scene(128, 140)
    moved = shift(truth, (down, right), mode="mirror", order=3)
    assert shift_tolerant_psnr(moved, truth) > 45
    if down or right:
        assert shift_tolerant_psnr(moved, truth) > psnr(moved, truth) + 10


def test_a_shift_beyond_the_reach_is_not_forgiven():
    truth = scene(128, 140)
    moved = np.roll(truth, 9, axis=1)
    assert shift_tolerant_psnr(moved, truth) < 30 < shift_tolerant_psnr(moved, truth, reach=9)


def test_no_shift_is_plain_psnr_inside():
    truth = scene(128, 140)
    soft, inner = gaussian_filter(truth, 1), (slice(21, -21), slice(21, -21))
    assert shift_tolerant_psnr(soft, truth) == pytest.approx(psnr(soft[inner], truth[inner]), abs=1e-9)


def test_the_shift_of_a_large_picture_is_found_in_its_middle(monkeypatch):
    truth = scene(128, 140)
    moved = shift(truth, (1.25, -2), mode="mirror", order=3)
    whole = shift_tolerant_psnr(moved, truth)
    monkeypatch.setattr("deblur.metrics._SEARCHED", 80)
    assert shift_tolerant_psnr(moved, truth) == pytest.approx(whole, abs=1e-9)


def test_a_small_picture_has_a_smaller_border():
    truth = scene(24, 24)
    assert shift_tolerant_psnr(np.roll(truth, 2, axis=0), truth) > 40
    with pytest.raises(ShapeError, match="more than 14 x 14 pixels for shifts of 6, got 12 x 24; lower the reach"):
        shift_tolerant_psnr(np.zeros((12, 24)), np.zeros((12, 24)))


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 7), (4, 6), (3, 8), (1, 12)])
def test_the_common_part_is_what_a_blurred_frame_shows(rows, columns):
    truth = scene(40, 50)
    kernel = np.zeros((rows, columns))
    kernel[rows // 2, columns // 2] = 1  # the origin: this blur moves nothing
    frame = fftconvolve(truth, kernel, "valid")
    a, b = common_part(frame, truth)
    np.testing.assert_allclose(a, b, atol=1e-12)
    assert a.shape == frame.shape
    c, d = common_part(torch.from_numpy(truth)[None], torch.from_numpy(frame)[None])
    np.testing.assert_array_equal(c[0].numpy(), b)
    np.testing.assert_array_equal(d[0].numpy(), a)


@pytest.mark.parametrize(("first", "second"), [((40, 50), (30, 60)), ((40, 50), (80, 100)), ((40, 50), (19, 50))])
def test_sizes_no_blur_explains_are_refused(first, second):
    message = (
        rf"^expected a picture and its blur, got {first[1]} x {first[0]} and {second[1]} x {second[0]} pixels, "
        "which do not belong together; check the files$"
    )
    with pytest.raises(ShapeError, match=message):
        common_part(np.zeros(first), np.zeros(second))


def test_different_sizes_are_refused():
    for metric in (psnr, ssim, shift_tolerant_psnr):
        with pytest.raises(ShapeError, match="got 50 x 40 with 1 channel and 51 x 40 with 1 channel; check"):
            metric(np.zeros((40, 50)), np.zeros((40, 51)))
        with pytest.raises(ShapeError, match="got 50 x 40 with 3 channels and 50 x 40 with 1 channel"):
            metric(np.zeros((40, 50, 3)), np.zeros((40, 50)))
        with pytest.raises(ShapeError, match=r"expected an array \(H, W\) or \(H, W, C\), got \(5,\)"):
            metric(np.zeros(5), np.zeros(5))


def test_a_batch_has_the_mean_of_its_pictures_values():
    truth = torch.from_numpy(np.stack([[scene(seed=i) for i in range(3)], [scene(seed=i) for i in range(3, 6)]]))
    sigma = torch.tensor([0.02, 0.1])[:, None, None, None]
    noisy = truth + sigma * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    for metric in (psnr, ssim, shift_tolerant_psnr):
        values = [metric(x, y) for x, y in zip(noisy, truth, strict=True)]
        assert metric(noisy, truth) == pytest.approx(np.mean(values), abs=1e-12)
        assert values[0] > values[1]
        assert metric(noisy[:1], truth[0]) == values[0]
    with pytest.raises(ShapeError, match="got 2 times 120 x 96 with 3 channels and 120 x 96 with 3 channels"):
        psnr(noisy, truth[0])
    a, b = common_part(truth, truth[..., 2:-2, 1:-1])
    assert a.shape == b.shape == (2, 3, 92, 118)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.uint8])
def test_other_types_are_taken_as_numbers(dtype):
    truth = torch.tensor([[0, 1], [1, 0]]).to(dtype)
    assert psnr(1 - truth, truth) == 0
    assert psnr(truth, truth) == math.inf


def test_a_tensor_with_its_channels_last_is_refused():
    truth = torch.rand(40, 50, 3)
    message = r"got \(40, 50, 3\), which looks like \(H, W, C\); use \.movedim\(-1, 0\)$"
    for metric in (psnr, ssim, shift_tolerant_psnr, common_part):
        with pytest.raises(ShapeError, match=message):
            metric(truth, truth)
        metric(truth.movedim(-1, 0), truth.movedim(-1, 0))
