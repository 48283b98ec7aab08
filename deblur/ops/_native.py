"""The native CPU kernels, loaded with ctypes from the library that `CMakeLists.txt` builds out of `csrc/cpu`.

The library knows nothing of torch or Python: it takes pointers, a description of the problem and a number of threads
(`csrc/cpu/deblur_cpu.h`). It may be missing, where the package was installed without a C++ compiler, or be switched
off by ``DEBLUR_NATIVE=0``; `why_not` then says so in one sentence and `deblur.ops` computes with its PyTorch reference.

The functions here expect checked arguments: contiguous CPU tensors of one dtype, float32 or float64. A solve expects
invertible anchors too, but where `looks_at_anchors` it checks them itself. The results have the same bits from run to
run and for any number of threads.

Example:
    >>> import torch
    >>> if available():
    ...     x, weight = torch.rand(1, 1, 6, 7), torch.tensor([[[[1.0, 0.2], [0.3, -0.1]]]])
    ...     torch.testing.assert_close(solve(conv(x, weight, Geometry()), weight, Geometry()), x)
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

import deblur
from deblur.ops import _checks
from deblur.ops.geometry import Geometry, folded

__all__ = ["available", "conv", "describe", "looks_at_anchors", "solve", "weight_grad", "why_not"]

_ABI_VERSION = 3
_NO_MEMORY, _SINGULAR = 1, 3
_DTYPES = {torch.float32: 0, torch.float64: 1}
_CORNERS = {"top_left": 0, "top_right": 1, "bottom_left": 2, "bottom_right": 3}
_BORDERS = {"zero": 0, "replicate": 1}
_SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")


class _Problem(ctypes.Structure):
    """`deblur_problem` of csrc/cpu/deblur_cpu.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("batch", "channels", "height", "width", "groups")),
        *((name, ctypes.c_int64) for name in ("taps_h", "taps_w", "dilation_h", "dilation_w")),
        *((name, ctypes.c_int32) for name in ("dtype", "corner", "transpose", "border")),
    ]


def _find() -> Path | None:
    # An editable install keeps the library apart from the sources: every folder of the package is looked through.
    folders = [Path(folder) for folder in deblur.__path__] + [Path(__file__).resolve().parent.parent]
    for folder in folders:
        library = folder / "_lib" / f"libdeblur_cpu{_SUFFIX}"
        if library.is_file():
            return library
    return None


@functools.cache
def _load() -> tuple[ctypes.CDLL | None, str | None]:
    """The library, or the one sentence that says why there is none."""
    if os.environ.get("DEBLUR_NATIVE", "1").lower() in ("0", "off", "false", "no"):
        return None, "the native kernels are switched off by the environment variable DEBLUR_NATIVE"
    path = _find()
    if path is None:
        return None, (
            "the package was installed without a C++ compiler, so its native kernels were not built; "
            "install one and reinstall deblur-wavefront to make it faster"
        )
    try:
        library = ctypes.CDLL(str(path))
        version = int(library.deblur_abi_version())
    except (OSError, AttributeError) as error:
        return None, f"the native library {path.name} cannot be loaded ({error}); reinstall deblur-wavefront"
    if version != _ABI_VERSION:
        return None, (
            f"the native library {path.name} has interface version {version} where {_ABI_VERSION} is expected; "
            "reinstall deblur-wavefront"
        )
    library.deblur_instruction_set.restype = ctypes.c_char_p
    for name in ("deblur_conv", "deblur_solve", "deblur_weight_grad"):
        getattr(library, name).argtypes = [ctypes.c_void_p] * 4 + [ctypes.c_int]
    return library, None


def available() -> bool:
    """Whether the native kernels can be used in this process."""
    return _load()[0] is not None


def why_not() -> str | None:
    """One sentence that says why the native kernels cannot be used; None where they can."""
    return _load()[1]


