"""First and second derivatives: against finite differences, and against plain autograd through the reference."""

from __future__ import annotations

import pytest
import torch
from laws import ORIENTATIONS, Case
from looped import BOTH, looped

from deblur.ops import _dispatch, log_abs_det, masked_conv2d, masked_conv2d_solve, reference
from deblur.ops.geometry import Geometry

SMALL = [
    Case(batch=1, size=(3, 4), taps=(2, 3)),
    Case(batch=3, channels=2, size=(2, 3), taps=(2, 2)),  # B > C
    Case(batch=1, channels=3, size=(3, 2), taps=(2, 2)),  # B < C
    Case(batch=2, channels=4, groups=2, size=(2, 3), taps=(2, 2)),
    Case(batch=2, channels=2, groups=2, size=(3, 3), taps=(2, 2)),
    Case(batch=1, channels=2, size=(4, 5), taps=(2, 2), dilation=(2, 3)),
    Case(batch=2, size=(2, 2), taps=(3, 4)),
    Case(batch=1, size=(3, 4), taps=(2, 3), border="replicate"),
    Case(batch=2, channels=2, size=(2, 3), taps=(2, 3), border="replicate"),
    Case(batch=1, channels=4, groups=2, size=(3, 3), taps=(3, 2), dilation=(2, 1), border="replicate"),
    Case(batch=2, channels=2, groups=2, size=(2, 2), taps=(3, 4), border="replicate"),
]

each_case = pytest.mark.parametrize("case", SMALL, ids=str)
either_operation = pytest.mark.parametrize(
    "operation", [masked_conv2d, masked_conv2d_solve], ids=["convolution", "solve"]
)


def leaves(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    return case.image().requires_grad_(), case.weight().requires_grad_()


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=[pytest.mark.slow] if c.channels == 4 else []) for c in SMALL], ids=str
)
@either_operation
@looped(orientation=ORIENTATIONS, transpose=BOTH)
def test_first_and_second_derivatives_are_those_of_finite_differences(operation, case, orientation, transpose) -> None:
    def function(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return operation(x, weight, orientation=orientation, transpose=transpose, **case.options)

    assert torch.autograd.gradcheck(function, leaves(case))
    assert torch.autograd.gradgradcheck(function, leaves(case))


@each_case
@pytest.mark.usefixtures("backend")
@looped(transpose=BOTH)
def test_plain_autograd_through_the_reference_gives_the_same(case: Case, transpose: bool) -> None:
    options = {"orientation": "bottom_left", "transpose": transpose, **case.options}
    for operation, plain in ((masked_conv2d, reference.conv), (masked_conv2d_solve, reference.solve)):
        x, weight = leaves(case)
        found = torch.autograd.grad((operation(x, weight, **options) ** 3).sum(), (x, weight), create_graph=True)
        wanted = torch.autograd.grad((plain(x, weight, Geometry(**options)) ** 3).sum(), (x, weight), create_graph=True)
        for mine, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)
        found = torch.autograd.grad(sum(g.square().sum() for g in found), (x, weight))
        wanted = torch.autograd.grad(sum(g.square().sum() for g in wanted), (x, weight))
        for mine, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-7)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("channels", [8, 48])  # below and above where torch's own weight gradient serves
def test_the_gradient_of_the_solve_is_one_transposed_solve_and_one_correlation(channels: int) -> None:
    case = Case(batch=2, channels=channels, size=(6, 5))
    y, weight = case.image(dtype=torch.float32).requires_grad_(), case.weight(torch.float32).requires_grad_()
    g = case.image(3, torch.float32)
    x = masked_conv2d_solve(y, weight)
    found_y, found_weight = torch.autograd.grad(x, (y, weight), g)
    adjoint = masked_conv2d_solve(g, weight, transpose=True).detach()
    expected = torch.zeros_like(weight)
    for a in range(3):
        for b in range(3):
            shifted = torch.zeros_like(x)
            shifted[:, :, a:, b:] = x[:, :, : 6 - a, : 5 - b]
            expected[:, :, a, b] = -torch.einsum("nohw,nihw->oi", adjoint, shifted)
    torch.testing.assert_close(found_y, adjoint)
    torch.testing.assert_close(found_weight, expected.detach(), rtol=1e-4, atol=1e-4)


@looped(operation=(masked_conv2d, masked_conv2d_solve), transpose=BOTH)
def test_only_the_gradients_asked_for_are_computed(operation, transpose: bool) -> None:
    """Counted where values are computed: the solve's gradient in the weight needs that in the image, no other."""
    case, transposed = SMALL[0], {masked_conv2d: "conv", masked_conv2d_solve: "solve"}[operation]
    needed = {"image": [transposed], "weight": ["weight_grad"], "both": [transposed, "weight_grad"]}
    if operation is masked_conv2d_solve:
        needed["weight"] = needed["both"]
    for asked, expected in needed.items():
        x = case.image().requires_grad_(asked != "weight")
        weight = case.weight().requires_grad_(asked != "image")
        result = operation(x, weight, transpose=transpose)
        with pytest.MonkeyPatch.context() as patch:
            computed = counted(patch)
            result.sum().backward()
        assert computed == expected, asked


def counted(patch: pytest.MonkeyPatch) -> list[str]:
    """The names of the operations that are computed from now on, in order."""
    computed: list[str] = []
    for name in ("conv", "solve", "weight_grad"):
        original = getattr(_dispatch, name)
        patch.setattr(
            _dispatch, name, lambda *given, name=name, original=original: computed.append(name) or original(*given)
        )
    return computed


def test_without_gradients_nothing_is_kept_for_them() -> None:
    x, weight = SMALL[0].image(), SMALL[0].weight()
    for operation in (masked_conv2d, masked_conv2d_solve):
        assert not operation(x, weight).requires_grad
        with torch.no_grad():
            assert not operation(x, weight.clone().requires_grad_()).requires_grad


def test_an_empty_batch_has_gradients_of_zero() -> None:
    case = Case(batch=0, channels=2)
    x, weight = leaves(case)
    (masked_conv2d_solve(x, weight).sum() + masked_conv2d(x, weight).sum()).backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape
    assert weight.grad is not None
    assert not weight.grad.any()


@looped(border=("zero", "replicate"))
def test_log_abs_det_is_differentiable_in_the_anchors(border: str) -> None:
    weight = Case(channels=4, groups=2).weight().requires_grad_()
    assert torch.autograd.gradcheck(lambda w: log_abs_det(w, 3, 5, 2, border), (weight,))
    assert torch.autograd.gradgradcheck(lambda w: log_abs_det(w, 3, 5, 2, border), (weight,))


@either_operation
@looped(transpose=BOTH, border=("zero", "replicate"))
def test_forward_mode_and_forward_over_reverse_agree_with_finite_differences(
    operation, transpose: bool, border: str
) -> None:
    case = Case(batch=1, channels=2, size=(3, 3), taps=(2, 2))
    for inputs in (leaves(case), (leaves(case)[0], case.weight()), (case.image(), leaves(case)[1])):

        def function(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            return operation(x, weight, transpose=transpose, orientation="bottom_left", border=border)

        assert torch.autograd.gradcheck(function, inputs, check_forward_ad=True, check_batched_grad=True)
        assert torch.autograd.gradgradcheck(function, inputs, check_fwd_over_rev=True)
