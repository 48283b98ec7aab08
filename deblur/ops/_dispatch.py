"""Which code computes: the native kernels on the CPU, the CUDA kernels on a GPU, the readable reference elsewhere.

This is the only place where values exist and a choice is made. float16 and bfloat16 are computed in float32 (a
recursion in half precision would lose a bit a step) and returned in their own type.

On a GPU our kernels compute the solve, and the weight gradient with one channel per group. The reference computes the
rest there, which is made of torch's own operations. Where our kernels serve, no value is read from the GPU, so nothing
waits for it. An anchor without an inverse, which is an error on the CPU and wherever the reference solves, therefore
gives NaN there.

On the CPU our kernels compute the weight gradient too, but for 32 or more channels per group in float32. There torch's
`conv2d_weight`, a blocked matrix product, takes half the time (48 channels, 32 x 32, 3 x 3 taps, on one core: 6 ms,
ours 14 ms; depthwise on 512 x 512 with 15 x 15 taps: 52 ms, ours 1.4 ms). Our result has the same bits for any number
of threads, torch's from run to run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from deblur.ops import _checks, _cuda, _native, jacobi, reference
from deblur.ops.geometry import Geometry

__all__ = ["conv", "solve", "weight_grad"]

_HALF = (torch.float16, torch.bfloat16)

#: Channels a group from which torch's float32 weight gradient is quicker than ours.
_WIDE = 32


def _native_serves(image: torch.Tensor) -> bool:
    return image.device.type == "cpu" and _native.available()


def _cuda_serves(image: torch.Tensor) -> bool:
    return image.device.type == "cuda" and _cuda.serves(image)


def conv(image: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Return the masked convolution of an image, or its adjoint."""
    if image.dtype in _HALF:
        return conv(image.float(), weight.float(), geometry).to(image.dtype)
    compute: Callable[..., torch.Tensor] = _native.conv if _native_serves(image) else reference.conv
    return compute(image.contiguous(), weight.contiguous(), geometry)


def solve(image: torch.Tensor, weight: torch.Tensor, geometry: Geometry, method: str) -> torch.Tensor:
    """Return x with conv(x) = image."""
    if image.dtype in _HALF:
        return solve(image.float(), weight.float(), geometry, method).to(image.dtype)
    on_gpu, native = _cuda_serves(image), _native_serves(image)
    looked_at = native and method == "wavefront" and _native.looks_at_anchors(weight, geometry.border)
    if not (on_gpu or looked_at):
        _checks.check_anchors(weight, image.shape[2], image.shape[3], geometry.groups, geometry.border)
    if method == "jacobi":
        x = jacobi.solve(image, weight, geometry, conv=conv)
        if x is not None:
            return x
    compute: Callable[..., torch.Tensor] = reference.solve
    if on_gpu:
        compute = _cuda.solve
    elif native:
        compute = _native.solve
    return compute(image.contiguous(), weight.contiguous(), geometry)


def weight_grad(
    grad: torch.Tensor, image: torch.Tensor, kernel_size: Sequence[int], geometry: Geometry
) -> torch.Tensor:
    """Return d<grad, conv(image, weight)> / dweight."""
    if image.dtype in _HALF:
        return weight_grad(grad.float(), image.float(), kernel_size, geometry).to(image.dtype)
    is_faster = image.dtype == torch.float64 or image.shape[1] // geometry.groups < _WIDE
    compute: Callable[..., torch.Tensor] = reference.weight_grad
    if _cuda_serves(image):
        compute = _cuda.weight_grad
    elif _native_serves(image) and is_faster:
        compute = _native.weight_grad
    return compute(grad.contiguous(), image.contiguous(), (kernel_size[0], kernel_size[1]), geometry)