def describe() -> str:
    """What runs here: the instruction set of the native kernels, or why there are none."""
    library, reason = _load()
    if library is None:
        return str(reason)
    return f"{library.deblur_instruction_set().decode()}, {torch.get_num_threads()} threads"


@functools.lru_cache(maxsize=256)
def _problem(
    shape: torch.Size,
    dtype: torch.dtype,
    kernel_size: tuple[int, int],
    geometry: Geometry,
) -> tuple[_Problem, int]:
    """The description of a problem and its address, made once: building it takes as long as a small solve."""
    orientation, transpose, groups, dilation, border = geometry
    numbers = _DTYPES[dtype], _CORNERS[orientation], transpose, _BORDERS[border]
    problem = _Problem(*shape, groups, *kernel_size, *dilation, *numbers)
    return problem, ctypes.addressof(problem)


@functools.cache
def _function(name: str) -> Any:
    library, reason = _load()
    if library is None:
        raise RuntimeError(reason)
    return getattr(library, f"deblur_{name}")


def _call(name: str, problem: int, first: Tensor, second: Tensor, result: Tensor) -> Tensor:
    status = _function(name)(problem, first.data_ptr(), second.data_ptr(), result.data_ptr(), torch.get_num_threads())
    if status == _SINGULAR:
        height, width = first.shape[2:]
        _checks.check_anchors(second, height, width, second.shape[0], "zero")  # which says where
    if status == _NO_MEMORY:
        raise MemoryError(f"the native {name} found no memory for its buffers")
    assert status == 0, f"the native {name} was given a problem it cannot read"
    return result


def _on_images(name: str, image: Tensor, weight: Tensor, geometry: Geometry, out: Tensor | None) -> Tensor:
    if geometry.border == "replicate":
        weight, dilation = folded(weight, image.shape[2], image.shape[3], geometry.dilation)
        geometry = geometry._replace(dilation=dilation)
    height, width = weight.shape[-2:]
    problem = _problem(image.shape, image.dtype, (height, width), geometry)
    return _call(name, problem[1], image, weight, torch.empty_like(image) if out is None else out)


def conv(image: Tensor, weight: Tensor, geometry: Geometry, out: Tensor | None = None) -> Tensor:
    """The masked convolution of an image (B, C, H, W) with weight (C, C // groups, kh, kw), written to `out`."""
    return _on_images("conv", image, weight, geometry, out)


def looks_at_anchors(weight: Tensor, border: str) -> bool:
    """Whether `solve` itself refuses an anchor without an inverse: one channel a group, nothing outside the frame."""
    return weight.shape[1] == 1 and border == "zero"


def solve(image: Tensor, weight: Tensor, geometry: Geometry, out: Tensor | None = None) -> Tensor:
    """The x whose masked convolution with weight (C, C // groups, kh, kw) is the image (B, C, H, W), written to `out`.

    Raises:
        SingularAnchorError: an anchor is 0, where `looks_at_anchors`.
    """
    return _on_images("solve", image, weight, geometry, out)


def weight_grad(grad: Tensor, image: Tensor, kernel_size: tuple[int, int], geometry: Geometry) -> Tensor:
    """The derivative of <grad, masked_conv2d(image, w)> by w, of shape (C, C // groups, kh, kw)."""
    result = image.new_empty((image.shape[1], image.shape[1] // geometry.groups, *kernel_size))
    if geometry.border == "replicate":  # far taps that read the same have one gradient
        near, dilation = folded(result, image.shape[2], image.shape[3], geometry.dilation)
        geometry = geometry._replace(dilation=dilation)
        rows, columns = near.shape[2:]
        if (rows, columns) != kernel_size:
            near = weight_grad(grad, image, (rows, columns), geometry)
            return F.pad(near, (0, kernel_size[1] - columns, 0, kernel_size[0] - rows), mode="replicate")
    problem = _problem(image.shape, image.dtype, kernel_size, geometry)
    return _call("weight_grad", problem[1], grad, image, result)


_load()  # at once, so that the library sees every fork of this process: a child must not use its parent's threads
