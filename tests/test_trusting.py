"""A restoration is never much worse than its file: what the kernel does not explain is drawn towards it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from pictures import psnr
from skimage import data
from torch import Tensor

import deblur
from deblur import psf, trusting
from deblur.errors import OptionError
from deblur.kernel_trial import probability
from deblur.measuring import Measurements, measure
from deblur.options import ApplyOptions
from deblur.picture import Picture
from deblur.psf import Kernel
from deblur.psf.operator import blur
from deblur.transfer import TRANSFERS

SRGB = TRANSFERS["srgb"]
SHAKE = Kernel(psf.make("shake:size=15,seed=4"))
WRONG = {
    "another shake": psf.make("shake:size=17,seed=9"),
    "turned": SHAKE.flipped(),
    "a disc": psf.make("defocus:radius=6"),
}
OPTIONS = ApplyOptions(method="hyperlaplacian")


def _photograph(kernel: Kernel | np.ndarray, side: int = 200) -> tuple[Picture, Tensor]:
    """What a camera stores in 8 bits of a photograph, and the sharp one."""
    taps = np.asarray(kernel)
    height, width = side + taps.shape[0] - 1, side + taps.shape[1] - 1
    sharp = torch.from_numpy(data.astronaut()[20 : 20 + height, 120 : 120 + width] / 255).float().movedim(-1, 0)
    light = blur(SRGB.decode(sharp), taps)
    light = light + 0.004 * torch.randn(light.shape, generator=torch.Generator().manual_seed(0))
    top, left = ((length - 1) // 2 for length in taps.shape)
    stored = (255 * SRGB.encode(light)).round().clamp(0, 255) / 255
    return Picture(pixels=stored), sharp[:, top : top + side, left : left + side]


@pytest.fixture(scope="module")
def shaken() -> tuple[Picture, Tensor]:
    return _photograph(SHAKE)


@pytest.fixture(scope="module")
def sharp() -> tuple[Picture, Tensor]:
    return _photograph(np.ones((1, 1)))


def test_a_true_kernel_costs_nothing(shaken: tuple[Picture, Tensor]) -> None:
    frame, truth = shaken
    result = deblur.restore(frame, SHAKE, OPTIONS)
    untouched = deblur.restore(frame, SHAKE, dataclasses.replace(OPTIONS, trust="none"))
    assert result.trusted == 1
    assert result.notes == untouched.notes
    torch.testing.assert_close(result.image, untouched.image, rtol=0, atol=0)
    assert psnr(result.image, truth) > psnr(frame.pixels, truth) + 3


@pytest.mark.parametrize("name", list(WRONG))
def test_a_wrong_kernel_is_drawn_towards_the_file_and_a_note_says_so(shaken: tuple[Picture, Tensor], name: str) -> None:
    frame, truth = shaken
    result = deblur.restore(frame, WRONG[name], OPTIONS)
    assert result.trusted < 0.3
    assert any("drawn towards the file" in note for note in result.notes)
    assert psnr(result.image, truth) > psnr(frame.pixels, truth) - 0.2


def test_a_sharp_picture_stays(sharp: tuple[Picture, Tensor]) -> None:
    frame, _ = sharp
    for kernel in (SHAKE, psf.make("gaussian:sigma=1.5")):
        result = deblur.restore(frame, kernel, OPTIONS)
        assert result.trusted < 0.05
        assert psnr(result.image, frame.pixels) > 50


@pytest.mark.parametrize(
    ("kernel", "trusted"),
    [(np.ones((1, 1)), False), (psf.make("defocus:radius=3"), True), (psf.make("defocus:radius=6.5"), True)],
)
def test_an_overexposed_picture_is_tried_beside_what_clips(kernel: np.ndarray, trusted: bool) -> None:
    frame, _ = _photograph(kernel)
    light = (2.5 * SRGB.decode(frame.pixels)).clamp(max=1)
    bright = dataclasses.replace(frame, pixels=(255 * SRGB.encode(light)).round() / 255, ceiling=1.0)
    assert float((bright.pixels >= 1).float().mean()) > 0.1
    tried = Kernel(kernel if trusted else psf.make("defocus:radius=2"))
    found = probability(bright, tried, measure(bright, tried, OPTIONS), OPTIONS)
    assert found > 0.75 if trusted else found < 0.25


def test_a_single_tap_gives_the_file_back(sharp: tuple[Picture, Tensor]) -> None:
    frame, _ = sharp
    result = deblur.restore(frame, np.ones((1, 1)), OPTIONS)
    torch.testing.assert_close(result.image, frame.pixels, rtol=0, atol=0)
    assert "the kernel is a single tap" in result.notes[-1]
    stored = (255 * frame.pixels).round().to(torch.uint8)
    assert torch.equal(deblur.apply(stored, np.ones((3, 3)) * np.eye(3)[1] * np.eye(3)[:, 1:2]), stored)


def test_trust_none_leaves_the_restoration(sharp: tuple[Picture, Tensor]) -> None:
    frame, _ = sharp
    result = deblur.restore(frame, SHAKE, dataclasses.replace(OPTIONS, trust="none"))
    assert result.trusted == 1
    assert not any("drawn" in note for note in result.notes)
    assert psnr(result.image, frame.pixels) < 30


def test_exposure_does_not_change_the_verdict(shaken: tuple[Picture, Tensor]) -> None:
    frame, _ = shaken
    darker = dataclasses.replace(frame, pixels=SRGB.encode(0.5 * SRGB.decode(frame.pixels)))
    for kernel, trusted in ((SHAKE, True), (WRONG["turned"], False)):
        chances = [probability(p, kernel, measure(p, kernel, OPTIONS), OPTIONS) for p in (frame, darker)]
        assert all((chance > 0.75) == trusted for chance in chances)


def test_a_region_has_the_weights_of_the_whole(shaken: tuple[Picture, Tensor]) -> None:
    """The part that says what the kernel is like is the whole frame's; what a region misses is its own."""
    frame, _ = shaken
    spoilt = frame.pixels.clone()
    spoilt[:, 120:, 120:] = frame.pixels[:, 120:, 120:].flip(-1)  # what a mirror shows was blurred by another kernel
    picture = Picture(pixels=spoilt)
    measured = trusting.tried(measure(picture, SHAKE, OPTIONS), picture, SHAKE, OPTIONS)
    image = deblur.restore(picture, SHAKE, dataclasses.replace(OPTIONS, trust="none")).image
    whole = trusting.drawn(picture, image, SHAKE, measured, OPTIONS).weights
    window = (slice(53, 190), slice(37, 195))
    part = trusting.drawn(picture.window(*window), image[(slice(None), *window)], SHAKE, measured, OPTIONS).weights
    assert (part - whole[(slice(None), *window)])[:, 40:-40, 40:-40].abs().max() < 0.05


