"""Three operations, registered once with `torch.library`: schema, values, shapes, autocast.

    masked_conv2d(x, w) = A(w) x      masked_conv2d_solve(y, w) = A(w)^-1 y
    masked_conv2d_weight_grad(g, x) = d<g, A(w) x> / dw

Their derivatives and what `vmap` does with them are registered by `_autograd`, which also has the entries to call.
Autocast computes in float32: an inverse in half precision would not undo its own convolution.
"""

# mypy: allow-untyped-calls
# (torch.library leaves its own functions without types)

from __future__ import annotations

from collections.abc import Callable

import torch

from deblur.ops import _dispatch

__all__ = ["LIBRARY", "conv", "solve", "weight_grad"]

LIBRARY = torch.library.Library("deblur", "DEF")
LIBRARY.define(
    "masked_conv2d(Tensor x, Tensor weight, str orientation, bool transpose, SymInt groups, SymInt[2] dilation, "
    'str border="zero") -> Tensor',
    tags=torch.Tag.pt2_compliant_tag,
)
LIBRARY.define(
    "masked_conv2d_solve(Tensor y, Tensor weight, str orientation, bool transpose, SymInt groups, SymInt[2] dilation, "
    'str method, str border="zero") -> Tensor',
    tags=torch.Tag.pt2_compliant_tag,
)
LIBRARY.define(
    "masked_conv2d_weight_grad(Tensor grad, Tensor x, SymInt[2] kernel_size, str orientation, SymInt groups, "
    'SymInt[2] dilation, str border="zero") -> Tensor',
    tags=torch.Tag.pt2_compliant_tag,
)

conv: Callable[..., torch.Tensor] = torch.ops.deblur.masked_conv2d.default
solve: Callable[..., torch.Tensor] = torch.ops.deblur.masked_conv2d_solve.default
weight_grad: Callable[..., torch.Tensor] = torch.ops.deblur.masked_conv2d_weight_grad.default


# --- values: every device through one entry, which chooses the code -----------------------------------------------

LIBRARY.impl("masked_conv2d", _dispatch.conv, "CompositeExplicitAutograd")
LIBRARY.impl("masked_conv2d_solve", _dispatch.solve, "CompositeExplicitAutograd")
LIBRARY.impl("masked_conv2d_weight_grad", _dispatch.weight_grad, "CompositeExplicitAutograd")


# --- shapes: what fake and meta tensors need -----------------------------------------------------------------------


def _like_image(image: torch.Tensor, weight: torch.Tensor, *options: object) -> torch.Tensor:
    return image.new_empty(image.shape)


def _like_weight(
    grad: torch.Tensor, x: torch.Tensor, kernel_size: list[int], orientation: str, groups: int, *options: object
) -> torch.Tensor:
    return x.new_empty(x.shape[1], x.shape[1] // groups, *kernel_size)


for _name, _fake in (
    ("masked_conv2d", _like_image),
    ("masked_conv2d_solve", _like_image),
    ("masked_conv2d_weight_grad", _like_weight),
):
    torch.library.register_fake(f"deblur::{_name}", _fake, lib=LIBRARY)
    for _device in ("cpu", "cuda"):
        torch.library.register_autocast(f"deblur::{_name}", _device, torch.float32, lib=LIBRARY)
