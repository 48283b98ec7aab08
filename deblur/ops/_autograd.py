"""Every derivative of the three operations, forward and reverse, each in terms of the three.

With g the gradient that arrives, t a tangent, and A^T the same operation with `transpose` turned round:

    conv         dx = A^T g                    dw = weight_grad(g, x)             t = A(w) t_x + A(t_w) x
    solve        dy = A^-T g = lambda          dw = -weight_grad(lambda, x)       t = A^-1 (t_y - A(t_w) x)
    weight_grad  dg = A(u) x    dx = A(u)^T g  (u the gradient that arrives)      t = weight_grad(t_g, x) + ..(g, t_x)

(solve: differentiate A x = y.) All three share one geometry, in which `transpose` may be set: A is then the adjoint. As
the formulas use nothing but the three operations, every higher derivative exists.

The formulas are registered with `torch.library`, which serves `backward` and `torch.compile`. It knows neither forward
mode (tangents would come out as zero without a word) nor the transforms of `torch.func`; the entries `conv`, `solve`
and `weight_grad` take the same formulas through a `torch.autograd.Function` there.
"""

from __future__ import annotations

from typing import Any

import torch

from deblur.ops import _checks, _dispatch, _fast_path, _register, _vmap
from deblur.ops._register import geometry_of
from deblur.ops.geometry import Geometry

__all__ = ["conv", "solve", "weight_grad"]

Gradients = tuple[torch.Tensor | None, ...]


# --- entries: what the rest of the package calls -------------------------------------------------------------------


def conv(image: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Return the masked convolution of checked arguments, or its adjoint."""
    if torch.compiler.is_compiling():
        return _register.conv(image, weight, geometry)
    if _fast_path.is_transformed():
        return _applied(_Conv, image, weight, *geometry)
    if torch.is_grad_enabled() and (image.requires_grad or weight.requires_grad):
        return _register.conv(image, weight, geometry)
    if _fast_path.is_plain(image, weight):
        return _dispatch.conv(image, weight, geometry)
    with _fast_path.below_autograd():
        return _register.conv(image, weight, geometry)


def solve(image: torch.Tensor, weight: torch.Tensor, geometry: Geometry, method: str) -> torch.Tensor:
    """Return the x whose masked convolution is the image, for checked arguments."""
    if torch.compiler.is_compiling():
        return _register.solve(image, weight, geometry, method)
    if _fast_path.is_transformed():
        return _applied(_Solve, image, weight, *geometry, method)
    if torch.is_grad_enabled() and (image.requires_grad or weight.requires_grad):
        return _register.solve(image, weight, geometry, method)
    if _fast_path.is_plain(image, weight):
        return _dispatch.solve(image, weight, geometry, method)
    with _fast_path.below_autograd():
        return _register.solve(image, weight, geometry, method)


def weight_grad(
    grad: torch.Tensor, image: torch.Tensor, kernel_size: tuple[int, int], geometry: Geometry
) -> torch.Tensor:
    """Return d<grad, conv(image, weight)> / dweight."""
    if not torch.compiler.is_compiling() and _fast_path.is_transformed():
        return _applied(_WeightGrad, grad, image, kernel_size, *geometry)
    return _register.weight_grad(grad, image, kernel_size, geometry)


def _applied(function: Any, first: torch.Tensor, second: torch.Tensor, *options: Any) -> torch.Tensor:
    if _checks.is_autocast(first):  # an autograd.Function keeps its inputs as they come
        first, second = (each if each.dtype == torch.float64 else each.float() for each in (first, second))
    result: torch.Tensor = function.apply(first, second, *options)
    return result


# --- formulas: the table above -------------------------------------------------------------------------------------


def _save(ctx: Any, first: torch.Tensor, second: torch.Tensor) -> None:
    ctx.save_for_backward(first, second)
    ctx.save_for_forward(first, second)


def _sum(first: torch.Tensor | None, second: torch.Tensor | None) -> torch.Tensor | None:
    return second if first is None else first if second is None else first + second


def _keep_conv(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    _save(ctx, inputs[0], inputs[1])
    ctx.geometry = geometry_of(inputs[2:])


def _conv_backward(ctx: Any, grad: torch.Tensor) -> Gradients:
    image, weight = ctx.saved_tensors
    grad_image = grad_weight = None
    if ctx.needs_input_grad[0]:
        grad_image = conv(grad, weight, ctx.geometry.adjoint)
    if ctx.needs_input_grad[1]:
        grad_weight = weight_grad(grad, image, weight.shape[2:], ctx.geometry)
    return grad_image, grad_weight, *[None] * 5


def _conv_tangent(ctx: Any, along_image: torch.Tensor | None, along_weight: torch.Tensor | None, *_: None) -> Any:
    image, weight = ctx.saved_tensors
    return _sum(
        None if along_image is None else conv(along_image, weight, ctx.geometry),
        None if along_weight is None else conv(image, along_weight, ctx.geometry),
    )


def _keep_solve(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    _save(ctx, output, inputs[1])
    ctx.geometry, ctx.method = geometry_of(inputs[2:7]), inputs[7]


def _solve_backward(ctx: Any, grad: torch.Tensor) -> Gradients:
    x, weight = ctx.saved_tensors
    grad_image = solve(grad, weight, ctx.geometry.adjoint, ctx.method)
    grad_weight = None
    if ctx.needs_input_grad[1]:
        grad_weight = -weight_grad(grad_image, x, weight.shape[2:], ctx.geometry)
    return grad_image, grad_weight, *[None] * 6


def _solve_tangent(ctx: Any, along_image: torch.Tensor | None, along_weight: torch.Tensor | None, *_: None) -> Any:
    x, weight = ctx.saved_tensors
    moved = None if along_weight is None else -conv(x, along_weight, ctx.geometry)
    right_side = _sum(along_image, moved)
    return None if right_side is None else solve(right_side, weight, ctx.geometry, ctx.method)


def _keep_weight_grad(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    _save(ctx, inputs[0], inputs[1])
    ctx.kernel_size, ctx.geometry = inputs[2], geometry_of(inputs[3:])


def _weight_grad_backward(ctx: Any, along: torch.Tensor) -> Gradients:
    grad, image = ctx.saved_tensors
    grad_grad = grad_image = None
    if ctx.needs_input_grad[0]:
        grad_grad = conv(image, along, ctx.geometry)
    if ctx.needs_input_grad[1]:
        grad_image = conv(grad, along, ctx.geometry.adjoint)
    return grad_grad, grad_image, *[None] * 6


def _weight_grad_tangent(ctx: Any, along_grad: torch.Tensor | None, along_image: torch.Tensor | None, *_: None) -> Any:
    grad, image = ctx.saved_tensors
    return _sum(
        None if along_grad is None else weight_grad(along_grad, image, ctx.kernel_size, ctx.geometry),
        None if along_image is None else weight_grad(grad, along_image, ctx.kernel_size, ctx.geometry),
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
    _register.CONV,
    _keep_conv,
    _conv_backward,
    _conv_tangent,
    _vmap.map_images(conv),
)
_Solve = _function(
    "masked_conv2d_solve",
    _register.SOLVE,
    _keep_solve,
    _solve_backward,
    _solve_tangent,
    _vmap.map_images(solve),
)
_WeightGrad = _function(
    "masked_conv2d_weight_grad",
    _register.WEIGHT_GRAD,
    _keep_weight_grad,
    _weight_grad_backward,
    _weight_grad_tangent,
    _vmap.map_weight_grad(weight_grad),
)
