"""The exact inverse on CUDA devices: csrc/cuda, compiled at first use and launched on torch's current stream.

What runs where:

- the solve with one channel per group: the band kernel, one launch however many images and bands (taps too many for
  its shared memory, more than 45 a side on the smallest device, 25 in float64: the wavefront kernel);
- the solve with several channels per group: three small kernels that invert the anchors and fold them in, then the
  wavefront kernel, one launch for all images;
- the weight gradient with one channel per group: a kernel that sums over tiles, and one that sums over its blocks;
- the weight gradient with several, and the convolution: torch's own, through the reference, which is nothing but they;
- with a repeated edge the same kernels, between torch's own operations (`border`).

Nothing here waits for the device or reads a value from it. So calls may be captured in a CUDA graph, if `warmup` was
called before, since a kernel must not be loaded during a capture. For the same reason an anchor without an inverse is
not an error, as it is on the CPU: the result is NaN. Where the kernels cannot be made, `why_not` says why in one
sentence, and the reference computes.
"""

from __future__ import annotations

import functools
import os

import torch
from torch import Tensor

from deblur.ops import reference
from deblur.ops._cuda import border, modules, plan
from deblur.ops._cuda.driver import Driver, DriverError
from deblur.ops._cuda.nvrtc import Nvrtc, NvrtcError
from deblur.ops.geometry import Geometry

__all__ = ["available", "describe", "serves", "solve", "warmup", "weight_grad", "why_not"]

_OLDEST = 70  # acquire and release between blocks


@functools.cache
def _toolkit() -> tuple[modules.Toolkit | None, str | None]:
    """Compiler, driver and sources, or the one sentence that says what is missing."""
    if os.environ.get("DEBLUR_CUDA", "1").lower() in ("0", "off", "false", "no"):
        return None, "the CUDA kernels are switched off by the environment variable DEBLUR_CUDA"
    if not torch.cuda.is_available():
        return None, "torch sees no CUDA device" if torch.version.cuda else "this build of torch is without CUDA"
    sources = modules.find_sources()
    if not sources:
        return None, "the sources of the CUDA kernels are missing; reinstall deblur-wavefront"
    try:
        return modules.Toolkit(compiler=Nvrtc(), driver=Driver(), sources=sources), None
    except (NvrtcError, DriverError) as error:
        return None, f"the CUDA kernels cannot be compiled: {error}"


@functools.cache
def _why_not(device: int) -> str | None:
    toolkit, reason = _toolkit()
    if toolkit is None:
        return reason
    architecture = toolkit.driver.architecture(device)
    if architecture < _OLDEST:
        return f"CUDA device {device} has compute capability {architecture / 10}, the kernels need {_OLDEST / 10}"
    try:
        toolkit.kernels(device, "band.cuh", torch.float32)
    except (NvrtcError, DriverError) as error:
        return f"the CUDA kernels cannot be made for device {device}: {error}".splitlines()[0]
    return None


def available(device: int = 0) -> bool:
    """Whether the CUDA kernels can be used on a device; the first question compiles and loads one."""
    return _why_not(device) is None


def why_not(device: int = 0) -> str | None:
    """One sentence that says why the CUDA kernels cannot be used on a device; None where they can."""
    return _why_not(device)


def describe(device: int = 0) -> str:
    """What compiles for a device, or why nothing does."""
    toolkit, _ = _toolkit()
    if toolkit is None or not available(device):
        return str(why_not(device))
    return f"{toolkit.compiler.target(toolkit.driver.architecture(device))}, by {toolkit.compiler.identity}"


def serves(image: Tensor) -> bool:
    """Whether the kernels run on the device that an image lies on."""
    return available(image.device.index)


def solve(image: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """The x whose masked convolution with weight (C, C // groups, kh, kw) is the image (B, C, H, W).

    Takes contiguous tensors of one dtype, float32 or float64. NaN where none exists. Bit-identical from run to run.
    """
    toolkit, reason = _toolkit()
    if toolkit is None:
        raise RuntimeError(reason)
    x = torch.empty_like(image)
    if x.numel() == 0:
        return x
    if geometry.border == "replicate":
        return border.solve(image, weight, geometry, zero_solve=solve)
    limit = toolkit.driver.shared_limit(image.device.index or 0)
    steps = plan.plan_solve(image.shape, image.dtype, (weight.shape[2], weight.shape[3]), geometry, limit)
    _run(toolkit, steps, {"y": image, "x": x, "weight": weight})
    return x


def weight_grad(grad: Tensor, image: Tensor, kernel_size: tuple[int, int], geometry: Geometry) -> Tensor:
    """The derivative of <grad, masked_conv2d(image, w)> by w, of shape (C, C // groups, kh, kw)."""
    toolkit, reason = _toolkit()
    if toolkit is None:
        raise RuntimeError(reason)
    if geometry.transpose:
        return weight_grad(image, grad, kernel_size, geometry.adjoint)
    if geometry.border == "replicate":
        return border.weight_grad(grad, image, kernel_size, geometry, zero_weight_grad=weight_grad)
    limit = toolkit.driver.shared_limit(image.device.index or 0)
    steps = None
    if image.numel():
        steps = plan.plan_weight_grad(image.shape, image.dtype, kernel_size, geometry, limit)
    if steps is None:
        return reference.weight_grad(grad, image, kernel_size, geometry)
    result = image.new_zeros(image.shape[1], 1, *kernel_size)  # taps out of reach stay zero
    _run(toolkit, steps, {"y": grad, "x": image, "gradient": result})
    return result


def _run(toolkit: modules.Toolkit, steps: plan.Plan, tensors: dict[str, Tensor]) -> None:
    """Launch a plan's kernels on these tensors, and scratch of its own."""
    some = tensors["x"]
    device = some.device.index or 0
    # The plan is shared between calls, the buffers are not: each is torch's, and free for the next use of this stream.
    buffers = tensors | {name: some.new_empty(size) for name, size in steps.scratch.items()}
    if steps.flags:
        buffers["flags"] = torch.zeros(steps.flags, dtype=torch.int32, device=some.device)
    problem = plan.Problem.from_buffer_copy(steps.problem)
    for name, tensor in buffers.items():
        setattr(problem, name, tensor.data_ptr())
    for step in steps.launches:
        kernel = toolkit.kernels(device, step.source, some.dtype)[step.kernel]
        toolkit.driver.launch(
            kernel, device, step.grid, step.block, step.shared_bytes, problem, tuple(buffers.values())
        )


def warmup(device: int | str | torch.device | None = None) -> None:
    """Compile and load the CUDA kernels now, not at their first use.

    Needed before a CUDA graph is captured; elsewhere it only moves the wait (a second or two once per machine, then
    milliseconds per process). Does nothing where the kernels cannot run.

    Args:
        device: A CUDA device, or its number; the current one by default.

    Example:
        >>> warmup()
    """
    toolkit, _ = _toolkit()
    if toolkit is None:
        return
    index = torch.device("cuda", device).index if isinstance(device, int) else torch.device(device or "cuda").index
    number = torch.cuda.current_device() if index is None else index
    if available(number):
        for source in modules.KERNELS:
            for dtype in modules.SCALARS:
                toolkit.kernels(number, source, dtype)
