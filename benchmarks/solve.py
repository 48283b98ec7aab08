"""The exact inverse against its peers: `python benchmarks/solve.py [--only single,dense,backward,linear,small]`.

The yardstick is torch's conv2d on an input padded beforehand: the same number of multiply-adds, written to an output of
the same size, without the dependency between pixels. Peers that solve: SciPy's SuperLU on the sparse matrix (factor and
solve, natural order) and the plain PyTorch wavefront, `deblur.ops.reference`. Keep the machine quiet while it runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
import torch.nn.functional as F  # noqa: N812
from interleaved import Bar, Times, race, show
from torch import Tensor

import deblur.ops
from deblur.ops import _kernels, _native, reference

PLAIN = {"orientation": "top_left", "transpose": False, "dilation": (1, 1)}
SLOW_ROUNDS = 3  # of SuperLU and the plain wavefront


def problem(batch: int, channels: int, size: int, taps: int) -> tuple[Tensor, Tensor]:
    """A right-hand side and taps whose inverse is stable."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(batch, channels, size, size, generator=generator)
    weight = torch.randn(channels, channels, taps, taps, generator=generator) * (0.3 / (channels * taps))
    weight[:, :, 0, 0] += torch.eye(channels)
    return y, weight


def multiply_adds(y: Tensor, weight: Tensor) -> int:
    return y.shape[0] * y.shape[2] * y.shape[3] * weight.numel()


def conv2d_peer(y: Tensor, weight: Tensor) -> Callable[[], Tensor]:
    padded = F.pad(y, (weight.shape[3] - 1, 0, weight.shape[2] - 1, 0))
    flipped = weight.flip(2, 3).contiguous()
    return lambda: F.conv2d(padded, flipped)


def sparse_matrix(weight: Tensor, size: int) -> scipy.sparse.csc_matrix:
    """The masked convolution of one (C, size, size) frame, pixel by pixel, so that it is block lower-triangular."""
    taps = weight.numpy()
    shifts = [scipy.sparse.eye_array(size, k=-k, format="csr", dtype=np.float32) for k in range(max(taps.shape[2:]))]
    total = scipy.sparse.csr_array((size * size * len(taps),) * 2, dtype=np.float32)
    for a in range(taps.shape[2]):
        row = [scipy.sparse.kron(shifts[b], taps[:, :, a, b], format="csr") for b in range(taps.shape[3])]
        total = total + scipy.sparse.kron(shifts[a], sum(row[1:], start=row[0]), format="csr")
    return scipy.sparse.csc_matrix(total)


def superlu_peer(y: Tensor, weight: Tensor) -> Callable[[], np.ndarray]:
    matrix = sparse_matrix(weight, y.shape[-1])
    side = np.ascontiguousarray(y.permute(2, 3, 1, 0).reshape(-1, y.shape[0]).numpy())

    def run() -> np.ndarray:
        factors = scipy.sparse.linalg.splu(matrix, permc_spec="NATURAL", diag_pivot_thresh=0.0)
        solution: np.ndarray = factors.solve(side)
        return solution

    return run


def machine() -> tuple[dict[str, Callable[[], object]], Callable[[Times], np.ndarray]]:
    """The contenders whose better one is the machine's matrix-product rate, and that rate in multiply-adds a second."""
    a = torch.randn(2048, 2048)
    image, weight = torch.randn(16, 96, 34, 34), torch.randn(96, 96, 3, 3)
    contenders = {"torch.mm, 2048": lambda: a @ a, "conv2d, 96 channels": lambda: F.conv2d(image, weight)}
    work = {"torch.mm, 2048": 2048**3, "conv2d, 96 channels": 16 * 32 * 32 * weight.numel()}
    return contenders, lambda times: np.maximum(*(work[name] / times[name] for name in work))