def test_what_the_kernel_misses_is_drawn_there_alone(shaken: tuple[Picture, Tensor]) -> None:
    frame, _ = shaken
    measured = dataclasses.replace(measure(frame, SHAKE, OPTIONS), trust=0.99)
    image = deblur.restore(frame, SHAKE, OPTIONS).image.clone()
    image[:, 100:160, 100:160] += 0.2 * torch.randn(3, 60, 60, generator=torch.Generator().manual_seed(1))
    weights = trusting.drawn(frame, image, SHAKE, measured, OPTIONS).weights
    assert weights[:, 120:140, 120:140].max() < 0.1
    assert weights[:, :50].min() == 1


def test_what_is_not_believed_is_estimated_all_the_same(sharp: tuple[Picture, Tensor]) -> None:
    frame, _ = sharp
    mask = torch.ones(1, *frame.pixels.shape[1:], dtype=torch.bool)
    mask[:, 90:96, 80:120] = False
    spoilt = dataclasses.replace(frame, pixels=frame.pixels.masked_fill(~mask, 1.0), mask=mask)
    result = deblur.restore(spoilt, SHAKE, OPTIONS)
    assert torch.equal(result.image[:, :60], frame.pixels[:, :60])
    assert (result.image - 1)[:, 90:96, 80:120].abs().max() > 0.1


def test_no_blur_is_a_tap_at_the_origin() -> None:
    assert Kernel([[0.0, 1.0, 0.0]]).still
    assert not Kernel([[1.0, 0.0, 0.0]]).still
    assert not Kernel(SHAKE).still


def test_the_probability_is_part_of_the_record() -> None:
    record = Measurements(linear=True, trust=0.5)
    assert Measurements.of(record.plain()).trust == 0.5


def test_another_trust_is_refused() -> None:
    with pytest.raises(OptionError, match="expected trust to be one of auto, none"):
        ApplyOptions(trust="half")
