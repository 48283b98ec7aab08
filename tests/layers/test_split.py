"""Laws of the split: it loses nothing, and what leaves is a standard normal under the learned prior."""

from __future__ import annotations

import pytest
import torch

from deblur.layers import Split

SHAPES = [(2, 3, 4), (5, 2, 3)]
each = pytest.mark.parametrize("shape", SHAPES)
each_prior = pytest.mark.parametrize(("learned", "context_features"), [(True, 0), (True, 2), (False, 0)])


def made(shape: tuple[int, int, int], learned: bool = True, context_features: int = 0) -> Split:
    torch.manual_seed(0)
    split = Split(shape[0], learned=learned, hidden=4, activation="silu", context_features=context_features).double()
    with torch.no_grad():
        for parameter in split.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return split


def drawn(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@each
@each_prior
def test_both_halves_make_the_whole_again(shape: tuple[int, int, int], learned: bool, context_features: int) -> None:
    split, x = made(shape, learned, context_features), drawn(2, *shape)
    context = drawn(2, 2) if context_features else None
    kept, latent, log_det = split(x, context)
    assert (kept.shape[1:], latent.shape[1:]) == split.output_shapes(shape)
    assert log_det.shape == (2,)
    torch.testing.assert_close(split.inverse(kept, latent, context), x, rtol=0, atol=1e-12)


@each
@each_prior
def test_log_det_is_that_of_the_map_to_both(shape: tuple[int, int, int], learned: bool, context_features: int) -> None:
    split, x = made(shape, learned, context_features), drawn(1, *shape)
    context = drawn(1, 2) if context_features else None

    def flat(values: torch.Tensor) -> torch.Tensor:
        kept, latent, _ = split(values.view(1, *shape), context)
        return torch.cat((kept.flatten(), latent.flatten()))

    jacobian = torch.autograd.functional.jacobian(flat, x.flatten())
    torch.testing.assert_close(split(x, context)[2][0], torch.linalg.slogdet(jacobian).logabsdet)


@each
def test_it_is_the_conditional_gaussian_it_says(shape: tuple[int, int, int]) -> None:
    """log N(latent) + log_det = log N(b; mean(a), scale(a)^2)."""
    split, x = made(shape), drawn(2, *shape)
    kept, latent, log_det = split(x)
    mean, h = split.net(kept).chunk(2, 1)
    prior = torch.distributions.Normal(mean, (2 * torch.tanh(h / 2)).exp())
    normal = torch.distributions.Normal(0, 1)
    expected = prior.log_prob(x[:, kept.shape[1] :]).sum((1, 2, 3))
    torch.testing.assert_close(normal.log_prob(latent).sum((1, 2, 3)) + log_det, expected)


@each
def test_unlearned_it_only_divides(shape: tuple[int, int, int]) -> None:
    split, x = made(shape, learned=False), drawn(2, *shape)
    kept, latent, log_det = split(x)
    assert torch.equal(torch.cat((kept, latent), 1), x)
    assert log_det.tolist() == [0.0, 0.0]
    assert not list(split.parameters())


@each
def test_learned_it_starts_as_if_it_were_not(shape: tuple[int, int, int]) -> None:
    split, x = Split(shape[0], context_features=1).double(), drawn(2, *shape)
    kept, latent, log_det = split(x, drawn(2, 1))
    assert torch.equal(torch.cat((kept, latent), 1), x)
    assert log_det.tolist() == [0.0, 0.0]


@each
@pytest.mark.parametrize("context_features", [0, 2])
def test_its_density_has_second_derivatives(shape: tuple[int, int, int], context_features: int) -> None:
    split, x = made(shape, True, context_features), drawn(1, *shape).requires_grad_()
    context = drawn(1, 2) if context_features else None

    def density(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        names = dict(zip(dict(split.named_parameters()), parameters, strict=True))
        kept, latent, log_det = torch.func.functional_call(split, names, (x, context))
        return log_det - 0.5 * (latent.square().sum() + kept.square().sum())

    leaves = [parameter.detach().clone().requires_grad_() for parameter in split.parameters()]
    assert torch.autograd.gradgradcheck(density, (x, *leaves), fast_mode=True)