def single(rounds: int) -> list[Bar]:
    missed = []
    matrix_products, rate = machine()
    for taps in (3, 9, 15, 31):
        y, weight = problem(1, 1, 1024, taps)
        out = torch.empty_like(y)
        contenders: dict[str, Callable[[], object]] = {
            "solve": lambda y=y, w=weight: deblur.ops.masked_conv2d_solve(y, w),
            "solve into a warm output": lambda y=y, w=weight, o=out: _native.solve(y, w, groups=1, out=o, **PLAIN),
            "transposed solve": lambda y=y, w=weight: deblur.ops.masked_conv2d_solve(y, w, transpose=True),
            "convolution (ours)": lambda y=y, w=weight: deblur.ops.masked_conv2d(y, w),
            "weight gradient (ours)": lambda y=y, w=weight: _kernels.weight_grad(
                y, y, w.shape[2:], "top_left", 1, (1, 1)
            ),
            "conv2d": conv2d_peer(y, weight),
            **matrix_products,
            "plain PyTorch wavefront": lambda y=y, w=weight: reference.solve(y, w, groups=1, **PLAIN),
        }
        slow = {"plain PyTorch wavefront": SLOW_ROUNDS if taps == 3 else 1}  # a minute each
        if taps <= 9:
            contenders["SuperLU, factor and solve"] = superlu_peer(y, weight)
            slow["SuperLU, factor and solve"] = 1 if taps > 3 else SLOW_ROUNDS
        times = race(contenders, rounds, slow)
        ours, peer = times["solve"], times["conv2d"]
        share = multiply_adds(y, weight) / ours / rate(times)
        bars = [
            Bar("solve / conv2d", ours / peer, 0.5 if taps >= 9 else None, aim=0.25),
            Bar("convolution (ours) / conv2d", times["convolution (ours)"] / peer),
            Bar("share of the machine's matrix-product rate", share, 0.35 if taps >= 15 else None, 0.6, least=True),
            Bar("plain PyTorch wavefront / solve", times["plain PyTorch wavefront"] / ours),
        ]
        if taps <= 9:
            bars.append(Bar("SuperLU / solve", times["SuperLU, factor and solve"] / ours))
        missed += show(f"single channel, 1024 x 1024, {taps} x {taps} taps", times, bars)
    return missed


def dense(rounds: int) -> list[Bar]:
    missed = []
    for channels, size in ((12, 16), (12, 32), (48, 16), (48, 32), (96, 16)):
        y, weight = problem(100, channels, size, 3)
        contenders: dict[str, Callable[[], object]] = {
            "solve": lambda y=y, w=weight: deblur.ops.masked_conv2d_solve(y, w),
            "transposed solve": lambda y=y, w=weight: deblur.ops.masked_conv2d_solve(y, w, transpose=True),
            "conv2d": conv2d_peer(y, weight),
            "weight gradient (ours)": lambda y=y, w=weight: _native.weight_grad(y, y, w.shape[2:], groups=1, **PLAIN),
            "conv2d_weight": lambda y=y, w=weight: reference.weight_grad(
                y, y, (3, 3), orientation="top_left", groups=1, dilation=(1, 1)
            ),
            "plain PyTorch wavefront": lambda y=y, w=weight: reference.solve(y, w, groups=1, **PLAIN),
            "SuperLU, factor and solve": superlu_peer(y, weight),
        }
        superlu_rounds = SLOW_ROUNDS if channels * size < 1000 else 1
        slow = {"plain PyTorch wavefront": SLOW_ROUNDS, "SuperLU, factor and solve": superlu_rounds}
        times = race(contenders, rounds, slow)
        bars = [
            Bar("solve / conv2d", times["solve"] / times["conv2d"], 4, aim=2.5),
            Bar("weight gradient (ours) / conv2d_weight", times["weight gradient (ours)"] / times["conv2d_weight"]),
            Bar("plain PyTorch wavefront / solve", times["plain PyTorch wavefront"] / times["solve"]),
            Bar("SuperLU / solve", times["SuperLU, factor and solve"] / times["solve"], 20, 100, least=True),
        ]
        missed += show(f"dense, batch 100, {channels} channels, {size} x {size}, 3 x 3 taps", times, bars)
    return missed


