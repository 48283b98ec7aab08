"""What holds for every transform, asked of one list; a newcomer is a line in `tests/transforms.py`."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from looped import looped
from torch import Tensor
from transforms import CASES, Case

from deblur.errors import ShapeError
from deblur.layers import TRANSFORMS
from deblur.layers.composition import Composition

Law = Callable[[Case], None]


def each(cases: list[Case]) -> Callable[[Law], Callable[[str], None]]:
    """One test for every transform, which asks a law of all its cases."""

    def decorate(law: Law) -> Callable[[str], None]:
        @pytest.mark.parametrize("name", sorted({case.name for case in cases}))
        def of_every_case(name: str) -> None:
            looped(case=[case for case in cases if case.name == name])(law)()

        of_every_case.__doc__ = law.__doc__
        return of_every_case

    return decorate


LEARNED = [case for case in CASES if list(case.make().parameters())]
CONDITIONED = [case for case in CASES if case.context_features]


def test_every_transform_is_asked() -> None:
    assert {case.name for case in CASES} == set(TRANSFORMS)


def test_every_transform_that_takes_a_context_is_asked_with_one() -> None:
    without = {"channel_reversal", "composition", "logit", "squeeze"}
    assert {case.name for case in CASES if case.context_features} == set(TRANSFORMS) - without


@each(CASES)
def test_inverse_undoes_forward_and_forward_undoes_inverse(case: Case) -> None:
    transform, x, context = case.make(), case.image(), case.context()
    z, log_det = transform(x, context)
    assert log_det.shape == (len(x),)
    assert z.shape[1:] == transform.output_shape(case.shape)
    torch.testing.assert_close(transform.inverse(z, context), x, rtol=0, atol=1e-10)
    other = torch.randn(z.shape, generator=torch.Generator().manual_seed(3), dtype=z.dtype)
    torch.testing.assert_close(transform(transform.inverse(other, context), context)[0], other, rtol=0, atol=1e-10)


@each(CASES)
def test_log_det_is_that_of_the_jacobian(case: Case) -> None:
    transform, x, context = case.make(), case.image(), case.context()
    found = transform(x, context)[1]
    for i in range(len(x)):
        one = None if context is None else context[i : i + 1]

        def flat(values: Tensor, one: Tensor | None = one) -> Tensor:
            return transform(values.view(1, *case.shape), one)[0].flatten()

        jacobian = torch.autograd.functional.jacobian(flat, x[i].flatten())
        torch.testing.assert_close(found[i], torch.linalg.slogdet(jacobian).logabsdet, rtol=0, atol=1e-9)


@each(CASES)
def test_a_composition_counts_each_log_det_once(case: Case) -> None:
    transform, x, context = case.make(), case.image(), case.context()
    z, log_det = transform(x, context)
    twice = Composition([transform, _Inverted(transform), transform])
    again, sum_of_all = twice(x, context)
    torch.testing.assert_close(again, z, rtol=0, atol=1e-9)
    torch.testing.assert_close(sum_of_all, log_det, rtol=0, atol=1e-8)


@each(CASES)
def test_calling_twice_gives_the_same_and_changes_nothing(case: Case) -> None:
    transform, x, context = case.make(), case.image(), case.context()
    before, kept = copy.deepcopy(transform.state_dict()), x.clone()
    first, second = transform(x, context), transform(x, context)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert torch.equal(transform.inverse(first[0], context), transform.inverse(first[0], context))
    assert torch.equal(x, kept)
    assert all(torch.equal(before[name], value) for name, value in transform.state_dict().items())


@each(CASES)
def test_images_of_a_batch_do_not_meet(case: Case) -> None:
    transform, x, context = case.make(), case.image(), case.context()
    z, log_det = transform(x, context)
    for i in range(len(x)):
        alone = transform(x[i : i + 1], None if context is None else context[i : i + 1])
        torch.testing.assert_close(alone[0][0], z[i], rtol=0, atol=1e-12)
        torch.testing.assert_close(alone[1][0], log_det[i], rtol=0, atol=1e-12)


@each(LEARNED)
def test_every_parameter_gets_a_gradient(case: Case) -> None:
    transform, x, context = case.make(), case.image(), case.context()
    z, log_det = transform(x, context)
    (z.square().sum() - log_det.sum()).backward()
    for name, parameter in transform.named_parameters():
        assert parameter.grad is not None, name
        assert bool((parameter.grad != 0).any()), name
        assert bool(parameter.grad.isfinite().all()), name


@each(CASES)
def test_second_derivatives_are_those_of_finite_differences(case: Case) -> None:
    """What score matching needs: the gradient of log p with respect to x, differentiated once more, by everything."""
    transform, context = case.make(), case.context()
    x = case.image()[:1].requires_grad_()
    context = None if context is None else context[:1].requires_grad_()
    names = [name for name, _ in transform.named_parameters()]

    def density(x: Tensor, context: Tensor | None, *parameters: Tensor) -> Tensor:
        called = torch.func.functional_call(transform, dict(zip(names, parameters, strict=True)), (x, context))
        return called[1] - 0.5 * called[0].square().sum((1, 2, 3))

    leaves = [value.detach().clone().requires_grad_() for value in transform.parameters()]
    assert torch.autograd.gradcheck(density, (x, context, *leaves), fast_mode=True)
    assert torch.autograd.gradgradcheck(density, (x, context, *leaves), fast_mode=True)


@each(CASES)
def test_the_inverse_has_derivatives_too(case: Case) -> None:
    transform, context = case.make(), case.context()
    z = transform(case.image(), context)[0][:1].detach().requires_grad_()
    one = None if context is None else context[:1]
    assert torch.autograd.gradcheck(lambda z: transform.inverse(z, one), (z,), fast_mode=True)


@each(CASES)
def test_state_dict_makes_another_the_same(case: Case) -> None:
    transform, other = case.make(0), case.make(1)
    other.load_state_dict(transform.state_dict())
    x, context = case.image(), case.context()
    assert torch.equal(transform(x, context)[0], other(x, context)[0])
    assert torch.equal(transform(x, context)[1], other(x, context)[1])


@each(CASES)
def test_type_and_device_move_with_it(case: Case) -> None:
    transform, x, context = case.make(), case.image(), case.context()
    wanted = transform(x, context)
    single = copy.deepcopy(transform).float()
    found = single(x.float(), None if context is None else context.float())
    assert found[0].dtype == found[1].dtype == torch.float32
    torch.testing.assert_close(found[0].double(), wanted[0], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found[1].double(), wanted[1], rtol=1e-3, atol=1e-3)
    meta = transform.to("meta")(x.to("meta"), None if context is None else context.to("meta"))
    assert meta[0].shape == wanted[0].shape
    assert meta[1].device.type == "meta"


@each([case for case in CONDITIONED if "whitening" not in case.name])
def test_it_starts_unconditional(case: Case) -> None:
    torch.manual_seed(0)
    options = {key: value(case) if callable(value) else value for key, value in case.options.items()}
    transform = TRANSFORMS[case.name](**options, context_features=case.context_features).double()
    x, context = case.image(), case.context()
    assert context is not None
    for found, wanted in zip(transform(x, 3 * context), transform(x, context), strict=True):
        assert torch.equal(found, wanted)


@each([case for case in CASES if not case.context_features])
def test_a_context_that_it_was_not_made_for_is_ignored(case: Case) -> None:
    transform, x = case.make(), case.image()
    assert torch.equal(transform(x, torch.ones(len(x), 5, dtype=x.dtype))[0], transform(x)[0])


@each(CONDITIONED)
def test_a_missing_context_or_another_is_refused(case: Case) -> None:
    transform, x, context = case.make(), case.image(), case.context()
    assert context is not None
    with pytest.raises(ShapeError, match="expected a context"):
        transform(x)
    with pytest.raises(ShapeError, match="got"):
        transform.inverse(x, context[:, :1])


@each(LEARNED)
def test_it_stays_invertible_under_any_optimizer(case: Case) -> None:
    """Three steps of AdamW, strong weight decay and a rough learning rate: the laws hold as before."""
    transform, x, context = case.make(), case.image(), case.context()
    optimizer = torch.optim.AdamW(transform.parameters(), lr=0.1, weight_decay=1.0)
    for _ in range(3):
        optimizer.zero_grad()
        z, log_det = transform(x, context)
        (0.5 * z.square().sum() - log_det.sum()).backward()
        optimizer.step()
    z, log_det = transform(x, context)
    torch.testing.assert_close(transform.inverse(z, context), x, rtol=0, atol=1e-8)
    one = None if context is None else context[:1]
    jacobian = torch.autograd.functional.jacobian(
        lambda values: transform(values.view(1, *case.shape), one)[0].flatten(), x[0].flatten()
    )
    torch.testing.assert_close(log_det[0], torch.linalg.slogdet(jacobian).logabsdet, rtol=0, atol=1e-8)


class _Inverted(torch.nn.Module):
    """The other direction of a transform, its log-determinant by that of the first."""

    def __init__(self, transform: torch.nn.Module) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = self.transform.inverse(z, context)
        return x, -self.transform(x, context)[1]
