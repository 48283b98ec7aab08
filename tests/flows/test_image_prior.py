"""The prior of photographs: one density of image and features, its inverse, and the denoiser that is its score."""

from __future__ import annotations

import pytest
import torch

from deblur.errors import OptionError, ShapeError
from deblur.flows import build
from deblur.flows.image_flow import _told
from deblur.flows.image_prior import ImagePriorFlow
from deblur.flows.noise_conditional import denoise

SMALL = {"architecture": "image_prior", "steps": 2, "features": 5, "taps": 5}
SIGMA = torch.tensor([0.02, 0.2], dtype=torch.float64)


def made(seed: int = 0, **options: object) -> ImagePriorFlow:
    """A small prior in float64 with every parameter moved from where it starts."""
    torch.manual_seed(seed)
    model = build({**SMALL, **options}).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    assert isinstance(model, ImagePriorFlow)
    return model


def pixels(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_log_det_is_that_of_image_and_features_together() -> None:
    model, x, features = made(), pixels(1, 1, 4, 8), torch.randn(1, 5, 1, 2, dtype=torch.float64)

    def both(values: torch.Tensor) -> torch.Tensor:
        image, latent, _ = model.encode(values[:32].view_as(x), SIGMA[:1], values[32:].view_as(features))
        return torch.cat((image.flatten(), latent.flatten()))

    jacobian = torch.autograd.functional.jacobian(both, torch.cat((x.flatten(), features.flatten())))
    found = model.encode(x, SIGMA[:1], features)[2]
    torch.testing.assert_close(found[0], torch.linalg.slogdet(jacobian).logabsdet, rtol=0, atol=1e-9)


def test_log_prob_is_that_of_the_latents_less_the_features_own() -> None:
    model, x, features = made(), pixels(2, 1, 8, 4), torch.randn(2, 5, 2, 1, dtype=torch.float64)
    image, latent, log_det = model.encode(x, SIGMA, features)
    normal = torch.distributions.Normal(0.0, torch.ones((), dtype=torch.float64))
    wanted = log_det + sum(normal.log_prob(part).sum((1, 2, 3)) for part in (image, latent))
    wanted = wanted - normal.log_prob(features).sum((1, 2, 3))
    torch.testing.assert_close(model.log_prob(x, SIGMA, features), wanted)
    torch.testing.assert_close(model.log_prob(x, SIGMA), model.log_prob(x, SIGMA, torch.zeros_like(features)))


@pytest.mark.parametrize("options", [{}, {"whitening": "dct"}, {"whitening": "none", "inverse_convs": True}], ids=str)
def test_decode_undoes_encode(options: dict[str, object]) -> None:
    model, x, features = made(**options), pixels(2, 1, 8, 12), torch.randn(2, 5, 2, 3, dtype=torch.float64)
    image, latent, _ = model.encode(x, SIGMA, features)
    back = model.decode(image, latent, SIGMA)
    torch.testing.assert_close(back[0], x, rtol=0, atol=1e-9)
    torch.testing.assert_close(back[1], features, rtol=0, atol=1e-9)


def test_images_of_a_batch_do_not_meet_and_one_sigma_serves_all() -> None:
    model, x = made(), pixels(2, 1, 8, 8)
    together = model.log_prob(x, SIGMA)
    for i in range(2):
        torch.testing.assert_close(model.log_prob(x[i : i + 1], SIGMA[i : i + 1])[0], together[i])
    torch.testing.assert_close(model.log_prob(x, SIGMA[:1]), model.log_prob(x, SIGMA[:1].expand(2)))


def test_the_denoiser_is_the_score_of_the_density() -> None:
    model, x = made(), pixels(2, 1, 4, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: model.log_prob(x, SIGMA), (x,))
    (score,) = torch.autograd.grad(model.log_prob(x, SIGMA).sum(), x)
    denoised, density = denoise(model, x, SIGMA)
    torch.testing.assert_close(denoised, x + SIGMA.square()[:, None, None, None] * score)
    torch.testing.assert_close(density, model.log_prob(x, SIGMA).detach())


def test_score_matching_has_a_gradient_for_every_parameter() -> None:
    model, x = made(), pixels(2, 1, 8, 8).requires_grad_()
    (score,) = torch.autograd.grad(model.log_prob(x, SIGMA).sum(), x, create_graph=True)
    score.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        # what adds a constant to z moves the score through z alone; nothing may be left out
        assert bool((parameter.grad != 0).any()), name


def test_initialise_makes_the_features_standard_normal() -> None:
    model, x, sigma = build(SMALL).double(), pixels(4, 1, 32, 32), SIGMA[:1]
    torch.manual_seed(3)
    model.initialise(x, sigma)
    torch.manual_seed(3)
    features = torch.randn(4, 5, 8, 8, dtype=torch.float64)
    latent = model.encode(x, sigma, features)[1]
    torch.testing.assert_close(latent.mean((0, 2, 3)), torch.zeros(5, dtype=torch.float64), rtol=0, atol=1e-9)
    torch.testing.assert_close(latent.var((0, 2, 3), correction=0), torch.ones(5, dtype=torch.float64))


def test_the_bound_lies_below_the_density_it_bounds() -> None:
    """Jensen: the mean of log q(x, e) / N(e) over features is below the logarithm of the mean, the marginal."""
    model, x = made(), pixels(1, 1, 4, 4)
    torch.manual_seed(0)
    bounds = torch.stack([model.bound(x, SIGMA[:1]) for _ in range(400)])
    marginal = torch.logsumexp(bounds, 0) - torch.log(torch.tensor(400.0))
    assert bool(bounds.mean() < marginal)


def test_samples_of_temperature_zero_are_one_and_the_same() -> None:
    model = made()
    cold = model.sample(3, (1, 8, 8), temperature=0, context=SIGMA[:1])
    torch.testing.assert_close(cold[0], cold[2])
    one, other = (model.sample(2, (1, 8, 8), generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one, other)
    assert not torch.equal(one[0], one[1])


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (1, 1, 6, 8), (1, 1, 0, 8), (1, 8, 8)])
def test_images_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"expected gray images \(B, 1, H, W\) of sides that 4 divides"):
        made().log_prob(torch.zeros(shape, dtype=torch.float64), SIGMA[:1])


