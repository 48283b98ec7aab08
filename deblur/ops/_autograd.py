"""Every derivative of the three operations, forward and reverse, each in terms of the three.

With g the gradient that arrives, t a tangent, and A^T the same operation with `transpose` turned round:

    conv         dx = A^T g                    dw = weight_grad(g, x)             t = A(w) t_x + A(t_w) x
    solve        dy = A^-T g = lambda          dw = -weight_grad(lambda, x)       t = A^-1 (t_y - A(t_w) x)
    weight_grad  dg = A(u) x    dx = A(u)^T g  (u the gradient that arrives)      t = weight_grad(t_g, x) + ..(g, t_x)

(solve: differentiate A x = y.) Where `transpose` is set, <g, A^T x> = <x, A g> exchanges the arguments of weight_grad.
As the formulas use nothing but the three operations, every higher derivative exists.

The formulas are registered with `torch.library`, which serves `backward` and `torch.compile`. It knows neither forward
mode (tangents would come out as zero without a word) nor the transforms of `torch.func`; the entries `conv`, `solve`
and `weight_grad` take the same formulas through a `torch.autograd.Function` there.
"""

from __future__ import annotations

from typing import Any

import torch

from deblur.ops import _checks, _dispatch, _fast_path, _register, _vmap

__all__ = ["conv", "solve", "weight_grad"]

Pair = tuple[int, int]
Gradients = tuple[torch.Tensor | None, ...]


# --- entries: what the rest of the package calls -------------------------------------------------------------------


def conv(
    x: torch.Tensor,
    weight: torch.Tensor,
    orientation: str,
    transpose: bool,
    groups: int,
    dilation: Pair,
    border: str = "zero",
) -> torch.Tensor:
    """Return the masked convolution of checked arguments, or its adjoint."""
    if torch.compiler.is_compiling():
        return _register.conv(x, weight, orientation, transpose, groups, dilation, border)
    if _fast_path.is_transformed():
        return _applied(_Conv, x, weight, orientation, transpose, groups, dilation, border)
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        return _register.conv(x, weight, orientation, transpose, groups, dilation, border)
    if _fast_path.is_plain(x, weight):
        return _dispatch.conv(x, weight, orientation, transpose, groups, dilation, border)
    with _fast_path.below_autograd():
        return _register.conv(x, weight, orientation, transpose, groups, dilation, border)


def solve(
    y: torch.Tensor,
    weight: torch.Tensor,
    orientation: str,
    transpose: bool,
    groups: int,
    dilation: Pair,
    method: str,
    border: str = "zero",
) -> torch.Tensor:
    """Return the x whose masked convolution is y, for checked arguments."""
    if torch.compiler.is_compiling():
        return _register.solve(y, weight, orientation, transpose, groups, dilation, method, border)
    if _fast_path.is_transformed():
        return _applied(_Solve, y, weight, orientation, transpose, groups, dilation, method, border)
    if torch.is_grad_enabled() and (y.requires_grad or weight.requires_grad):
        return _register.solve(y, weight, orientation, transpose, groups, dilation, method, border)
    if _fast_path.is_plain(y, weight):
        return _dispatch.solve(y, weight, orientation, transpose, groups, dilation, method, border)
    with _fast_path.below_autograd():
        return _register.solve(y, weight, orientation, transpose, groups, dilation, method, border)


def weight_grad(
    grad: torch.Tensor,
    x: torch.Tensor,
    kernel_size: Pair,
    orientation: str,
    groups: int,
    dilation: Pair,
    border: str = "zero",
) -> torch.Tensor:
    """Return d<grad, conv(x, weight)> / dweight."""
    if not torch.compiler.is_compiling() and _fast_path.is_transformed():
        return _applied(_WeightGrad, grad, x, kernel_size, orientation, groups, dilation, border)
    return _register.weight_grad(grad, x, kernel_size, orientation, groups, dilation, border)


def _applied(function: Any, first: torch.Tensor, second: torch.Tensor, *options: Any) -> torch.Tensor:
    if _checks.is_autocast(first):  # an autograd.Function keeps its inputs as they come
        first, second = (each if each.dtype == torch.float64 else each.float() for each in (first, second))
    result: torch.Tensor = function.apply(first, second, *options)
    return result


# --- formulas: the table above -------------------------------------------------------------------------------------


