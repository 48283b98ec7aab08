"""The whole, on small frames; `benchmarks/blind.py` measures it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from deblur import psf
from deblur.errors import KernelError, OptionError, ShapeError
from deblur.estimation.blind import BlindEstimator, estimator, taps
from deblur.estimation.blind.periodic import Array
from deblur.estimation.blind.pyramid import climb
from deblur.estimation.estimate import Estimate
from deblur.progress import Step
from deblur.psf.operator import blur

FAST = BlindEstimator(size=13, starts=("scout", "free"))


@pytest.fixture(scope="module")
def estimate(frame: Tensor) -> Estimate:
    return FAST([frame])


def test_the_kernel_is_found(estimate: Estimate, kernel: NDArray[np.float64]) -> None:
    assert taps.similarity(estimate.kernel, kernel, 0.7) > 0.9
    assert estimate.confidence > 0.7
    assert estimate.method == "blind"
    assert estimate.region is None


def test_the_kernel_is_a_kernel(estimate: Estimate) -> None:
    found = estimate.kernel
    assert found.dtype == np.float64
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert all(abs(c) <= 0.5 + 1e-6 for c in taps.centroid(found))


@pytest.mark.slow
def test_the_same_frame_gives_the_same_kernel(frame: Tensor, estimate: Estimate) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert np.array_equal(FAST([frame]).kernel, estimate.kernel)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
def test_the_size_is_found(frame: Tensor, kernel: NDArray[np.float64]) -> None:
    found = replace(FAST, size=None)([frame])
    assert 9 <= found.details["size"] <= 21
    assert taps.similarity(found.kernel, kernel, 0.7) > 0.9


@pytest.mark.parametrize("size", [13, pytest.param(None, marks=pytest.mark.slow)])
def test_the_best_of_the_scouts_climb_to_full_size_in_windows_that_fit(
    monkeypatch: pytest.MonkeyPatch, frame: Tensor, size: int | None
) -> None:
    begun: list[tuple[int, int]] = []

    def spied(planes: Any, side: int, start: Any, on_round: Any = None, *, begin: Any = None) -> Any:
        begun.append((side, taps.extent(taps.prune(begin))))
        return climb(planes, side, start, on_round, begin=begin)

    monkeypatch.setattr(estimator, "climb", spied)
    replace(FAST, size=size, refine=False)([frame])
    assert 1 <= len(begun) <= 4
    assert all(side == (size or (used + 2) // 2 * 2 + 1) for side, used in begun)


@pytest.mark.parametrize("threads", [1, 2])
def test_what_the_listener_raises_ends_the_job_soon(frame: Tensor, threads: int) -> None:
    heard: list[Step] = []

    def listener(step: Step) -> None:
        heard.append(step)
        if len(heard) > 5:
            raise KeyboardInterrupt

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with pytest.raises(KeyboardInterrupt):
            FAST([frame], on_step=listener)
    finally:
        torch.set_num_threads(before)
    assert len(heard) == 6


@pytest.mark.slow
def test_a_mask_keeps_what_is_saturated_out(frame: Tensor, estimate: Estimate) -> None:
    spoiled, mask = frame.clone(), torch.ones_like(frame, dtype=torch.bool)
    for value in range(3):
        rows, columns = slice(20 + 40 * value, 32 + 40 * value), slice(30 + 30 * value, 50 + 30 * value)
        spoiled[:, rows, columns], mask[:, rows, columns] = 1.0, False
    masked = FAST([spoiled], masks=[mask])
    assert taps.similarity(masked.kernel, estimate.kernel) > 0.9


@pytest.mark.slow
def test_colour_and_several_frames_are_used(scene: Array, kernel: NDArray[np.float64]) -> None:
    generator = torch.Generator().manual_seed(1)
    colours = torch.as_tensor(scene)[None] * torch.tensor([1.0, 0.8, 0.6])[:, None, None]
    frames = [blur(colours, kernel) for _ in range(2)]
    frames = [frame + 0.01 * torch.randn(frame.shape, generator=generator) for frame in frames]
    assert taps.similarity(FAST([frames[0], frames[1][:, :150]]).kernel, kernel) > 0.85


def test_a_sharp_frame_is_said_to_have_no_blur(scene: Array) -> None:
    found = replace(FAST, size=9)([torch.as_tensor(scene)[None]])
    assert any("little or no blur" in warning for warning in found.warnings)


@pytest.mark.slow
def test_a_size_too_small_is_told(scene: Array) -> None:
    frame = blur(torch.as_tensor(scene)[None], psf.make("motion:length=21,angle=0"))
    found = replace(FAST, size=9)([frame])
    assert any("rim" in warning for warning in found.warnings)


@pytest.mark.slow
def test_of_a_large_frame_the_best_region_is_used_and_named(scene: Array, kernel: NDArray[np.float64]) -> None:
    image = np.full((300, 500), 0.5, np.float32)
    image[60:232, 300:472] = scene
    found = replace(FAST, area=160 * 160, compare=0)([blur(torch.as_tensor(image)[None], kernel)])
    assert found.region is not None
    x, y, width, height = found.region
    assert width * height <= 160 * 160
    assert 260 <= x <= 330
    assert 30 <= y <= 90
    assert taps.similarity(found.kernel, kernel) > 0.85


def test_progress_rises_to_the_end(frame: Tensor) -> None:
    steps: list[Step] = []
    replace(FAST, starts=("free",), refine=False)([frame], on_step=steps.append)
    fractions = [step.index / step.total for step in steps]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert len(fractions) > 4


@pytest.mark.parametrize("size", [4, 1, -3])
def test_a_size_that_is_not_odd_and_at_least_3_is_refused(size: int) -> None:
    with pytest.raises(OptionError, match="odd size"):
        BlindEstimator(size=size)


def test_frames_that_cannot_tell_a_kernel_are_refused() -> None:
    noise = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(0))
    with pytest.raises(KernelError, match="flat"):
        FAST([torch.full((1, 64, 64), 0.5)])
    with pytest.raises(ShapeError, match="at least 32"):
        FAST([noise[:, :20]])
    with pytest.raises(KernelError, match="half the frame"):
        replace(FAST, size=41)([noise])
    with pytest.raises(OptionError, match="finite"):
        FAST([noise.masked_fill(noise > 0.9, float("nan"))])
    with pytest.raises(OptionError, match="at least one"):
        FAST([])


def test_a_short_list_of_none_is_refused() -> None:
    with pytest.raises(OptionError, match="shortlist of 1 or more, got 0"):
        BlindEstimator(shortlist=0)


def test_an_unknown_start_is_refused() -> None:
    with pytest.raises(OptionError, match="starts out of"):
        BlindEstimator(starts=("flying",))


@pytest.mark.slow
@pytest.mark.parametrize("differ", [True, False])
def test_regions_of_different_blur_are_told_and_of_one_blur_are_not(scene: Array, differ: bool) -> None:
    angles = (0, 90 if differ else 0)
    kernels = [psf.make(f"motion:length=15,angle={angle}") for angle in angles]
    halves = [blur(torch.as_tensor(scene)[None], kernel)[:, :156, :156] for kernel in kernels]
    frame = torch.cat(halves, dim=2)
    mask = torch.ones_like(frame, dtype=torch.bool)
    mask[..., 128:184] = False  # what lies on both sides is of two blurs
    two = replace(FAST, size=17, starts=("scout",), area=152 * 152, compare=1, refine=False)
    found = two([frame], masks=[mask])
    told = [warning for warning in found.warnings if "several regions differ" in warning]
    assert len(told) == differ, found.details["exchanged kernels"]
    assert len(found.details["regions"]) == 1
