"""The objectives on densities whose figures are known, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deblur import flows
from deblur.errors import OptionError
from deblur.training.objectives import OBJECTIVES
from deblur.training.objectives.denoising import Denoising, denoise
from deblur.training.objectives.likelihood import Likelihood


class Normal(nn.Module):
    """Pixels N(mean, spread^2), and noise of level `context` on top."""

    dequantisation = None

    def __init__(self, mean: float, spread: float) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(mean, dtype=torch.float64))
        self.spread = nn.Parameter(torch.tensor(spread, dtype=torch.float64))

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        variance = self.spread**2 + (0 if context is None else context[:, None, None, None] ** 2)
        return (-0.5 * (x - self.mean) ** 2 / variance - 0.5 * (2 * math.pi * variance).log()).sum((1, 2, 3))

    def bound(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.log_prob(x, context)

    def bits_per_dim(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return flows.flow.bits_per_dim(self.log_prob(x), x[0].numel())


def batch(objective: Any, count: int, mean: float, spread: float, size: int = 16) -> dict[str, Tensor]:
    """Examples of N(mean, spread^2) on the grid of 8 bits."""
    generator = np.random.default_rng(0)
    levels = np.rint(255 * (mean + spread * generator.standard_normal((count, 1, size, size)))).clip(0, 255)
    drawn = [objective.draw((1, size, size), generator) for _ in range(count)]
    more = {name: torch.from_numpy(np.stack([np.asarray(one[name]) for one in drawn])).double() for name in drawn[0]}
    return {"clean": torch.from_numpy(levels / 255), **more}


def _numbers(objective: Any, model: nn.Module, examples: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(term.detach()) for name, term in objective.loss(model, examples).items()}


@pytest.mark.parametrize("objective", [Likelihood(), Denoising(), Denoising(likelihood=0, weight=1)], ids=repr)
def test_every_term_lies_on_the_device_of_the_batch(objective: Any) -> None:
    examples = {name: each.to("meta") for name, each in batch(objective, 3, 0.5, 0.1).items()}
    terms = objective.loss(Normal(0.5, 0.1).to("meta"), examples)
    assert {term.device.type for term in terms.values()} == {"meta"}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_returns_what_it_names(name: str) -> None:
    objective = OBJECTIVES[name]()
    examples, model = batch(objective, 3, 0.5, 0.1), Normal(0.5, 0.1)
    terms = objective.loss(model, examples)
    assert tuple(terms) == objective.terms
    assert all(term.shape == () for term in terms.values())
    terms["loss"].backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    figures = objective.validate(model, examples)
    assert tuple(figures) == objective.figures
    assert all(figure.shape == (3,) and not figure.requires_grad for figure in figures.values())


def test_likelihood_is_the_entropy_of_what_is_given() -> None:
    """In bits per dim, at the truth; and in nats of the density over the unit interval."""
    objective = Likelihood()
    spread = 20 / 256
    terms = _numbers(objective, Normal(0.5, spread), batch(objective, 200, 0.5 - 0.5 / 256, spread * 256 / 255))
    assert terms["bits_per_dim"] == pytest.approx(math.log2(20 * math.sqrt(2 * math.pi * math.e)), abs=0.01)
    assert terms["loss"] == pytest.approx((terms["bits_per_dim"] - 8) * math.log(2), abs=1e-12)


def test_dequantised_pixels_fill_the_unit_interval() -> None:
    levels = torch.arange(256, dtype=torch.float64).reshape(1, 1, 16, 16)
    for uniform, expected in ((0.0, levels / 256), (0.999, (levels + 0.999) / 256)):
        pixels, context = Likelihood().inputs({"clean": levels / 255, "uniform": torch.full_like(levels, uniform)})
        torch.testing.assert_close(pixels, expected)
        assert context is None


def test_a_model_with_a_learned_dequantisation_is_given_levels() -> None:
    torch.manual_seed(0)
    settings = {"architecture": "multiscale", "shape": [1, 8, 8], "levels": 1, "steps": 1, "hidden": 4}
    model = flows.build({**settings, "dequantisation": "variational"})
    objective = Likelihood()
    examples = {name: tensor.float() for name, tensor in batch(objective, 4, 0.5, 0.1, size=8).items()}
    objective.loss(model, examples)["loss"].backward()
    assert all(parameter.grad is not None for parameter in model.dequantisation.parameters())
    one, other = (objective.validate(model, examples)["bits_per_dim"] for _ in range(2))
    assert torch.equal(one, other)


def test_the_error_of_the_true_score_is_that_of_wieners_denoiser() -> None:
    """sigma s + n is orthogonal to what y tells: its mean square is spread^2 / (spread^2 + sigma^2)."""
    spread, level = 0.1, 25 / 255
    objective = Denoising(weight=3.0, lowest=level, highest=level)
    examples = batch(objective, 200, 0.5, spread)
    terms = _numbers(objective, Normal(0.5, spread), examples)
    assert terms["score_error"] == pytest.approx(spread**2 / (spread**2 + level**2), abs=0.01)
    entropy = 0.5 * math.log(2 * math.pi * math.e * (spread**2 + level**2))
    assert terms["loss"] == pytest.approx(entropy + 3 * terms["score_error"], abs=0.01)
    assert terms["bits_per_dim"] == pytest.approx(entropy / math.log(2) + 8, abs=0.02)


def test_the_tilt_weighs_an_example_by_its_noise() -> None:
    """At one noise level for all it is a factor, (255 sigma / 10)^tilt; and without likelihood nothing else is left."""
    level = 40 / 255
    plain, tilted = (Denoising(likelihood=0, weight=1, tilt=tilt, lowest=level, highest=level) for tilt in (0, 0.75))
    examples = batch(plain, 4, 0.5, 0.1)
    one, other = (_numbers(objective, Normal(0.5, 0.1), examples) for objective in (plain, tilted))
    assert one["loss"] == pytest.approx(one["score_error"])
    assert other["loss"] == pytest.approx(4**0.75 * one["loss"])
    assert other["score_error"] == one["score_error"]
    assert math.isnan(one["bits_per_dim"])


def test_without_weight_the_loss_is_the_likelihood_alone() -> None:
    examples = batch(Denoising(), 4, 0.5, 0.1)
    plain, weighted = (Denoising(weight=weight).loss(Normal(0.4, 0.2), examples) for weight in (0.0, 2.0))
    assert math.isnan(plain["score_error"])
    expected = weighted["loss"] - 2 * weighted["score_error"]
    torch.testing.assert_close(plain["loss"], expected)


def test_the_gradient_of_score_matching_is_that_of_its_value() -> None:
    examples = batch(Denoising(), 4, 0.5, 0.1, size=4)
    model, objective = Normal(0.4, 0.2), Denoising(weight=2.0)

    def value(mean: Tensor, spread: Tensor) -> Tensor:
        return torch.func.functional_call(  # type: ignore[no-any-return]
            _Loss(model, objective, examples), {"model.mean": mean, "model.spread": spread}, ()
        )

    assert torch.autograd.gradcheck(value, tuple(p.detach().requires_grad_() for p in model.parameters()))


class _Loss(nn.Module):
    def __init__(self, model: nn.Module, objective: Denoising, examples: dict[str, Tensor]) -> None:
        super().__init__()
        self.model, self.objective, self.examples = model, objective, examples

    def forward(self) -> Tensor:
        return self.objective.loss(self.model, dict(self.examples))["loss"]


def test_tweedies_denoiser_of_a_normal_density_is_wieners() -> None:
    noisy = torch.rand(2, 1, 4, 4, dtype=torch.float64)
    sigma = torch.tensor([0.05, 0.2], dtype=torch.float64)
    denoised, density = denoise(Normal(0.3, 0.1), noisy, sigma)
    gain = 0.01 / (0.01 + sigma**2)
    torch.testing.assert_close(denoised, 0.3 + gain[:, None, None, None] * (noisy - 0.3))
    assert not denoised.requires_grad
    torch.testing.assert_close(density, Normal(0.3, 0.1).log_prob(noisy, sigma).detach())


def test_validation_tells_the_denoisers_psnr_at_known_noise() -> None:
    figures = Denoising().validate(Normal(0.5, 0.1), batch(Denoising(), 200, 0.5, 0.1))
    for level in (10, 25, 50):
        error = 0.01 * (level / 255) ** 2 / (0.01 + (level / 255) ** 2)
        assert float(figures[f"psnr_{level}"].mean()) == pytest.approx(-10 * math.log10(error), abs=0.1)
    costs = [0.5 * math.log2(2 * math.pi * math.e * (0.01 + (level / 255) ** 2)) + 8 for level in (10, 25, 50)]
    assert float(figures["bits_per_dim"].mean()) == pytest.approx(sum(costs) / 3, abs=0.02)


@pytest.mark.parametrize("settings", [{"weight": -1.0}, {"lowest": 0.0}, {"lowest": 0.3, "highest": 0.2}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(OptionError, match="expected"):
        Denoising(**settings)
