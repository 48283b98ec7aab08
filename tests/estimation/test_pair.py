"""The kernel between a sharp and a blurred picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scenes import distance, exposed, noisy, photograph, seen
from scipy.ndimage import shift

from deblur import psf
from deblur.errors import OptionError, ShapeError
from deblur.estimation.least_squares import Pair, fit
from deblur.estimation.pair import PairEstimator, confidence
from deblur.psf.operator import blur

SHAKE = "shake:size=13,seed=3"


@pytest.mark.parametrize("spec", [SHAKE, "motion:length=9,angle=30", "exponential:decay=1.5,angle=-40", "box:size=4"])
@pytest.mark.parametrize("larger", [True, False])
def test_a_pair_without_noise_gives_the_kernel_exactly(spec: str, larger: bool) -> None:
    sharp, kernel = photograph(), psf.make(spec)
    scene = sharp if larger else seen(sharp, kernel)
    estimate = PairEstimator()([exposed(sharp, spec)], [scene])
    assert distance(estimate.kernel, kernel) < 1e-5
    assert estimate.kernel.sum() == pytest.approx(1)
    assert estimate.kernel.min() >= 0
    assert estimate.confidence > 0.99
    assert estimate.warnings == ()


def test_gain_and_offset_of_each_channel_are_found() -> None:
    sharp = torch.cat([photograph(), photograph(top=20), photograph(left=40)])
    gains, offsets = torch.tensor([0.8, 1.1, 1.3]).double(), torch.tensor([0.1, 0.0, -0.05]).double()
    blurred = exposed(sharp, SHAKE) * gains[:, None, None] + offsets[:, None, None]
    found = fit([Pair(blurred=blurred, sharp=sharp)], (13, 13))
    assert distance(found.kernel, psf.make(SHAKE)) < 1e-5
    torch.testing.assert_close(found.gains[0], gains, rtol=1e-5, atol=0)


def test_the_posterior_deviation_covers_the_error() -> None:
    sharp, kernel = photograph(), psf.make(SHAKE)
    found = fit([Pair(blurred=exposed(sharp, SHAKE, 0.01), sharp=sharp)], (13, 13))
    error = np.abs(found.kernel - kernel)
    assert 0.2 < np.sqrt((error**2).mean() / (found.deviation**2).mean()) < 1.5
    assert (error < 4 * found.deviation + 1e-9).mean() > 0.97
    assert found.residual == pytest.approx(0.01, rel=0.02)


def test_more_pairs_tell_more() -> None:
    scenes = [photograph(120), photograph(120, top=250), photograph(120, top=60, left=300)]
    frames = [noisy(blur(scene, psf.make(SHAKE)), 0.02, seed) for seed, scene in enumerate(scenes)]
    one, all_ = (
        distance(PairEstimator(size=13)(frames[:n], scenes[:n]).kernel, psf.make(SHAKE)) for n in (1, len(scenes))
    )
    assert all_ < 0.8 * one


def test_masked_pixels_do_not_count() -> None:
    sharp = photograph()
    blurred = exposed(sharp, SHAKE)
    mask = torch.ones_like(blurred)
    blurred[:, 40:80, 60:90] = 1.0
    mask[:, 40:80, 60:90] = 0.0
    kernel = psf.make(SHAKE)
    assert distance(PairEstimator(size=13)([blurred], [sharp], masks=[mask]).kernel, kernel) < 1e-5
    assert distance(PairEstimator(size=13)([blurred], [sharp]).kernel, kernel) > 0.05


def test_the_size_is_found_and_need_not_be_square() -> None:
    sharp, kernel = photograph(), psf.make("motion:length=13,angle=10")
    estimate = PairEstimator()([exposed(sharp, "motion:length=13,angle=10")], [seen(sharp, kernel)])
    assert estimate.size == kernel.shape


def test_a_distant_pair_is_registered() -> None:
    sharp, kernel = photograph(280), psf.make("motion:length=9,angle=30")
    blurred = exposed(sharp, "motion:length=9,angle=30", 0.002)
    scene = seen(sharp, kernel)
    estimate = PairEstimator()([blurred[:, 30:, :-25]], [scene[:, :-30, 25:]])
    assert distance(estimate.kernel, kernel) < 0.05
    down, right = estimate.details["shift"]
    assert abs(down + 30) < 3
    assert abs(right - 25) < 3
    assert "lies" in estimate.warnings[0]


def test_a_fraction_of_a_pixel_is_found_where_it_matters() -> None:
    sharp, kernel = photograph(), psf.make("motion:length=5,angle=0")
    scene = seen(sharp, kernel)
    moved = torch.from_numpy(shift(scene[0].numpy(), (0.4, -0.3), order=5, mode="mirror"))[None]
    estimate = PairEstimator(size=9)([exposed(sharp, "motion:length=5,angle=0")], [moved], sigma=1e-4)
    down, right = estimate.details["shift"]
    assert down == pytest.approx(-0.4, abs=0.12)
    assert right == pytest.approx(0.3, abs=0.15)  # along the motion the soft ends of the kernel take a part


def test_the_warnings_say_what_is_wrong() -> None:
    sharp = photograph()
    scene = seen(sharp, np.ones((1, 17)))
    assert "touches its rim" in " ".join(
        PairEstimator(size=7)([exposed(sharp, "motion:length=15,angle=0")], [scene]).warnings
    )
    (line,) = PairEstimator()([noisy(sharp, 0.01)], [sharp]).warnings
    assert "single tap" in line


def test_another_scene_is_refused() -> None:
    with pytest.raises(OptionError, match="expected the sharp picture to show the same scene"):
        PairEstimator()([exposed(photograph(208, top=250, left=20), "box:size=3")], [photograph(206)])


@pytest.mark.parametrize("shape", [(1, 150, 206), (1, 206, 330), (3, 206, 206)])
def test_shapes_that_cannot_belong_together_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="like the blurred one"):
        PairEstimator()([photograph(206)], [torch.rand(shape)])


def test_confidence_falls_with_misfit() -> None:
    values = [confidence(residual, 0.01, 1.0) for residual in (0.01, 0.0105, 0.012, 0.02, 0.1)]
    assert values == sorted(values, reverse=True)
    assert values[0] == 1
    assert values[-1] == 0
