"""Masked convolutions fitted through their exact inverse."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from scenes import noisy, photograph
from torch import Tensor

from deblur.errors import OptionError
from deblur.estimation.masked import MaskedEstimator, product
from deblur.estimation.masked_descent import MARGIN, OBJECTIVES, anchor_alone, fit_masked
from deblur.ops import masked_conv2d
from deblur.ops.geometry import ORIENTATIONS
from deblur.ops.minimum_phase import minimum_phase_margin


def exponential(side: int) -> Tensor:
    """A decaying trail in two directions; its taps beside the anchor outweigh it several times."""
    steps = torch.arange(side).double()
    weight = 0.6 ** (steps[:, None] + steps) * (1 + 0.3 * torch.cos(steps[:, None] - steps))
    return weight / weight.sum()


@functools.cache
def random_stable(side: int, seed: int = 1) -> Tensor:
    """Random taps, damped until the inverse decays by a twentieth a pixel."""
    weight = torch.randn(side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    weight[0, 0] = 1
    powers = (torch.arange(side)[:, None] + torch.arange(side)).double()
    return weight * ((1 + minimum_phase_margin(weight[None, None])) / 1.05) ** powers


def convolved(sharp: Tensor, weight: Tensor, orientation: str = "top_left") -> Tensor:
    return masked_conv2d(sharp[:, None], weight[None, None], orientation=orientation)[:, 0]


@pytest.mark.parametrize("side", [3, 5, 9])
@pytest.mark.parametrize("make", [exponential, random_stable])
def test_the_descent_through_the_inverse_finds_the_taps(side: int, make: object) -> None:
    weight, sharp = make(side), photograph(256)  # type: ignore[operator]
    assert weight.abs().sum() > 1.9 * weight[0, 0]  # not dominated by its anchor: no easy case
    found = fit_masked(convolved(sharp, weight), sharp, anchor_alone(side, 1), ["top_left"], objective="inverse")
    assert float((found.weights[0] - weight).norm() / weight.norm()) < 1e-5


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_iterate_has_a_stable_inverse(objective: str) -> None:
    """Even on the way to a kernel that has none: a motion blur anchored at its end."""
    sharp = photograph(64)
    for weight in (torch.full((1, 5), 0.2, dtype=torch.float64), random_stable(5), -2 * torch.eye(3).double()):
        blurred = convolved(sharp, weight)
        for limit in (1, 2, 3, 5, 8, 30):
            found = fit_masked(blurred, sharp, anchor_alone(5, 1), ["top_left"], objective=objective, limit=limit)
            assert minimum_phase_margin(found.weights[0][None, None]) > 0.5 * MARGIN


def test_noise_draws_the_inverse_objective_to_no_blur_and_not_the_forward_one() -> None:
    weight, sharp = exponential(3), photograph(160)
    blurred = noisy(convolved(sharp, weight), 0.01)
    errors = {}
    for objective in OBJECTIVES:
        found = fit_masked(blurred, sharp, anchor_alone(3, 1), ["top_left"], objective=objective).weights[0]
        errors[objective] = float((found - weight).norm() / weight.norm())
    assert errors["forward"] < 0.02
    assert errors["inverse"] > 10 * errors["forward"]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_estimator_finds_corner_size_and_boundary(orientation: str) -> None:
    sharp, weight = photograph(120), exponential(4)
    estimate = MaskedEstimator()([convolved(sharp, weight, orientation)], [sharp])
    (factor,) = estimate.kernel.factors
    assert factor.orientation == orientation
    np.testing.assert_allclose(factor.weight[:4, :4], weight, atol=1e-6)
    assert np.abs(factor.weight[4:]).max(initial=0) < 1e-6
    assert estimate.details["objective"] == "inverse"  # the pair is free of noise
    assert estimate.boundary == "zero"
    assert estimate.confidence > 0.9


def test_noise_and_an_unknown_boundary_choose_the_forward_objective() -> None:
    sharp, weight = photograph(160), exponential(3)
    blurred = noisy(convolved(sharp, weight), 0.01)[:, 20:, 20:]
    estimate = MaskedEstimator(size=3)([blurred], [sharp[:, 20:, 20:]])
    assert estimate.details["objective"] == "forward"
    assert estimate.boundary == "unknown"
    np.testing.assert_allclose(estimate.kernel.factors[0].weight, weight, atol=0.01)


def test_a_cascade_of_the_four_corners_fits_what_no_corner_does() -> None:
    sharp, image = photograph(128), photograph(128)
    weight = torch.tensor([[1.0, -0.35], [-0.3, 0.1]], dtype=torch.float64)  # its inverse is a two-sided trail
    for orientation in ORIENTATIONS:
        image = convolved(image, weight / weight.sum(), orientation)
    estimate = MaskedEstimator(size=3)([image], [sharp])
    assert set(estimate.details["orientations"]) == set(ORIENTATIONS)
    expected = product([np.asarray(weight / weight.sum())] * 4, tuple(ORIENTATIONS))
    assert np.abs(estimate.kernel[2:-2, 2:-2] - expected).max() < 5e-3 * expected.max()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"orientation": "left"}, "expected orientation out of auto, top_left"),
        ({"objective": "backward"}, "expected objective out of auto, inverse, forward"),
        ({"boundary": "mirror"}, "expected boundary out of auto, unknown, zero"),
    ],
)
def test_unknown_names_are_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        MaskedEstimator(**settings)  # type: ignore[arg-type]


def test_pictures_of_two_sizes_are_refused() -> None:
    with pytest.raises(OptionError, match="one pair of pictures of one size"):
        MaskedEstimator()([photograph(100)], [photograph(104)])
