"""What a user would run instead of `deblur.ops.masked_conv2d_solve`, or measures it against.

Two contenders do the same arithmetic without the dependency between pixels: torch's conv2d on an input padded
beforehand, and the machine's matrix product. The others solve: SciPy's SuperLU on the sparse matrix and a loop over
pixels, in compiled C++ (`per_pixel.cpp`) and, where Numba is installed, in Python compiled by that.
"""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
import torch.nn.functional as F  # noqa: N812
from interleaved import Times
from torch import Tensor

__all__ = ["conv2d", "machine", "per_pixel", "per_pixel_numba", "superlu"]

_FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffast-math", "-fopenmp", "-shared", "-fPIC")


def conv2d(y: Tensor, weight: Tensor) -> Callable[[], Tensor]:
    """As many multiply-adds as the solve, written to an output of the same size."""
    padded = F.pad(y, (weight.shape[3] - 1, 0, weight.shape[2] - 1, 0))
    flipped = weight.flip(2, 3).contiguous()
    return lambda: F.conv2d(padded, flipped)


def machine() -> tuple[dict[str, Callable[[], object]], Callable[[Times], np.ndarray]]:
    """The contenders whose better one is the machine's matrix-product rate, and that rate in multiply-adds a second."""
    a = torch.randn(2048, 2048)
    image, weight = torch.randn(16, 96, 34, 34), torch.randn(96, 96, 3, 3)
    contenders = {"torch.mm, 2048": lambda: a @ a, "conv2d, 96 channels": lambda: F.conv2d(image, weight)}
    work = {"torch.mm, 2048": 2048**3, "conv2d, 96 channels": 16 * 32 * 32 * weight.numel()}
    return contenders, lambda times: np.maximum(*(work[name] / times[name] for name in work))


def superlu(y: Tensor, weight: Tensor) -> Callable[[], np.ndarray]:
    """Factor and solve the sparse system, the whole batch at once; natural order and no pivoting, its best here."""
    matrix = _sparse_matrix(weight, y.shape[-1])
    side = np.ascontiguousarray(y.permute(2, 3, 1, 0).reshape(-1, y.shape[0]).numpy())

    def run() -> np.ndarray:
        factors = scipy.sparse.linalg.splu(matrix, permc_spec="NATURAL", diag_pivot_thresh=0.0)
        solution: np.ndarray = factors.solve(side)
        return solution

    return run


def _sparse_matrix(weight: Tensor, size: int) -> scipy.sparse.csc_matrix:
    """The masked convolution of one (C, size, size) frame, pixel by pixel, so that it is block lower-triangular."""
    taps = weight.numpy()
    shifts = [scipy.sparse.eye_array(size, k=-k, format="csr", dtype=np.float32) for k in range(max(taps.shape[2:]))]
    total = scipy.sparse.csr_array((size * size * len(taps),) * 2, dtype=np.float32)
    for a in range(taps.shape[2]):
        row = [scipy.sparse.kron(shifts[b], taps[:, :, a, b], format="csr") for b in range(taps.shape[3])]
        total = total + scipy.sparse.kron(shifts[a], sum(row[1:], start=row[0]), format="csr")
    return scipy.sparse.csc_matrix(total)


@functools.cache
def _per_pixel_library() -> ctypes.CDLL | None:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "per_pixel.so"
        subprocess.run([compiler, *_FLAGS, Path(__file__).parent / "per_pixel.cpp", "-o", target], check=True)
        library = ctypes.CDLL(str(target))
    library.per_pixel_solve.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 6 + [ctypes.c_int] * 2
    return library


def per_pixel(y: Tensor, weight: Tensor, *, constant: bool) -> Callable[[], Tensor] | None:
    """The loop over pixels; constant: compiled for 12, 48 or 96 channels. None without a compiler."""
    library = _per_pixel_library()
    if library is None:
        return None
    taps, x = _folded(weight), torch.empty_like(y)
    sizes = (*y.shape, *weight.shape[2:], constant, torch.get_num_threads())

    def run() -> Tensor:
        status = library.per_pixel_solve(y.data_ptr(), taps.data_ptr(), x.data_ptr(), *sizes)
        assert status == 0, "per_pixel.cpp has no loop for this number of channels"
        return x

    return run


def per_pixel_numba(y: Tensor, weight: Tensor) -> Callable[[], Tensor] | None:
    """The loop over pixels compiled by Numba, on as many threads as torch uses; None without Numba."""
    try:
        import numba
        from per_pixel_numba import solve
    except ImportError:
        return None
    numba.set_num_threads(torch.get_num_threads())
    batch, channels, height, width = y.shape
    rows, columns = weight.shape[2:]
    x = torch.empty_like(y)
    frames = np.zeros((batch, height + rows - 1, width + columns - 1, channels), np.float32)
    sides = np.empty((batch, height, width, channels), np.float32)
    arrays = (y.numpy(), _folded(weight).numpy(), x.numpy(), frames, sides)

    def run() -> Tensor:
        solve(*arrays, rows, columns)
        return x

    return run


def _folded(weight: Tensor) -> Tensor:
    """(taps, C inputs, C outputs): the inverse anchor, then what it makes of the taps, negated, in raster order."""
    anchor = torch.linalg.inv(weight[:, :, 0, 0].double())
    folded = torch.einsum("oi,ikab->abko", -anchor, weight.double()).flatten(0, 1)
    folded[0] = anchor.T
    return folded.float().contiguous()