def backward(rounds: int) -> list[Bar]:
    missed = []
    for title, case in {
        "single channel, 1024 x 1024, 15 x 15 taps": (1, 1, 1024, 15),
        "single channel, 1024 x 1024, 31 x 31 taps": (1, 1, 1024, 31),
        "dense, batch 100, 48 channels, 16 x 16, 3 x 3 taps": (100, 48, 16, 3),
        "dense, batch 100, 48 channels, 32 x 32, 3 x 3 taps": (100, 48, 32, 3),
    }.items():
        y, weight = problem(*case)
        grad = torch.ones_like(y)
        leaves = (y.clone().requires_grad_(), weight.clone().requires_grad_())
        x = deblur.ops.masked_conv2d_solve(*leaves)
        seen = x.detach()
        contenders: dict[str, Callable[[], object]] = {
            "backward": lambda x=x, leaves=leaves, g=grad: torch.autograd.grad(x, leaves, g, retain_graph=True),
            "solve": lambda y=y, w=weight: deblur.ops.masked_conv2d_solve(y, w),
            "weight gradient": lambda g=grad, x=seen, w=weight: _kernels.weight_grad(
                g, x, w.shape[2:], "top_left", 1, (1, 1)
            ),
        }
        times = race(contenders, rounds)
        parts = times["solve"] + times["weight gradient"]
        bars = [Bar("backward / (solve + weight gradient)", times["backward"] / parts, 1.2, aim=1.15)]
        missed += show(title, times, bars)
    return missed


def linear(rounds: int) -> list[Bar]:
    missed = []
    for taps in (15, 31):
        sizes = (256, 512, 1024, 2048, 4096)
        contenders: dict[str, Callable[[], object]] = {}
        for size in sizes:
            y, weight = problem(1, 1, size, taps)
            out = torch.empty_like(y)
            contenders[f"{size}"] = lambda y=y, w=weight, o=out: _native.solve(y, w, groups=1, out=o, **PLAIN)
            contenders[f"{size} allocating"] = lambda y=y, w=weight: deblur.ops.masked_conv2d_solve(y, w)
        times = race(contenders, rounds)
        per_pixel = {size: times[f"{size}"] / size**2 for size in sizes}
        middle = np.median([np.median(per_pixel[size]) for size in sizes])
        for size in sizes:
            ours, allocating = (np.median(times[name]) / size**2 * 1e9 for name in (f"{size}", f"{size} allocating"))
            print(f"    {size:>5}^2: {ours:6.2f} ns a pixel, with allocation {allocating:6.2f}")
        bars = [Bar(f"{size}^2: time a pixel over the middle of all", per_pixel[size] / middle, 1.2) for size in sizes]
        missed += show(f"linear in pixels, single channel, {taps} x {taps} taps", times, bars)
    return missed


def small(rounds: int) -> list[Bar]:
    y, weight = problem(1, 1, 8, 3)
    contenders: dict[str, Callable[[], object]] = {
        "solve": lambda: deblur.ops.masked_conv2d_solve(y, weight),
        "solve, below the dispatcher": lambda: _native.solve(y, weight, groups=1, **PLAIN),
        "conv2d": conv2d_peer(y, weight),
    }
    times = race(contenders, rounds)
    for name, seconds in times.items():
        print(f"    {name}: {np.median(seconds) * 1e6:.1f} us")
    return show("8 x 8, 3 x 3 taps", times, [Bar("solve / 15 us", times["solve"] / 15e-6, 1.0)])


PARTS = {"single": single, "dense": dense, "backward": backward, "linear": linear, "small": small}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="parts to run, with commas: " + ", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=9, help="rounds of every case (default 9)")
    parser.add_argument("--threads", type=int, default=2, help="threads of every contender (default 2)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}; native kernels: {_native.describe()}; {options.rounds} rounds, float32")
    missed: list[Bar] = []
    with torch.no_grad():
        for part in options.only.split(","):
            with torch.set_grad_enabled(part == "backward"):
                missed += PARTS[part](options.rounds)
    print(f"\n{len(missed)} bars missed" if missed else "\nall bars kept")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
