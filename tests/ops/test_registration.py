"""What `torch.library` promises: schema, fake tensors, compilation, vmap, autocast, half precision, low overhead."""

from __future__ import annotations

import pytest
import torch
from laws import Case
from looped import BOTH, looped

from deblur.errors import SingularAnchorError
from deblur.ops import masked_conv2d, masked_conv2d_solve

CONV = torch.ops.deblur.masked_conv2d.default
SOLVE = torch.ops.deblur.masked_conv2d_solve.default
WEIGHT_GRAD = torch.ops.deblur.masked_conv2d_weight_grad.default

either_operation = pytest.mark.parametrize(
    "operation", [masked_conv2d, masked_conv2d_solve], ids=["convolution", "solve"]
)


@pytest.mark.parametrize(
    ("case", "dtype", "grad"),
    [
        (Case(channels=4, groups=2, size=(3, 5), taps=(2, 3), dilation=(1, 2)), torch.float64, True),
        (Case(channels=2, groups=2, size=(4, 3)), torch.float32, False),
        (Case(batch=0, channels=2), torch.float64, True),
        (Case(channels=2, size=(3, 4), taps=(2, 3), border="replicate"), torch.float64, True),
    ],
    ids=str,
)
def test_opcheck_passes(case: Case, dtype: torch.dtype, grad: bool) -> None:
    x, weight = case.image(dtype=dtype).requires_grad_(grad), case.weight(dtype).requires_grad_(grad)
    for transpose in (False, True):
        geometry = ("top_right", transpose, case.groups, case.dilation, case.border)
        torch.library.opcheck(CONV, (x, weight, *geometry))
        torch.library.opcheck(SOLVE, (x, weight, *geometry, "wavefront"))
        other = case.image(1, dtype).requires_grad_(grad)
        torch.library.opcheck(WEIGHT_GRAD, (other, x, case.taps, *geometry))


def compiled_and_eager(function, leaves, **compile_options):
    compiled = torch.compile(function, fullgraph=True, **compile_options)
    value, expected = compiled(*leaves), function(*leaves)
    torch.testing.assert_close(value, expected)
    found = torch.autograd.grad(value.square().sum(), leaves)
    wanted = torch.autograd.grad(expected.square().sum(), leaves)
    for mine, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("border", ["zero", "replicate"])
