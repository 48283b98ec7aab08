"""The verdict on inverses whose behaviour is known, and the measurements behind it."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from deblur.ops import StabilityReport, masked_conv2d_solve, stability


def gaussian(size: int, sigma: float) -> torch.Tensor:
    line = torch.exp(-((torch.arange(size) - size // 2) ** 2) / (2 * sigma**2))
    return (line[:, None] * line / line.sum() ** 2)[None, None]


def trail(decay: float, length: int = 25) -> torch.Tensor:
    taps = decay ** torch.arange(length, dtype=torch.float64)
    return (taps / taps.sum())[None, None, None]


def test_a_decaying_trail_is_trusted_with_its_margin() -> None:
    report = stability(trail(0.8), 96, 128)
    assert report.trusted
    assert report.margin == pytest.approx(0.25, abs=1e-4)
    assert report.gain == pytest.approx(5.0 * (1 + 0.8), rel=0.01)  # 5 (x[j] - 0.8 x[j - 1]), 5 the sum of the taps
    assert report.round_trip < 1e-5
    assert "can be trusted in float32 at 96 x 128" in report.sentence


def test_passing_on_both_edges_is_not_enough() -> None:
    report = stability(torch.tensor([[[[1.0, 0.0], [0.0, -2.0]]]]), 64, 64)
    assert not report.trusted
    assert report.margin == pytest.approx(1 / math.sqrt(2) - 1, abs=1e-4)
    assert report.peak == pytest.approx(2.0**63)
    assert "cannot be trusted" in report.sentence


def test_a_gaussian_in_the_corner_reaches_4e11_on_16_pixels() -> None:
    report = stability(gaussian(5, 1.0), 16, 16)
    assert report.peak == pytest.approx(4.16e11, rel=0.01)
    assert report.margin < -0.4
    assert not report.trusted
    larger = stability(gaussian(5, 1.0), 128, 128)
    assert larger.gain == math.inf
    assert not larger.trusted


def test_margin_zero_adds_noise_up_with_the_size() -> None:
    weight = torch.tensor([[[[1.0, -0.5], [-0.5, 0.0]]]])
    small, large = stability(weight, 32, 32), stability(weight, 128, 128)
    assert small.margin == pytest.approx(0.0, abs=1e-5)
    assert large.gain > 3.5 * small.gain
    assert "does not decay" in large.sentence


def test_growth_is_no_harm_on_a_frame_too_small_for_it() -> None:
    weight = torch.tensor([[[[1.0, -1.1]]]])
    assert stability(weight, 8, 8).trusted
    assert not stability(weight, 8, 400).trusted


@pytest.mark.parametrize("groups", [1, 2])
def test_the_gain_is_the_norm_of_the_inverse(groups: int) -> None:
    generator = torch.Generator().manual_seed(1)
    weight = 0.2 * torch.randn(4, 4 // groups, 2, 3, generator=generator, dtype=torch.float64)
    weight[:, :, 0, 0] += torch.eye(4 // groups).repeat(groups, 1)
    height, width = 5, 6
    report = stability(weight, height, width, groups)
    unit = torch.eye(4 * height * width, dtype=torch.float64).view(-1, 4, height, width)
    inverse = masked_conv2d_solve(unit, weight, groups=groups).flatten(1).T
    assert report.gain == pytest.approx(float(torch.linalg.matrix_norm(inverse, ord=math.inf)), rel=1e-12)
    assert report.noise_gain == pytest.approx(float(inverse.norm(dim=1).max()), rel=1e-12)
    assert report.peak == pytest.approx(float(inverse.abs().max()), rel=1e-12)


@pytest.mark.parametrize("groups", [1, 2])
def test_with_a_repeated_edge_the_gain_is_that_of_the_inverse_with_it(groups: int) -> None:
    generator = torch.Generator().manual_seed(1)
    weight = 0.2 * torch.randn(4, 4 // groups, 2, 3, generator=generator, dtype=torch.float64)
    weight[:, :, 0, 0] += torch.eye(4 // groups).repeat(groups, 1)
    height, width = 5, 6
    report = stability(weight, height, width, groups, border="replicate")
    unit = torch.eye(4 * height * width, dtype=torch.float64).view(-1, 4, height, width)
    inverse = (
        masked_conv2d_solve(unit, weight, groups=groups, border="replicate").flatten(1).T.view(4, height, width, -1)
    )
    rows = inverse[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert report.gain == pytest.approx(float(rows.abs().sum(-1).max()), rel=1e-12)
    assert report.noise_gain == pytest.approx(float(rows.norm(dim=-1).max()), rel=1e-12)
    assert report.peak == pytest.approx(float(rows.abs().max()), rel=1e-12)
    assert report.gain != stability(weight, height, width, groups).gain


def test_with_a_repeated_edge_the_sums_of_taps_are_anchors() -> None:
    weight = torch.tensor([[[[1.0, -1.0]]]])
    assert stability(weight, 8, 8).trusted
    assert not (report := stability(weight, 8, 8, border="replicate")).trusted
    assert "the corner's anchor" in report.sentence
    trusted = stability(trail(0.8), 96, 128, border="replicate")
    assert trusted.trusted
    assert trusted.gain == pytest.approx(5.0 * (1 + 0.8), rel=0.01)
    assert stability(torch.tensor([[[[1.0, -1.2]]]]), 1, 2000, border="replicate").gain == math.inf
    assert stability(trail(0.5), 0, 32, border="replicate").gain == 0.0


def test_the_doubled_frames_see_what_the_whole_frame_sees() -> None:
    weight = torch.tensor([[[[1.0, -0.49], [-0.49, 0.0]]]])  # decays slowly: one frame of 64 would not do
    report = stability(weight, 500, 300)
    impulse = torch.zeros(1, 1, 500, 300, dtype=torch.float64)
    impulse[..., 0, 0] = 1.0
    response = masked_conv2d_solve(impulse, weight.double())
    assert report.gain == pytest.approx(float(response.abs().sum()), rel=1e-6)


def test_dilation_slows_the_decay() -> None:
    weight = torch.tensor([[[[1.0, -0.5]]]])
    assert stability(weight, 32, 32, dilation=3).margin == pytest.approx(2 ** (1 / 3) - 1, abs=1e-4)


def test_half_precision_weights_and_empty_frames_are_measured() -> None:
    assert stability(trail(0.5).half(), 32, 32).trusted
    assert stability(trail(0.5), 0, 32).round_trip == 0.0


@pytest.mark.parametrize(
    "weight", [torch.zeros(1, 1, 2, 2), torch.full((1, 1, 1, 1), float("nan")), torch.ones(2, 2, 1, 1)]
)
def test_what_has_no_inverse_is_not_trusted(weight: torch.Tensor) -> None:
    report = stability(weight, 8, 8)
    assert not report.trusted
    assert "\n" not in report.sentence


def test_a_report_is_a_frozen_record() -> None:
    report = stability(trail(0.5), 8, 8)
    assert isinstance(report, StabilityReport)
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.gain = 0.0  # type: ignore[misc]
