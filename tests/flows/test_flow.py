"""The density as a whole: known values, the Jacobian across splits, samples."""

from __future__ import annotations

import math

import pytest
import torch

from deblur.errors import DtypeError, OptionError, ShapeError
from deblur.flows import build
from deblur.flows.flow import Flow, bits_per_dim
from deblur.layers import Split, UniformDequantisation
from deblur.layers.actnorm import ActNorm

STEPS = ("finc", "inverse", "glow", "none")
SMALL = {"architecture": "multiscale", "shape": [1, 4, 8], "levels": 2, "steps": 2, "hidden": 4, "activation": "silu"}


def gaussian(mean: float, std: float, **options: object) -> Flow:
    """Independent pixels N(mean, std^2), in float64."""
    flow = Flow((1, 64, 64), [ActNorm(1)], **options).double()
    with torch.no_grad():
        flow.stages[0].shift.fill_(-mean)
        flow.stages[0].log_scale.fill_(-math.log(std))
    return flow


def made(seed: int = 0, **options: object) -> Flow:
    """A small flow in float64 with every parameter moved from where it starts."""
    torch.manual_seed(seed)
    flow = build({**SMALL, **options}).double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return flow


def pixels(shape: tuple[int, ...] = (2, 1, 4, 8), seed: int = 1) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gray_levels(mean: float, std: float) -> torch.Tensor:
    """Levels (16, 1, 64, 64) uint8 at evenly spread quantiles of a normal law: no sampling error."""
    n = 16 * 64 * 64
    quantiles = torch.distributions.Normal(mean, std).icdf((torch.arange(n) + 0.5) / n)
    return (256 * quantiles).floor().clamp(0, 255).to(torch.uint8).view(16, 1, 64, 64)


def test_log_prob_is_that_of_the_gaussian() -> None:
    flow, x = gaussian(0.4, 0.2), pixels((3, 1, 64, 64))
    mean, std = torch.tensor([0.4, 0.2], dtype=torch.float64)
    expected = torch.distributions.Normal(mean, std).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(flow.log_prob(x), expected)


@pytest.mark.parametrize(("mean", "std"), [(0.5, 0.1), (0.4, 0.05)])
def test_bits_per_dim_of_gaussian_pixels_is_their_entropy(mean: float, std: float) -> None:
    """8 + log2(std sqrt(2 pi e)), the differential entropy in levels; the cells of 1/256 are fine enough to see it."""
    flow = gaussian(mean, std, dequantisation=UniformDequantisation())
    found = flow.bits_per_dim(gray_levels(mean, std), generator=torch.Generator().manual_seed(0)).mean()
    assert found.item() == pytest.approx(8 + math.log2(std * math.sqrt(2 * math.pi * math.e)), abs=1e-3)


def test_bits_per_dim_costs_the_most_where_the_model_is_wrong() -> None:
    """By the divergence between two Gaussians, in bits."""
    levels, generator = gray_levels(0.5, 0.1), torch.Generator().manual_seed(0)
    right = gaussian(0.5, 0.1, dequantisation=UniformDequantisation()).bits_per_dim(levels, generator=generator)
    wrong = gaussian(0.55, 0.2, dequantisation=UniformDequantisation()).bits_per_dim(levels, generator=generator)
    p, q = torch.distributions.Normal(0.5, 0.1), torch.distributions.Normal(0.55, 0.2)
    divergence = torch.distributions.kl_divergence(p, q) / math.log(2)
    assert (wrong - right).mean().item() == pytest.approx(divergence.item(), abs=1e-3)


def test_a_uniform_density_costs_all_bits() -> None:
    assert bits_per_dim(torch.zeros(2), 30).tolist() == [8.0, 8.0]


