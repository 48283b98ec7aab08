"""Which code computes: the native kernels on the CPU, the CUDA kernels on a GPU, the readable reference elsewhere.

Here, and only here, values exist and a choice is made. float16 and bfloat16 are computed in float32 (a recursion in
half precision would lose a bit a step) and returned in their own type.

On a GPU the solve is ours, and the weight gradient with one channel per group; the rest is torch's own there, through
the reference, which is nothing but that. No value is read from a GPU whose kernels serve, so nothing waits for it: an
anchor without an inverse, an error on the CPU and wherever the reference solves, gives NaN there.

Weight gradients on the CPU: ours, save for 32 or more channels a group in float32, where torch's `conv2d_weight`, a
blocked matrix product there, takes half the time (48 channels, 32 x 32, 3 x 3: 6 ms against 14 on one core; depthwise
512 x 512, 15 x 15: 52 ms against ours 1.4). Ours is bit-identical for any number of threads, torch's from run to run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from deblur.ops import _checks, _cuda, _native, jacobi, reference

__all__ = ["conv", "solve", "weight_grad"]

_HALF = (torch.float16, torch.bfloat16)

#: Channels a group from which torch's float32 weight gradient is quicker than ours.
_WIDE = 32


def _native_serves(image: torch.Tensor) -> bool:
    return image.device.type == "cpu" and _native.available()


def _cuda_serves(image: torch.Tensor) -> bool:
    return image.device.type == "cuda" and _cuda.serves(image)


def conv(
    x: torch.Tensor,
    weight: torch.Tensor,
    orientation: str,
    transpose: bool,
    groups: int,
    dilation: Sequence[int],
    border: str = "zero",
) -> torch.Tensor:
    """Return the masked convolution of x, or its adjoint."""
    if x.dtype in _HALF:
        return conv(x.float(), weight.float(), orientation, transpose, groups, dilation, border).to(x.dtype)
    compute: Callable[..., torch.Tensor] = _native.conv if _native_serves(x) else reference.conv
    return compute(
        x.contiguous(),
        weight.contiguous(),
        orientation=orientation,
        transpose=transpose,
        groups=groups,
        dilation=(dilation[0], dilation[1]),
        border=border,
    )


def solve(
    y: torch.Tensor,
    weight: torch.Tensor,
    orientation: str,
    transpose: bool,
    groups: int,
    dilation: Sequence[int],
    method: str,
    border: str = "zero",
) -> torch.Tensor:
    """Return x with conv(x) = y."""
    if y.dtype in _HALF:
        return solve(y.float(), weight.float(), orientation, transpose, groups, dilation, method, border).to(y.dtype)
    on_gpu, native = _cuda_serves(y), _native_serves(y)
    looked_at = native and method == "wavefront" and _native.looks_at_anchors(weight, border)
    if not (on_gpu or looked_at):
        _checks.check_anchors(weight, y.shape[2], y.shape[3], groups, border)
    if method == "jacobi":
        x = jacobi.solve(y, weight, orientation, transpose, groups, dilation, border, conv=conv)
        if x is not None:
            return x
    compute: Callable[..., torch.Tensor] = reference.solve
    if on_gpu:
        compute = _cuda.solve
    elif native:
        compute = _native.solve
    return compute(
        y.contiguous(),
        weight.contiguous(),
        orientation=orientation,
        transpose=transpose,
        groups=groups,
        dilation=(dilation[0], dilation[1]),
        border=border,
    )


def weight_grad(
    grad: torch.Tensor,
    x: torch.Tensor,
    kernel_size: Sequence[int],
    orientation: str,
    groups: int,
    dilation: Sequence[int],
    border: str = "zero",
) -> torch.Tensor:
    """Return d<grad, conv(x, weight)> / dweight."""
    if x.dtype in _HALF:
        return weight_grad(grad.float(), x.float(), kernel_size, orientation, groups, dilation, border).to(x.dtype)
    grad, x = grad.contiguous(), x.contiguous()
    size, steps = (kernel_size[0], kernel_size[1]), (dilation[0], dilation[1])
    if _cuda_serves(x):
        return _cuda.weight_grad(grad, x, size, orientation=orientation, groups=groups, dilation=steps, border=border)
    is_faster = x.dtype == torch.float64 or x.shape[1] // groups < _WIDE
    if _native_serves(x) and is_faster:
        ours: torch.Tensor = _native.weight_grad(
            grad, x, size, orientation=orientation, transpose=False, groups=groups, dilation=steps, border=border
        )
        return ours
    return reference.weight_grad(grad, x, size, orientation=orientation, groups=groups, dilation=steps, border=border)
