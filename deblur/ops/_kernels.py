"""Which code computes: the native kernels on the CPU, the readable reference everywhere else.

Here, and only here, values exist and a choice is made. float16 and bfloat16 are computed in float32 (a recursion in
half precision would lose a bit a step) and returned in their own type.

Weight gradients: on the CPU torch's `conv2d_weight` serves small kernels over many channels, where it is a matrix
product; ours serves the rest, above all one large kernel a channel (see `_weight_grad_is_ours`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.autograd import forward_ad

from deblur.ops import _checks, jacobi, reference

_native: Any
try:
    _native = importlib.import_module("deblur.ops._native")
except ImportError:
    _native = None

__all__ = ["conv", "forward_mode", "solve", "weight_grad"]

_HALF = (torch.float16, torch.bfloat16)


def forward_mode() -> bool:
    """Say whether a forward-mode derivative is being taken.

    `torch.library` takes no forward-mode formula: tangents would come out as zero without a word. The entries then
    come here directly and the reference serves, which is plain PyTorch and has them.
    """
    return forward_ad._current_level >= 0


def _native_serves(image: torch.Tensor) -> bool:
    return image.device.type == "cpu" and not forward_mode() and _native is not None and _native.available()


def conv(
    x: torch.Tensor, weight: torch.Tensor, orientation: str, transpose: bool, groups: int, dilation: Sequence[int]
) -> torch.Tensor:
    """Return the masked convolution of x, or its adjoint."""
    if x.dtype in _HALF:
        return conv(x.float(), weight.float(), orientation, transpose, groups, dilation).to(x.dtype)
    compute: Callable[..., torch.Tensor] = _native.conv if _native_serves(x) else reference.conv
    return compute(
        x.contiguous(),
        weight.contiguous(),
        orientation=orientation,
        transpose=transpose,
        groups=groups,
        dilation=(dilation[0], dilation[1]),
    )


def solve(
    y: torch.Tensor,
    weight: torch.Tensor,
    orientation: str,
    transpose: bool,
    groups: int,
    dilation: Sequence[int],
    method: str,
) -> torch.Tensor:
    """Return x with conv(x) = y."""
    if y.dtype in _HALF:
        return solve(y.float(), weight.float(), orientation, transpose, groups, dilation, method).to(y.dtype)
    if not forward_mode():  # there, values may be out of reach
        _checks.check_anchor(weight, groups)
    if method == "jacobi" and not forward_mode():
        x = jacobi.solve(y, weight, orientation, transpose, groups, dilation, conv=conv)
        if x is not None:
            return x
    compute: Callable[..., torch.Tensor] = _native.solve if _native_serves(y) else reference.solve
    return compute(
        y.contiguous(),
        weight.contiguous(),
        orientation=orientation,
        transpose=transpose,
        groups=groups,
        dilation=(dilation[0], dilation[1]),
    )


def weight_grad(
    grad: torch.Tensor,
    x: torch.Tensor,
    kernel_size: Sequence[int],
    orientation: str,
    groups: int,
    dilation: Sequence[int],
) -> torch.Tensor:
    """Return d<grad, conv(x, weight)> / dweight."""
    if x.dtype in _HALF:
        return weight_grad(grad.float(), x.float(), kernel_size, orientation, groups, dilation).to(x.dtype)
    grad, x = grad.contiguous(), x.contiguous()
    size, steps = (kernel_size[0], kernel_size[1]), (dilation[0], dilation[1])
    if _native_serves(x) and _weight_grad_is_ours(x.shape[1] // groups, size):
        ours: torch.Tensor = _native.weight_grad(
            grad, x, size, orientation=orientation, transpose=False, groups=groups, dilation=steps
        )
        return ours
    return reference.weight_grad(grad, x, size, orientation=orientation, groups=groups, dilation=steps)


def _weight_grad_is_ours(per_group: int, kernel_size: tuple[int, int]) -> bool:
    return per_group == 1