@pytest.mark.parametrize("step", STEPS)
def test_levels_and_the_pixels_they_become_have_the_same_bits(step: str) -> None:
    flow = made(step=step)
    levels = torch.randint(0, 256, (2, 1, 4, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    float_pixels, _ = flow.dequantisation(levels, torch.Generator().manual_seed(5))
    found = flow(levels, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(found, flow.bits_per_dim(float_pixels.double()))


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("context_features", [0, 1])
def test_decode_undoes_encode(step: str, context_features: int) -> None:
    flow, x = made(step=step, levels=2, shape=[3, 8, 4], context_features=context_features), pixels((2, 3, 8, 4))
    context = torch.tensor([[0.3], [-0.4]], dtype=torch.float64) if context_features else None
    latents, log_det = flow.encode(x, context)
    assert [tuple(latent.shape[1:]) for latent in latents] == flow.latent_shapes((3, 8, 4))
    assert sum(latent[0].numel() for latent in latents) == x[0].numel()
    assert log_det.shape == (2,)
    torch.testing.assert_close(flow.decode(latents, context), x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("coupling", ["affine", "spline"])
def test_log_prob_counts_every_layer_and_split_once(step: str, coupling: str) -> None:
    """Against the Jacobian of the map from the image to all latents at once."""
    flow = made(step=step, coupling=coupling, spline_activation=True)
    x = pixels((1, 1, 4, 8))

    def flat(values: torch.Tensor) -> torch.Tensor:
        return torch.cat([latent.flatten() for latent in flow.encode(values.view(1, 1, 4, 8))[0]])

    jacobian = torch.autograd.functional.jacobian(flat, x.flatten())
    expected = torch.distributions.Normal(0, 1).log_prob(flat(x)).sum() + torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(flow.log_prob(x)[0], expected)


def test_the_score_can_be_trained_through_a_split() -> None:
    flow, x = made(step="inverse", levels=2), pixels()[:1].requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: flow.log_prob(x), (x,), atol=1e-4, fast_mode=True)


def test_every_parameter_is_reached() -> None:
    flow = made(step="inverse", spline_activation=True, coupling="spline", dequantisation="variational").float()
    levels = torch.randint(0, 256, (4, 1, 4, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    flow(levels).mean().backward()
    for name, parameter in flow.named_parameters():
        assert parameter.grad is not None, name
        assert bool((parameter.grad != 0).any()), name


def test_samples_of_a_known_density_have_its_mean_and_the_temperature_scales_their_spread() -> None:
    flow = gaussian(0.4, 0.2)
    for temperature in (1.0, 0.5):
        drawn = flow.sample(40, temperature=temperature, generator=torch.Generator().manual_seed(0))
        assert drawn.mean().item() == pytest.approx(0.4, abs=3e-3)
        assert drawn.std().item() == pytest.approx(0.2 * temperature, rel=1e-2)


@pytest.mark.parametrize("step", STEPS)
def test_samples_are_what_their_density_says(step: str) -> None:
    """The mean of log p over samples against the latents' own, -D/2 log(2 pi e) + log_det: found by encoding them."""
    flow = made(step=step)
    x = flow.sample(64, generator=torch.Generator().manual_seed(0))
    latents, _ = flow.encode(x)
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    for latent, shape in zip(latents, flow.latent_shapes((1, 4, 8)), strict=True):
        drawn = torch.randn((64, *shape), generator=generator, dtype=torch.float64)
        torch.testing.assert_close(latent, drawn, rtol=0, atol=1e-6)


def test_samples_come_in_other_sizes_from_the_generator_alone() -> None:
    flow = made()
    draw = [flow.sample(2, (1, 8, 12), generator=torch.Generator().manual_seed(3)) for _ in range(2)]
    assert draw[0].shape == (2, 1, 8, 12)
    assert torch.equal(*draw)
    assert not draw[0].requires_grad
    at_rest = flow.sample(2, temperature=0)
    assert torch.equal(at_rest[0], at_rest[1])


def test_nothing_is_set_from_data_without_being_asked() -> None:
    flow, x = made(step="glow").float(), 0.2 * pixels((8, 1, 4, 8)).float()
    flow.log_prob(x)
    assert not flow.initialised
    flow.initialise(x)
    assert flow.initialised
    _, log_det = flow.encode(x)
    assert bool(log_det.isfinite().all())


def test_initialising_makes_what_every_actnorm_gives_standard() -> None:
    flow, seen = made(step="glow"), []
    for module in flow.modules():
        if isinstance(module, ActNorm):
            module.register_forward_hook(lambda module, given, result: seen.append(result[0]))
    levels = torch.randint(0, 128, (32, 1, 4, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    x, _ = flow.dequantisation(levels, torch.Generator().manual_seed(1))
    flow.initialise(x.double())
    seen.clear()
    flow.log_prob(x.double())
    assert len(seen) == 4
    for z in seen:
        variance, mean = torch.var_mean(z, (0, 2, 3), correction=0)
        torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-6)
        torch.testing.assert_close(variance, torch.ones_like(variance), rtol=1e-5, atol=1e-5)


def test_what_cannot_be_is_refused_in_a_line() -> None:
    flow = made()
    with pytest.raises(ShapeError, match=r"expected images \(B, 1, H, W\), got \(2, 3, 4, 8\)"):
        flow.log_prob(pixels((2, 3, 4, 8)))
    with pytest.raises(ShapeError, match="even number of rows and columns, got 5 x 8"):
        flow.log_prob(pixels((2, 1, 5, 8)))
    with pytest.raises(DtypeError, match=r"got torch\.int64"):
        flow.bits_per_dim(torch.zeros(1, 1, 4, 8, dtype=torch.int64))
    with pytest.raises(DtypeError, match="takes float pixels"):
        gaussian(0.5, 0.1).bits_per_dim(torch.zeros(1, 1, 64, 64, dtype=torch.uint8))
    with pytest.raises(OptionError, match="at least 1 sample, got 0"):
        flow.sample(0)
    with pytest.raises(OptionError, match="expected a temperature of at least 0, got -1"):
        flow.sample(1, temperature=-1)
    with pytest.raises(OptionError, match="expected a split between each two of 2 stages, got 0"):
        Flow((1, 4, 4), [ActNorm(1), ActNorm(1)])
    with pytest.raises(OptionError, match="expected at least 2 channels for a coupling or split, got 1"):
        Split(1)
