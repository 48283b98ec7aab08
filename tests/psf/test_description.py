"""What is said of a kernel is true of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

import deblur.psf as psf
from deblur.errors import KernelError
from deblur.psf.description import describe


def test_figures_of_a_shifted_gaussian() -> None:
    kernel = np.roll(psf.gaussian(sigma=1.5, size=21), (2, -3), (0, 1)) * 40
    figures = describe(kernel)
    assert figures.size == (21, 21)
    assert figures.origin == (10, 10)
    assert figures.channels == 1
    assert figures.sum == pytest.approx(40)
    assert figures.centroid == pytest.approx((2, -3), abs=1e-4)
    assert figures.spread == pytest.approx((1.5, 1.5), abs=1e-3)
    assert figures.largest == pytest.approx(kernel.max() / 40)
    assert figures.smallest == pytest.approx(kernel.min() / 40)


def test_support_is_the_fewest_taps_that_carry_99_percent() -> None:
    kernel = np.zeros((9, 9))
    kernel[4, 2:6] = 0.2475
    kernel[0, 0] = kernel[8, 8] = 0.005
    figures = describe(kernel)
    assert figures.support == (1, 4)
    assert figures.support_taps == 4


@pytest.mark.parametrize(
    ("spec", "least"),
    [("box:size=2", 0.0), ("motion:length=4", 0.0), ("laplace:decay_x=1", math.tanh(0.5) ** 2), ("box:size=1", 1.0)],
)
def test_conditioning_is_the_least_gain_of_the_spectrum(spec: str, least: float) -> None:
    figures = describe(psf.make(spec))
    assert figures.least_gain == pytest.approx(least, abs=1e-3)
    assert (figures.weak_share > 0) == (least == 0)


def test_weak_share_counts_frequencies() -> None:
    figures = describe(psf.gaussian(sigma=3))
    radius = math.sqrt(-2 * math.log(0.01)) / 3  # where exp(-sigma^2 w^2 / 2) reaches 0.01
    assert figures.weak_share == pytest.approx(1 - math.pi * radius**2 / (2 * math.pi) ** 2, abs=0.01)


def test_decaying_trail_can_be_inverted_directly() -> None:
    figures = describe(psf.exponential(decay=3, angle=-20))
    assert figures.orientation == "top_left"
    assert figures.invertible
    assert figures.stability is not None
    assert figures.stability.margin > 0
    assert "top left" in figures.verdict


def test_growing_trail_cannot() -> None:
    kernel = np.zeros((1, 9))
    kernel[0, 4:] = [1, 2, 3, 4, 5]  # anchored at its smallest tap
    figures = describe(kernel)
    assert figures.orientation == "top_left"
    assert not figures.invertible
    assert figures.stability is not None
    assert figures.stability.margin < 0


def test_trail_that_does_not_decay_is_not_trusted_though_rounding_alone_would_allow_it() -> None:
    figures = describe(np.array([[0.0, 1.0, 1.0]]))
    assert figures.stability is not None
    assert figures.stability.trusted
    assert not figures.invertible


@pytest.mark.parametrize("spec", ["motion:length=9", "gaussian:sigma=1", "defocus:radius=3", "laplace:decay=1"])
def test_two_sided_blur_has_no_direct_inverse_and_says_what_to_use(spec: str) -> None:
    figures = describe(psf.make(spec))
    assert figures.orientation is None
    assert figures.stability is None
    assert not figures.invertible
    assert "no direct inverse: there is light on opposite sides of the origin tap" in figures.verdict
    assert "wiener" in figures.verdict


def test_zero_anchor_is_named() -> None:
    assert "the origin tap, its anchor, is zero" in describe(np.array([[0.0, 0.0, 1.0]])).verdict


def test_one_channel_of_several() -> None:
    kernels = np.stack([psf.gaussian(sigma=1, size=9), 3 * psf.gaussian(sigma=2, size=9)])
    figures = describe(kernels, channel=1)
    assert figures.channels == 2
    assert figures.sum == pytest.approx(3)
    assert figures.spread[0] > describe(kernels).spread[0]


def test_verdict_is_one_line() -> None:
    for name in ("exponential:decay=3", "motion:length=9", "box:size=1"):
        assert "\n" not in describe(psf.make(name)).verdict


def test_negative_variance_is_no_number() -> None:
    assert math.isnan(describe(np.array([[-1.0, 0, 4, 0, -1.0]])).spread[1])


def test_no_kernel_no_description() -> None:
    with pytest.raises(KernelError, match="all zero"):
        describe(np.zeros((3, 3)))
