"""Three operations, registered once with `torch.library`, each the derivative of the others.

    conv(x, w) = A(w) x          solve(y, w) = A(w)^-1 y          weight_grad(g, x) = d<g, A(w) x> / dw

With g the gradient that arrives and A^T the same operation with `transpose` turned round:

    conv         dx = A^T g                    dw = weight_grad(g, x)
    solve        dy = A^-T g = lambda          dw = -weight_grad(lambda, x)       (differentiate A x = y)
    weight_grad  dg = A(u) x    dx = A(u)^T g                       (u: the gradient that arrives, a weight itself)

and where `transpose` is set, <g, A^T x> = <x, A g> exchanges the arguments of weight_grad. As the formulas use nothing
but these three operations, every higher derivative exists.

`vmap` folds its dimension into the batch while the weight is shared, and into the groups where it is not.
Autocast computes in float32: an inverse in half precision would not undo its own convolution.
"""

# mypy: allow-untyped-calls
# (torch.library leaves its own functions without types)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from deblur.ops import _kernels

__all__ = ["conv", "solve", "weight_grad"]

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

conv: Callable[..., torch.Tensor] = torch.ops.deblur.masked_conv2d.default
solve: Callable[..., torch.Tensor] = torch.ops.deblur.masked_conv2d_solve.default
weight_grad: Callable[..., torch.Tensor] = torch.ops.deblur.masked_conv2d_weight_grad.default


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
        grad_x = conv(grad, weight, orientation, not transpose, groups, dilation)
    if ctx.needs_input_grad[1]:
        left, right = (x, grad) if transpose else (grad, x)
        grad_weight = weight_grad(left, right, weight.shape[2:], orientation, groups, dilation)
    return grad_x, grad_weight, None, None, None, None


def _solve_backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    orientation, transpose, groups, dilation, method = ctx.options
    grad_y = solve(grad, weight, orientation, not transpose, groups, dilation, method)
    grad_weight = None
    if ctx.needs_input_grad[1]:
        left, right = (x, grad_y) if transpose else (grad_y, x)
        grad_weight = -weight_grad(left, right, weight.shape[2:], orientation, groups, dilation)
    return grad_y, grad_weight, None, None, None, None, None


def _weight_grad_backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    left, right = ctx.saved_tensors
    _, orientation, groups, dilation = ctx.options
    grad_left = grad_right = None
    if ctx.needs_input_grad[0]:
        grad_left = conv(right, grad, orientation, False, groups, dilation)
    if ctx.needs_input_grad[1]:
        grad_right = conv(left, grad, orientation, True, groups, dilation)
    return grad_left, grad_right, None, None, None, None


# --- vmap: one more dimension, in the batch or in the groups --------------------------------------------------------


def _in_front(tensor: torch.Tensor, dim: int | None, size: int) -> torch.Tensor:
    """Bring the mapped dimension to the front; a tensor without one is repeated."""
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def _into_channels(image: torch.Tensor) -> torch.Tensor:
    """(V, B, C, H, W) -> (B, V * C, H, W)."""
    return image.transpose(0, 1).flatten(1, 2)


def _map_images(operation: Callable[..., torch.Tensor]) -> Callable[..., tuple[torch.Tensor, int]]:
    def rule(
        info: Any, in_dims: tuple[int | None, ...], image: torch.Tensor, weight: torch.Tensor, *options: Any
    ) -> tuple[torch.Tensor, int]:
        size = info.batch_size
        images = _in_front(image, in_dims[0], size)
        if in_dims[1] is None:
            result = operation(images.flatten(0, 1), weight, *options)
            return result.unflatten(0, (size, images.shape[1])), 0
        weights = _in_front(weight, in_dims[1], size).flatten(0, 1)
        orientation, transpose, groups, *rest = options
        result = operation(_into_channels(images), weights, orientation, transpose, groups * size, *rest)
        return result.unflatten(1, (size, images.shape[2])), 1

    return rule


def _map_weight_grad(
    info: Any,
    in_dims: tuple[int | None, ...],
    grad: torch.Tensor,
    x: torch.Tensor,
    kernel_size: list[int],
    orientation: str,
    groups: int,
    dilation: list[int],
) -> tuple[torch.Tensor, int]:
    size = info.batch_size
    grads, xs = _in_front(grad, in_dims[0], size), _in_front(x, in_dims[1], size)
    result = weight_grad(_into_channels(grads), _into_channels(xs), kernel_size, orientation, groups * size, dilation)
    return result.unflatten(0, (size, xs.shape[2])), 0


for _name, _fake, _setup, _backward, _rule in (
    ("masked_conv2d", _like_image, _keep, _conv_backward, _map_images(conv)),
    ("masked_conv2d_solve", _like_image, _keep_solution, _solve_backward, _map_images(solve)),
    ("masked_conv2d_weight_grad", _like_weight, _keep, _weight_grad_backward, _map_weight_grad),
):
    _qualified = f"deblur::{_name}"
    torch.library.register_fake(_qualified, _fake, lib=_LIBRARY)
    torch.library.register_autograd(_qualified, _backward, setup_context=_setup, lib=_LIBRARY)
    torch.library.register_vmap(_qualified, _rule, lib=_LIBRARY)
    for _device in ("cpu", "cuda"):
        torch.library.register_autocast(_qualified, _device, torch.float32, lib=_LIBRARY)