def _keep(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.save_for_forward(*inputs[:2])
    ctx.options = inputs[2:]


def _keep_solution(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    _keep(ctx, (output, *inputs[1:]), output)


def _sum(first: torch.Tensor | None, second: torch.Tensor | None) -> torch.Tensor | None:
    return second if first is None else first if second is None else first + second


def _conv_backward(ctx: Any, grad: torch.Tensor) -> Gradients:
    x, weight = ctx.saved_tensors
    orientation, transpose, groups, dilation, border = ctx.options
    grad_x = grad_weight = None
    if ctx.needs_input_grad[0]:
        grad_x = conv(grad, weight, orientation, not transpose, groups, dilation, border)
    if ctx.needs_input_grad[1]:
        left, right = (x, grad) if transpose else (grad, x)
        grad_weight = weight_grad(left, right, weight.shape[2:], orientation, groups, dilation, border)
    return grad_x, grad_weight, *[None] * 5


def _conv_tangent(ctx: Any, along_x: torch.Tensor | None, along_weight: torch.Tensor | None, *_: None) -> Any:
    x, weight = ctx.saved_tensors
    return _sum(
        None if along_x is None else conv(along_x, weight, *ctx.options),
        None if along_weight is None else conv(x, along_weight, *ctx.options),
    )


def _solve_backward(ctx: Any, grad: torch.Tensor) -> Gradients:
    x, weight = ctx.saved_tensors
    orientation, transpose, groups, dilation, method, border = ctx.options
    grad_y = solve(grad, weight, orientation, not transpose, groups, dilation, method, border)
    grad_weight = None
    if ctx.needs_input_grad[1]:
        left, right = (x, grad_y) if transpose else (grad_y, x)
        grad_weight = -weight_grad(left, right, weight.shape[2:], orientation, groups, dilation, border)
    return grad_y, grad_weight, *[None] * 6


def _solve_tangent(ctx: Any, along_y: torch.Tensor | None, along_weight: torch.Tensor | None, *_: None) -> Any:
    x, weight = ctx.saved_tensors
    orientation, transpose, groups, dilation, _, border = ctx.options
    moved = None
    if along_weight is not None:
        moved = -conv(x, along_weight, orientation, transpose, groups, dilation, border)
    right_side = _sum(along_y, moved)
    return None if right_side is None else solve(right_side, weight, *ctx.options)


def _weight_grad_backward(ctx: Any, grad: torch.Tensor) -> Gradients:
    left, right = ctx.saved_tensors
    _, orientation, groups, dilation, border = ctx.options
    grad_left = grad_right = None
    if ctx.needs_input_grad[0]:
        grad_left = conv(right, grad, orientation, False, groups, dilation, border)
    if ctx.needs_input_grad[1]:
        grad_right = conv(left, grad, orientation, True, groups, dilation, border)
    return grad_left, grad_right, *[None] * 5


def _weight_grad_tangent(ctx: Any, along_left: torch.Tensor | None, along_right: torch.Tensor | None, *_: None) -> Any:
    left, right = ctx.saved_tensors
    return _sum(
        None if along_left is None else weight_grad(along_left, right, *ctx.options),
        None if along_right is None else weight_grad(left, along_right, *ctx.options),
    )


# --- registration --------------------------------------------------------------------------------------------------


def _function(name: str, operation: Any, keep: Any, backward: Any, tangent: Any, rule: Any) -> Any:
    """Register the formulas with `torch.library`, and return them as an autograd.Function too."""
    torch.library.register_autograd(f"deblur::{name}", backward, setup_context=keep, lib=_register.LIBRARY)
    torch.library.register_vmap(f"deblur::{name}", rule, lib=_register.LIBRARY)
    body = {"forward": operation, "setup_context": keep, "backward": backward, "jvp": tangent, "vmap": rule}
    return type(name, (torch.autograd.Function,), {key: staticmethod(value) for key, value in body.items()})


_Conv = _function(
    "masked_conv2d",
    lambda *arguments: _register.conv(*arguments),
    _keep,
    _conv_backward,
    _conv_tangent,
    _vmap.map_images(conv),
)
_Solve = _function(
    "masked_conv2d_solve",
    lambda *arguments: _register.solve(*arguments),
    _keep_solution,
    _solve_backward,
    _solve_tangent,
    _vmap.map_images(solve),
)
_WeightGrad = _function(
    "masked_conv2d_weight_grad",
    lambda *arguments: _register.weight_grad(*arguments),
    _keep,
    _weight_grad_backward,
    _weight_grad_tangent,
    _vmap.map_weight_grad(weight_grad),
)
