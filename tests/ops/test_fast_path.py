"""Where torch has dropped one of the private names that the short way needs, every call still gives the same."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator

import pytest
import torch
from laws import Case
from torch.autograd import forward_ad

from deblur.errors import SingularAnchorError
from deblur.ops import _autograd, _fast_path, _register, masked_conv2d, masked_conv2d_solve

NAMES = {
    "_AutoDispatchBelowAutograd": torch._C,
    "_are_functorch_transforms_active": torch._C,
    "_dispatch_keys": torch._C,
    "_get_tracing_state": torch._C,
    "_len_torch_dispatch_stack": torch._C,
    "_len_torch_function_stack": torch._C,
    "_profiler_enabled": torch._C._autograd,
    "_current_level": forward_ad,
}

Without = Callable[[str], None]
OPTIONS = {"orientation": "bottom_left", "transpose": True, "groups": 2, "border": "replicate"}
CASE = Case(batch=2, channels=4, groups=2, size=(3, 4), taps=(2, 2))


@pytest.fixture
def without() -> Iterator[Without]:
    """Load `_fast_path` as with a torch that lacks a name; torch itself has it back at once."""

    def load(name: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.delattr(NAMES[name], name)
            vars(_fast_path).pop(name, None)  # a reload keeps what was there
            importlib.reload(_fast_path)

    yield load
    importlib.reload(_fast_path)


def test_the_installed_torch_has_every_name() -> None:
    """If this fails, nothing is wrong but slow: look for the new names of that torch, and mend `_fast_path`."""
    assert _fast_path.MISSING is None, _fast_path.MISSING


def test_a_missing_name_is_named_with_the_version_of_torch(without: Without) -> None:
    for name in NAMES:
        without(name)
        assert _fast_path.MISSING is not None, name
        assert _fast_path.MISSING.startswith(f"torch {torch.__version__} lacks a private name")
        assert name in _fast_path.MISSING


def test_without_any_of_them_a_call_gives_the_same(without: Without) -> None:
    x, weight = CASE.image(), CASE.weight()
    for operation in (masked_conv2d, masked_conv2d_solve):
        expected = operation(x, weight, **OPTIONS)
        for name in NAMES:
            without(name)
            assert torch.equal(operation(x, weight, **OPTIONS), expected), name
            with torch.inference_mode():
                assert torch.equal(operation(x, weight, **OPTIONS), expected), name
        importlib.reload(_fast_path)


def test_the_long_way_has_every_derivative(without: Without) -> None:
    x, weight = CASE.image()[:1], CASE.weight()
    for operation in (masked_conv2d, masked_conv2d_solve):

        def function(x: torch.Tensor, weight: torch.Tensor, operation=operation) -> torch.Tensor:
            return operation(x, weight, **OPTIONS)

        def gradients(function=function) -> tuple[torch.Tensor, ...]:
            leaves = (x.clone().requires_grad_(), weight.clone().requires_grad_())
            return torch.autograd.grad(function(*leaves).pow(3).sum(), leaves)

        importlib.reload(_fast_path)
        expected = gradients()
        without("_dispatch_keys")
        for mine, other in zip(gradients(), expected, strict=True):
            assert torch.equal(mine, other)
        leaves = (x.clone().requires_grad_(), weight.clone().requires_grad_())
        assert torch.autograd.gradcheck(function, leaves, check_forward_ad=True, check_batched_grad=True)
        assert torch.autograd.gradgradcheck(function, leaves, check_fwd_over_rev=True)


def test_the_long_way_is_mapped_compiled_and_cast(without: Without) -> None:
    images, weight = CASE.image(), CASE.weight()

    def function(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return masked_conv2d_solve(x.sin(), weight, **OPTIONS)

    expected = function(images, weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = masked_conv2d_solve(images.bfloat16(), weight.float(), **OPTIONS)
    without("_are_functorch_transforms_active")
    torch.testing.assert_close(torch.vmap(function, (0, None))(images[:, None], weight).squeeze(1), expected)
    torch._dynamo.reset()
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(images, weight), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(masked_conv2d_solve(images.bfloat16(), weight.float(), **OPTIONS), cast)
    assert masked_conv2d(images.to("meta"), weight.to("meta"), **OPTIONS).shape == images.shape
    assert masked_conv2d_solve(images.half(), weight.half(), **OPTIONS).dtype == torch.float16
    with pytest.raises(SingularAnchorError):
        masked_conv2d_solve(images, torch.zeros_like(weight), groups=2)


def test_the_short_way_is_taken_by_plain_calls_alone(monkeypatch: pytest.MonkeyPatch, without: Without) -> None:
    ways: list[str] = []

    def watched(module: object, name: str, way: str) -> None:
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *arguments: ways.append(way) or original(*arguments))

    watched(_register, "solve", "the dispatcher")
    watched(_autograd, "_applied", "a Function")
    x, weight = CASE.image(), CASE.weight()
    masked_conv2d_solve(x, weight, groups=2)
    assert ways == []
    masked_conv2d_solve(x.requires_grad_(), weight, groups=2)
    assert ways == ["the dispatcher"]
    with torch.autocast("cpu"), torch.no_grad():
        masked_conv2d_solve(x, weight, groups=2)
    assert ways == ["the dispatcher"] * 2
    without("_get_tracing_state")
    with torch.no_grad():
        masked_conv2d_solve(x, weight, groups=2)
    assert ways == ["the dispatcher"] * 2 + ["a Function"]
