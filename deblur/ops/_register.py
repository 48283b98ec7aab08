"""Three operations, registered once with `torch.library`, each the derivative of the others.

    conv(x, w) = A(w) x          solve(y, w) = A(w)^-1 y          weight_grad(g, x) = d<g, A(w) x> / dw

With g the gradient that arrives and A^T the same operation with `transpose` turned round:

    conv         dx = A^T g                    dw = weight_grad(g, x)
    solve        dy = A^-T g = lambda          dw = -weight_grad(lambda, x)       (differentiate A x = y)
    weight_grad  dg = A(u) x    dx = A(u)^T g                       (u: the gradient that arrives, a weight itself)

and where `transpose` is set, <g, A^T x> = <x, A g> exchanges the arguments of weight_grad. As the formulas use nothing
but these three operations, every higher derivative exists.

Autocast computes in float32: an inverse in half precision would not undo its own convolution.
"""

# mypy: allow-untyped-calls
# (torch.library leaves its own functions without types)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from deblur.ops import _kernels, _vmap

__all__ = ["conv", "solve"]

_LIBRARY = torch.library.Library("deblur", "DEF")
_LIBRARY.define(
    "masked_conv2d(Tensor x, Tensor weight, str orientation, bool transpose, SymInt groups, SymInt[2] dilation) "
    "-> Tensor",
    tags=torch.Tag.pt2_compliant_tag,
)
_LIBRARY.define(
    "masked_conv2d_solve(Tensor y, Tensor weight, str orientation, bool transpose, SymInt groups, SymInt[2] dilation, "
    "str method) -> Tensor",
    tags=torch.Tag.pt2_compliant_tag,
)
_LIBRARY.define(
    "masked_conv2d_weight_grad(Tensor grad, Tensor x, SymInt[2] kernel_size, str orientation, SymInt groups, "
    "SymInt[2] dilation) -> Tensor",
    tags=torch.Tag.pt2_compliant_tag,
)

_conv: Callable[..., torch.Tensor] = torch.ops.deblur.masked_conv2d.default
_solve: Callable[..., torch.Tensor] = torch.ops.deblur.masked_conv2d_solve.default
_weight_grad: Callable[..., torch.Tensor] = torch.ops.deblur.masked_conv2d_weight_grad.default


# --- values: every device through one entry, which chooses the code -----------------------------------------------

_LIBRARY.impl("masked_conv2d", _kernels.conv, "CompositeExplicitAutograd")
_LIBRARY.impl("masked_conv2d_solve", _kernels.solve, "CompositeExplicitAutograd")
_LIBRARY.impl("masked_conv2d_weight_grad", _kernels.weight_grad, "CompositeExplicitAutograd")


# --- shapes: what fake and meta tensors need -----------------------------------------------------------------------


def _like_image(image: torch.Tensor, weight: torch.Tensor, *options: object) -> torch.Tensor:
    return image.new_empty(image.shape)


def _like_weight(
    grad: torch.Tensor, x: torch.Tensor, kernel_size: list[int], orientation: str, groups: int, dilation: list[int]
) -> torch.Tensor:
    return x.new_empty(x.shape[1], x.shape[1] // groups, *kernel_size)


# --- derivatives: the table above ----------------------------------------------------------------------------------


def _keep(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.options = inputs[2:]


def _keep_solution(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    ctx.save_for_backward(output, inputs[1])
    ctx.options = inputs[2:]


def _conv_backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    orientation, transpose, groups, dilation = ctx.options
    grad_x = grad_weight = None
    if ctx.needs_input_grad[0]:
        grad_x = _conv(grad, weight, orientation, not transpose, groups, dilation)
    if ctx.needs_input_grad[1]:
        left, right = (x, grad) if transpose else (grad, x)
        grad_weight = _weight_grad(left, right, weight.shape[2:], orientation, groups, dilation)
    return grad_x, grad_weight, None, None, None, None


def _solve_backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    orientation, transpose, groups, dilation, method = ctx.options
    grad_y = _solve(grad, weight, orientation, not transpose, groups, dilation, method)
    grad_weight = None
    if ctx.needs_input_grad[1]:
        left, right = (x, grad_y) if transpose else (grad_y, x)
        grad_weight = -_weight_grad(left, right, weight.shape[2:], orientation, groups, dilation)
    return grad_y, grad_weight, None, None, None, None, None


def _weight_grad_backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    left, right = ctx.saved_tensors
    _, orientation, groups, dilation = ctx.options
    grad_left = grad_right = None
    if ctx.needs_input_grad[0]:
        grad_left = _conv(right, grad, orientation, False, groups, dilation)
    if ctx.needs_input_grad[1]:
        grad_right = _conv(left, grad, orientation, True, groups, dilation)
    return grad_left, grad_right, None, None, None, None


for _name, _fake, _setup, _backward, _rule in (
    ("masked_conv2d", _like_image, _keep, _conv_backward, _vmap.map_images(_conv)),
    ("masked_conv2d_solve", _like_image, _keep_solution, _solve_backward, _vmap.map_images(_solve)),
    ("masked_conv2d_weight_grad", _like_weight, _keep, _weight_grad_backward, _vmap.map_weight_grad(_weight_grad)),
):
    _qualified = f"deblur::{_name}"
    torch.library.register_fake(_qualified, _fake, lib=_LIBRARY)
    torch.library.register_autograd(_qualified, _backward, setup_context=_setup, lib=_LIBRARY)
    torch.library.register_vmap(_qualified, _rule, lib=_LIBRARY)
    for _device in ("cpu", "cuda"):
        torch.library.register_autocast(_qualified, _device, torch.float32, lib=_LIBRARY)


# --- entries: what the rest of the package calls -------------------------------------------------------------------


def conv(
    x: torch.Tensor,
    weight: torch.Tensor,
    orientation: str,
    transpose: bool,
    groups: int,
    dilation: tuple[int, int],
) -> torch.Tensor:
    """Return the masked convolution of checked arguments, or its adjoint."""
    if _needs_no_derivative(x, weight):
        with torch._C._AutoDispatchBelowAutograd():
            return _conv(x, weight, orientation, transpose, groups, dilation)
    if not torch.compiler.is_compiling() and _kernels.forward_mode():
        return _kernels.conv(x, weight, orientation, transpose, groups, dilation)
    return _conv(x, weight, orientation, transpose, groups, dilation)


def solve(
    y: torch.Tensor,
    weight: torch.Tensor,
    orientation: str,
    transpose: bool,
    groups: int,
    dilation: tuple[int, int],
    method: str,
) -> torch.Tensor:
    """Return the x whose masked convolution is y, for checked arguments."""
    if _needs_no_derivative(y, weight):
        with torch._C._AutoDispatchBelowAutograd():
            return _solve(y, weight, orientation, transpose, groups, dilation, method)
    if not torch.compiler.is_compiling() and _kernels.forward_mode():
        return _kernels.solve(y, weight, orientation, transpose, groups, dilation, method)
    return _solve(y, weight, orientation, transpose, groups, dilation, method)


def _needs_no_derivative(image: torch.Tensor, weight: torch.Tensor) -> bool:
    """Say whether autograd has nothing to do: stepping past it saves a third of a small call's time."""
    return not (
        torch.compiler.is_compiling()
        or (torch.is_grad_enabled() and (image.requires_grad or weight.requires_grad))
        or _kernels.forward_mode()
        or torch._C._are_functorch_transforms_active()
    )
