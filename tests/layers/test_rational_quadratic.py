"""The spline: monotone, smooth at its knots, the identity outside, the identity to begin with."""

from __future__ import annotations

import pytest
import torch

from deblur.errors import OptionError
from deblur.layers import rational_quadratic as spline
from deblur.layers.affine_coupling import AffineCoupling
from deblur.layers.spline_coupling import SplineCoupling

BINS, BOUND = 5, 2.0


def shape(scale: float = 2.0, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(spline.parameters(BINS), generator=generator, dtype=torch.float64)


def line(n: int = 20001, reach: float = 3.0) -> torch.Tensor:
    return torch.linspace(-reach, reach, n, dtype=torch.float64)


@pytest.mark.parametrize("scale", [0.5, 3.0, 30.0])
def test_it_rises_everywhere(scale: float) -> None:
    x = line()
    y, log_slope = spline.forward(x, shape(scale), BOUND)
    assert bool((y.diff() > 0).all())
    assert bool(log_slope.isfinite().all())


@pytest.mark.parametrize("scale", [0.3, 0.7])
def test_value_and_slope_are_continuous_knots_and_tails_included(scale: float) -> None:
    x = line(400001)
    y, log_slope = spline.forward(x, shape(scale), BOUND)
    step = float(x[1] - x[0])
    middle = 0.5 * (log_slope[1:] + log_slope[:-1])
    torch.testing.assert_close(y.diff() / step, middle.exp(), rtol=5e-3, atol=1e-5)


def test_it_passes_through_its_knots_with_their_slopes() -> None:
    """Knots, by their definition: cumulative shares of the interval, each at least a thousandth."""
    parameters = shape(1.0)
    widths, heights, slopes = parameters.split([BINS, BINS, BINS - 1])
    shares = [1e-3 + (1 - 1e-3 * BINS) * values.softmax(0) for values in (widths, heights)]
    places = [2 * BOUND * share.cumsum(0)[:-1] - BOUND for share in shares]
    y, log_slope = spline.forward(places[0], parameters, BOUND)
    torch.testing.assert_close(y, places[1])
    offset = torch.tensor(1 - 1e-3, dtype=torch.float64).expm1().log()
    torch.testing.assert_close(log_slope.exp(), 1e-3 + torch.nn.functional.softplus(slopes + offset))


def test_outside_its_bound_it_is_the_identity() -> None:
    x = torch.tensor([-1e9, -2.0, 2.0, 5.0, 1e30], dtype=torch.float64)
    y, log_slope = spline.forward(x, shape(), BOUND)
    assert torch.equal(y, x)
    assert not log_slope.any()
    assert torch.equal(spline.inverse(x, shape(), BOUND), x)


def test_zeros_are_the_identity() -> None:
    x = line()
    y, log_slope = spline.forward(x, torch.zeros(spline.parameters(BINS), dtype=torch.float64), BOUND)
    torch.testing.assert_close(y, x, rtol=0, atol=1e-14)
    torch.testing.assert_close(log_slope, torch.zeros_like(x), rtol=0, atol=1e-13)


@pytest.mark.parametrize("scale", [0.5, 3.0, 30.0])
def test_the_inverse_is_exact(scale: float) -> None:
    x = line()
    torch.testing.assert_close(
        spline.inverse(spline.forward(x, shape(scale), BOUND)[0], shape(scale), BOUND), x, rtol=0, atol=1e-6
    )


def test_gradients_are_finite_outside_and_on_the_bound() -> None:
    x = torch.tensor([-5.0, -2.0, 0.3, 2.0, 1e20], dtype=torch.float64, requires_grad=True)
    parameters = shape().requires_grad_()
    y, log_slope = spline.forward(x, parameters, BOUND)
    (y.sum() + log_slope.sum() + spline.inverse(x, parameters, BOUND).sum()).backward()
    assert bool(x.grad.isfinite().all())
    assert bool(parameters.grad.isfinite().all())


def test_far_off_the_data_spline_couplings_keep_their_score_small_where_affine_ones_do_not() -> None:
    """What a prior must survive: the score of -|z|^2 / 2 + log_det at pixels 50 times too large, by eight layers."""
    largest = {}
    for kind in (AffineCoupling, SplineCoupling):
        torch.manual_seed(0)
        layers = [kind(4, hidden=16, activation="silu") for _ in range(8)]
        for layer in layers:
            with torch.no_grad():
                for parameter in layer.parameters():
                    parameter.add_(0.1 * torch.randn_like(parameter))
        x = (50 * torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))).requires_grad_()
        z, total = x, torch.zeros(1)
        for layer in layers:
            z, log_det = layer(z.flip(1))
            total = total + log_det
        (score,) = torch.autograd.grad((total - 0.5 * z.square().sum()).sum(), x)
        largest[kind] = score.abs().max().item()
    assert largest[SplineCoupling] < 1000
    assert largest[AffineCoupling] > 10 * largest[SplineCoupling]


@pytest.mark.parametrize(("bins", "bound", "said"), [(1, 1.0, "expected 2 to"), (4, 0.0, "expected a positive bound")])
def test_what_makes_no_spline_is_refused(bins: int, bound: float, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        SplineCoupling(2, bins=bins, bound=bound)