def test_a_sigma_too_many_is_refused() -> None:
    with pytest.raises(ShapeError, match="a sigma for all images or each of 3"):
        made().log_prob(pixels(3, 1, 4, 4), SIGMA)


@pytest.mark.parametrize("name", ["steps", "features", "taps"])
def test_settings_below_one_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match=f"expected {name} of 1 to 4096, got 0"):
        build({"architecture": "image_prior", name: 0})


def test_without_features_the_density_is_that_of_the_flow_and_exact() -> None:
    torch.manual_seed(0)
    model = build({"architecture": "image_flow", "steps": 2, "hidden": 4, "taps": 3}).double()
    x = pixels(2, 1, 8, 8)
    model.initialise(x, SIGMA)
    assert torch.equal(model.bound(x, SIGMA), model.log_prob(x, SIGMA))
    jacobian = torch.autograd.functional.jacobian(
        lambda values: model.flow.encode(values.view(1, 1, 8, 8), _told(SIGMA[:1]))[0][0].flatten(), x[0].flatten()
    )
    latents, log_det = model.flow.encode(x[:1], _told(SIGMA[:1]))
    torch.testing.assert_close(log_det[0], torch.linalg.slogdet(jacobian).logabsdet, rtol=0, atol=1e-9)
    torch.testing.assert_close(model.flow.decode(latents, _told(SIGMA[:1])), x[:1], rtol=0, atol=1e-9)
    assert model.sample(3, (1, 8, 4)).shape == (3, 1, 8, 4)
