"""Three operations, registered once with `torch.library`: schema, values, shapes, autocast.

    masked_conv2d(x, w) = A(w) x      masked_conv2d_solve(y, w) = A(w)^-1 y
    masked_conv2d_weight_grad(g, x) = d<g, A(w) x> / dw

A schema takes flat arguments, so here, and only here, a `Geometry` is laid flat and made whole again. The derivatives
and what `vmap` does are registered by `_autograd`, which also has the entries to call. Autocast computes in float32: an
inverse in half precision would not undo its own convolution.
"""

# mypy: allow-untyped-calls
# (torch.library leaves its own functions without types)

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from deblur.ops import _dispatch
from deblur.ops.geometry import Geometry

__all__ = ["CONV", "LIBRARY", "SOLVE", "WEIGHT_GRAD", "conv", "geometry_of", "solve", "weight_grad"]

LIBRARY = torch.library.Library("deblur", "DEF")
_GEOMETRY = "str orientation, bool transpose, SymInt groups, SymInt[2] dilation, str border"
for _schema in (
    f"masked_conv2d(Tensor image, Tensor weight, {_GEOMETRY}) -> Tensor",
    f"masked_conv2d_solve(Tensor image, Tensor weight, {_GEOMETRY}, str method) -> Tensor",
    f"masked_conv2d_weight_grad(Tensor grad, Tensor image, SymInt[2] kernel_size, {_GEOMETRY}) -> Tensor",
):
    LIBRARY.define(_schema, tags=torch.Tag.pt2_compliant_tag)

#: The registered operations, which take a geometry laid flat.
CONV: Callable[..., torch.Tensor] = torch.ops.deblur.masked_conv2d.default
SOLVE: Callable[..., torch.Tensor] = torch.ops.deblur.masked_conv2d_solve.default
WEIGHT_GRAD: Callable[..., torch.Tensor] = torch.ops.deblur.masked_conv2d_weight_grad.default


def conv(image: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Call the registered masked convolution."""
    return CONV(image, weight, *geometry)


def solve(image: torch.Tensor, weight: torch.Tensor, geometry: Geometry, method: str) -> torch.Tensor:
    """Call the registered inverse."""
    return SOLVE(image, weight, *geometry, method)


def weight_grad(
    grad: torch.Tensor, image: torch.Tensor, kernel_size: tuple[int, int], geometry: Geometry
) -> torch.Tensor:
    """Call the registered gradient of the weight."""
    return WEIGHT_GRAD(grad, image, kernel_size, *geometry)


def geometry_of(flat: Sequence[Any]) -> Geometry:
    """Make the geometry whole again that was laid flat; torch hands its pair on as a list."""
    orientation, transpose, groups, dilation, border = flat
    return Geometry(orientation, transpose, groups, tuple(dilation), border)


# --- values: every device through one entry, which chooses the code -----------------------------------------------


def _conv(image: torch.Tensor, weight: torch.Tensor, *flat: Any) -> torch.Tensor:
    return _dispatch.conv(image, weight, geometry_of(flat))


def _solve(image: torch.Tensor, weight: torch.Tensor, *flat: Any) -> torch.Tensor:
    return _dispatch.solve(image, weight, geometry_of(flat[:5]), flat[5])


def _weight_grad(grad: torch.Tensor, image: torch.Tensor, kernel_size: list[int], *flat: Any) -> torch.Tensor:
    return _dispatch.weight_grad(grad, image, kernel_size, geometry_of(flat))


LIBRARY.impl("masked_conv2d", _conv, "CompositeExplicitAutograd")
LIBRARY.impl("masked_conv2d_solve", _solve, "CompositeExplicitAutograd")
LIBRARY.impl("masked_conv2d_weight_grad", _weight_grad, "CompositeExplicitAutograd")


# --- shapes: what fake and meta tensors need -----------------------------------------------------------------------


def _like_image(image: torch.Tensor, weight: torch.Tensor, *flat: object) -> torch.Tensor:
    return image.new_empty(image.shape)


def _like_weight(grad: torch.Tensor, image: torch.Tensor, kernel_size: list[int], *flat: Any) -> torch.Tensor:
    channels = image.shape[1]
    return image.new_empty(channels, channels // geometry_of(flat).groups, *kernel_size)


for _name, _fake in (
    ("masked_conv2d", _like_image),
    ("masked_conv2d_solve", _like_image),
    ("masked_conv2d_weight_grad", _like_weight),
):
    torch.library.register_fake(f"deblur::{_name}", _fake, lib=LIBRARY)
    for _device in ("cpu", "cuda"):
        torch.library.register_autocast(f"deblur::{_name}", _device, torch.float32, lib=LIBRARY)