def test_the_whole_graph_compiles(dynamic: bool, border: str) -> None:
    torch._dynamo.reset()

    def function(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        options = {"orientation": "bottom_right", "dilation": 2, "border": border}
        depthwise = masked_conv2d(x, weight[:, :1], groups=x.shape[1], **options)
        back = masked_conv2d_solve(depthwise.sin(), weight, transpose=True, border=border)
        return back + masked_conv2d(x, weight, border=border)

    case = Case(channels=2, size=(5, 4))
    leaves = (case.image().requires_grad_(), case.weight().requires_grad_())
    compiled_and_eager(function, leaves, backend="aot_eager", dynamic=dynamic)


@pytest.mark.slow
def test_the_whole_graph_compiles_with_inductor() -> None:
    torch._dynamo.reset()
    case = Case(channels=4, groups=2, size=(5, 4))
    leaves = (case.image().requires_grad_(), case.weight().requires_grad_())
    compiled_and_eager(lambda x, w: masked_conv2d_solve(x.sin(), w, groups=2).cos(), leaves)


def test_a_singular_anchor_is_found_when_a_compiled_graph_runs() -> None:
    torch._dynamo.reset()
    compiled = torch.compile(lambda y, w: masked_conv2d_solve(y, w), fullgraph=True, backend="aot_eager")
    y, weight = torch.rand(1, 1, 3, 3), torch.ones(1, 1, 2, 2)
    compiled(y, weight)
    weight[0, 0, 0, 0] = 0.0
    with pytest.raises(SingularAnchorError):
        compiled(y, weight)


@either_operation
def test_fake_and_meta_tensors_have_the_shape_and_no_values(operation) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        result = operation(torch.empty(2, 4, 5, 3), torch.empty(4, 2, 3, 3), groups=2)
        assert result.shape == (2, 4, 5, 3)
    x = torch.empty(2, 4, 5, 3, device="meta").transpose(2, 3)
    result = operation(x, torch.empty(4, 2, 3, 3, device="meta"), groups=2)
    assert result.shape == (2, 4, 3, 5)
    assert result.is_contiguous()


@pytest.mark.usefixtures("backend")
@either_operation
@looped(
    dims=((0, None), (None, 0), (0, 0), (2, 1), (3, None)),
    groups=(1, 2, 4),
    border=("zero", "replicate"),
)
def test_vmap_is_a_loop(operation, dims, groups: int, border: str) -> None:
    case = Case(channels=4, groups=groups, taps=(2, 2), size=(3, 4))
    images = torch.stack([case.image(seed) for seed in range(3)])
    weights = torch.stack([case.weight() * (1 + 0.1 * seed) for seed in range(3)])
    x = images.movedim(0, dims[0]) if dims[0] is not None else images[0]
    weight = weights.movedim(0, dims[1]) if dims[1] is not None else weights[0]

    def function(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return operation(x, weight, groups=groups, orientation="top_right", transpose=True, border=border)

    found = torch.vmap(function, in_dims=dims)(x, weight)
    each = [
        function(images[i if dims[0] is not None else 0], weights[i if dims[1] is not None else 0]) for i in range(3)
    ]
    torch.testing.assert_close(found, torch.stack(each))


@either_operation
@looped(border=("zero", "replicate"))
def test_vmap_of_grad_gives_the_gradient_of_each_sample(operation, border: str) -> None:
    case = Case(batch=4, channels=2, taps=(2, 2))
    images, weight = case.image(), case.weight()

    def loss(weight: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        return operation(image[None], weight, transpose=True, border=border).square().sum()

    found = torch.vmap(torch.func.grad(loss), in_dims=(None, 0))(weight, images)
    each = torch.stack([torch.func.grad(loss)(weight, image) for image in images])
    torch.testing.assert_close(found, each)


@either_operation
def test_grad_of_vmap_and_batched_jacobians_agree(operation) -> None:
    case = Case(batch=1, channels=2, taps=(2, 2), size=(2, 3))
    x, weight = case.image(), case.weight()
    jacobian = torch.func.jacrev(lambda w: operation(x, w))(weight)
    expected = torch.autograd.functional.jacobian(lambda w: operation(x, w), weight)
    torch.testing.assert_close(jacobian, expected)
    hessian = torch.func.hessian(lambda w: operation(x, w).pow(3).sum())(weight)  # forward over reverse
    expected = torch.autograd.functional.hessian(lambda w: operation(x, w).pow(3).sum(), weight)
    torch.testing.assert_close(hessian, expected)


@either_operation
@looped(border=("zero", "replicate"), dtype=(torch.float16, torch.bfloat16))
def test_half_precision_is_computed_in_float32(operation, dtype: torch.dtype, border: str) -> None:
    case = Case(channels=2, size=(12, 12))
    x, weight = case.image(dtype=dtype).requires_grad_(), case.weight(dtype).requires_grad_()
    result = operation(x, weight, border=border)
    assert result.dtype == dtype
    wide = operation(x.detach().float(), weight.detach().float(), border=border)
    assert torch.equal(result, wide.to(dtype))
    result.float().square().sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == dtype
    assert weight.grad is not None
    assert weight.grad.dtype == dtype


@either_operation
@looped(grad=BOTH, border=("zero", "replicate"))
def test_autocast_computes_in_float32(operation, grad: bool, border: str) -> None:
    case = Case(channels=2)
    x, weight = case.image(dtype=torch.bfloat16), case.weight(torch.float32).requires_grad_(grad)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = operation(x, weight, border=border)
        double = operation(x.double(), weight.double(), border=border)
    assert result.dtype == torch.float32
    assert double.dtype == torch.float64
    torch.testing.assert_close(result, operation(x.float(), weight, border=border))


def test_without_gradients_the_call_steps_past_autograd_and_with_them_it_does_not() -> None:
    x, weight = torch.rand(1, 1, 3, 3), torch.ones(1, 1, 2, 2)
    with torch.profiler.profile() as plain:
        masked_conv2d_solve(x, weight)
    assert masked_conv2d_solve(x.requires_grad_(), weight).requires_grad
    with torch.no_grad():
        assert not masked_conv2d_solve(x, weight).requires_grad
    with torch.inference_mode():
        assert masked_conv2d_solve(x, weight).is_inference()
    assert [event.key for event in plain.key_averages()].count("deblur::masked_conv2d_solve") == 1


@either_operation
def test_func_transforms_under_autocast_compute_in_float32(operation) -> None:
    case = Case(batch=3, channels=2)
    images, weight = case.image(dtype=torch.bfloat16), case.weight(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = torch.func.grad(lambda w: operation(images, w).square().sum())(weight)
    wanted = torch.func.grad(lambda w: operation(images.float(), w).square().sum())(weight)
    torch.testing.assert_close(found, wanted)
