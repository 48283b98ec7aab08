"""Jacobi sweeps: quick where the taps are small, and never the last word where they are not."""

from __future__ import annotations

import pytest
import torch
from laws import CASES, Case
from looped import BOTH, looped

from deblur.ops import _dispatch, jacobi, masked_conv2d, masked_conv2d_solve
from deblur.ops.geometry import Geometry

pytestmark = pytest.mark.usefixtures("backend")


def draw(channels: int, deviation: float, size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    weight = deviation * torch.randn(channels, channels, 3, 3, generator=generator)
    weight[:, :, 0, 0] = torch.eye(channels)
    return torch.randn(2, channels, size, size, generator=generator), weight


def sweep(y: torch.Tensor, weight: torch.Tensor, **options) -> torch.Tensor | None:
    return jacobi.solve(y, weight, Geometry(), conv=_dispatch.conv, **options)


def test_small_weights_converge_in_a_few_sweeps() -> None:
    y, weight = draw(12, 0.02)
    x = sweep(y, weight, max_sweeps=14)
    assert x is not None
    torch.testing.assert_close(x, masked_conv2d_solve(y, weight), rtol=0, atol=1e-5)


def test_too_few_sweeps_do_not_pass_the_residual_test() -> None:
    assert sweep(*draw(12, 0.02), max_sweeps=3) is None


def test_it_falls_back_to_the_wavefront_where_the_sweeps_diverge() -> None:
    y, weight = draw(24, 0.3, size=12)
    assert sweep(y, weight) is None
    wavefront = masked_conv2d_solve(y, weight)
    assert torch.equal(masked_conv2d_solve(y, weight, method="jacobi"), wavefront)


def test_a_nan_ends_the_sweeps() -> None:
    y, weight = draw(2, 0.02, size=8)
    y[0, 0, 2, 2] = float("nan")
    assert sweep(y, weight) is None
    assert masked_conv2d_solve(y, weight, method="jacobi").isnan().any()
    assert sweep(torch.zeros_like(y), weight) is not None


@pytest.mark.parametrize("case", CASES, ids=str)
@looped(transpose=BOTH)
def test_it_solves_what_the_wavefront_solves(case: Case, transpose: bool) -> None:
    options = {
        "orientation": "bottom_left",
        "transpose": transpose,
        **case.options,
    }
    y, weight = case.image(), case.weight()
    expected = masked_conv2d_solve(y, weight, **options)
    torch.testing.assert_close(masked_conv2d_solve(y, weight, method="jacobi", **options), expected)


def test_small_frames_end_exactly_after_the_longest_path() -> None:
    weight = torch.tensor([[[[1.0, 0.9], [0.9, 0.9]]]], dtype=torch.float64)
    y = torch.rand(1, 1, 4, 4, dtype=torch.float64)
    x = sweep(y, weight)
    assert x is not None
    torch.testing.assert_close(masked_conv2d(x, weight), y)


@looped(transpose=BOTH, border=("zero", "replicate"))
def test_anchors_alone_take_one_sweep(transpose: bool, border: str) -> None:
    case = Case(channels=4, groups=2, taps=(1, 1), border=border)
    geometry = Geometry(transpose=transpose, groups=2, border=border)
    assert jacobi.solve(case.image(), case.weight(), geometry, conv=_dispatch.conv, max_sweeps=1) is not None


def test_its_gradient_is_that_of_the_solve() -> None:
    case = Case(batch=1, channels=2, size=(3, 3), taps=(2, 2))
    leaves = (case.image().requires_grad_(), case.weight().requires_grad_())
    assert torch.autograd.gradcheck(lambda y, w: masked_conv2d_solve(y, w, method="jacobi"), leaves, atol=1e-4)
