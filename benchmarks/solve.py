"""The exact inverse against its peers: `python benchmarks/solve.py [--only single,dense,...]`.

The yardstick is torch's conv2d on an input padded beforehand: the same number of multiply-adds, written to an output of
the same size, without the dependency between pixels. Peers that solve: SciPy's SuperLU on the sparse matrix (factor and
solve), a compiled loop over pixels, and the plain PyTorch wavefront, `deblur.ops.reference`. Keep the machine quiet.
Every bar is judged in the table; the exit status is 1 where one is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import numpy as np
import peers
import torch
from interleaved import Bar, Run, race, show
from solve_problem import PLAIN, into, multiply_adds, problem
from solve_threads import busy, threads
from torch import Tensor

import deblur.ops
from deblur.ops import _dispatch, _native, reference

DENSE = {"12x16": (12, 16), "12x32": (12, 32), "48x16": (48, 16), "48x32": (48, 32), "96x16": (96, 16)}
SLOW_ROUNDS = 3  # of SuperLU and the plain wavefront


def torch_weight_grad(y: Tensor, weight: Tensor) -> Run:
    size = tuple(weight.shape[2:])
    return lambda: reference.weight_grad(y, y, size, PLAIN)


def single(options: argparse.Namespace) -> list[Bar]:
    """One channel, 1024 x 1024: against conv2d, the matrix product and conv2d_weight."""
    missed = []
    matrix_products, rate = peers.machine()
    for taps in options.taps or (3, 9, 15, 31):
        y, weight = problem(1, 1, 1024, taps)
        contenders: dict[str, Run] = {
            "solve": lambda y=y, w=weight: deblur.ops.masked_conv2d_solve(y, w),
            "solve into a warm output": into(y, weight),
            "transposed solve": lambda y=y, w=weight: deblur.ops.masked_conv2d_solve(y, w, transpose=True),
            "convolution (ours)": lambda y=y, w=weight: deblur.ops.masked_conv2d(y, w),
            "conv2d": peers.conv2d(y, weight),
            "weight gradient": lambda y=y, w=weight: _dispatch.weight_grad(y, y, w.shape[2:], PLAIN),
            "conv2d_weight": torch_weight_grad(y, weight),
            **matrix_products,
        }
        times = race(contenders, options.rounds)
        ours, large = times["solve"], taps >= 15
        share = multiply_adds(y, weight) / ours / rate(times)
        bar = None if taps < 9 else 0.25
        aim = None if taps < 9 else 0.15 if taps == 31 else 0.1
        gradient = times["weight gradient"] / times["conv2d_weight"]
        missed += show(
            f"single channel, 1024 x 1024, {taps} x {taps} taps",
            times,
            [
                Bar("solve / conv2d", ours / times["conv2d"], bar, aim),
                Bar("transposed solve / conv2d", times["transposed solve"] / times["conv2d"], bar, aim),
                Bar("convolution (ours) / conv2d", times["convolution (ours)"] / times["conv2d"], 1.0),
                Bar(
                    "share of the machine's matrix-product rate",
                    share,
                    0.35 if large else None,
                    0.6 if large else None,
                    least=True,
                ),
                Bar("weight gradient / conv2d_weight", gradient, 0.2 if large else None, 0.08 if large else None),
            ],
        )
    return missed


def dense(options: argparse.Namespace) -> list[Bar]:
    """A batch of 100 with many channels, 3 x 3 taps: against conv2d, the loop over pixels and conv2d_weight."""
    missed = []
    for name in options.cases or DENSE:
        channels, size = DENSE[name]
        y, weight = problem(100, channels, size, 3)
        contenders: dict[str, Run] = {
            "solve": lambda y=y, w=weight: deblur.ops.masked_conv2d_solve(y, w),
            "conv2d": peers.conv2d(y, weight),
            "transposed solve": lambda y=y, w=weight: deblur.ops.masked_conv2d_solve(y, w, transpose=True),
            "convolution (ours)": lambda y=y, w=weight: deblur.ops.masked_conv2d(y, w),
            "weight gradient": lambda y=y, w=weight: _dispatch.weight_grad(y, y, w.shape[2:], PLAIN),
            "conv2d_weight": torch_weight_grad(y, weight),
            "weight gradient (always ours)": lambda y=y, w=weight: _native.weight_grad(y, y, w.shape[2:], PLAIN),
        }
        unjudged = "loop over pixels, constant C"
        loops = {
            "loop over pixels": peers.per_pixel(y, weight, constant=False),
            unjudged: peers.per_pixel(y, weight, constant=True),
            "loop over pixels, Numba": peers.per_pixel_numba(y, weight),
        }
        for loop, run in loops.items():
            if run is not None:
                torch.testing.assert_close(run(), contenders["solve"](), rtol=0, atol=1e-4)
                contenders[loop] = run
        times = race(contenders, options.rounds)
        ours = times["solve"]
        gradient = times["weight gradient"] / times["conv2d_weight"]
        bars = [
            Bar("solve / conv2d", ours / times["conv2d"], 2.5, 1.8),
            Bar("transposed solve / conv2d", times["transposed solve"] / times["conv2d"], 2.5, 1.8),
            Bar("convolution (ours) / conv2d", times["convolution (ours)"] / times["conv2d"]),
            Bar("weight gradient / conv2d_weight", gradient, 1.05, 1.0),
            Bar(
                "weight gradient (always ours) / conv2d_weight",
                times["weight gradient (always ours)"] / times["conv2d_weight"],
            ),
        ]
        for loop in loops:
            if loop in times:
                limit, aim = (None, None) if loop == unjudged else (5, 10)
                bars.append(Bar(f"{loop} / solve", times[loop] / ours, limit, aim, least=True))
        missed += show(f"dense, batch 100, {channels} channels, {size} x {size}, 3 x 3 taps", times, bars)
    return missed


def sparse(options: argparse.Namespace) -> list[Bar]:
    """Against SuperLU and the plain wavefront, which take seconds."""
    missed = []
    cases = [(100, *DENSE[name], 3) for name in options.cases or DENSE]
    if not options.cases:
        cases += [(1, 1, 1024, taps) for taps in options.taps or (3, 9)]
    for batch, channels, size, taps in cases:
        y, weight = problem(batch, channels, size, taps)
        contenders: dict[str, Run] = {
            "solve": lambda y=y, w=weight: deblur.ops.masked_conv2d_solve(y, w),
            "SuperLU, factor and solve": peers.superlu(y, weight),
            "plain PyTorch wavefront": lambda y=y, w=weight: reference.solve(y, w, PLAIN),
        }
        long = channels * size >= 1000
        slow = {"SuperLU, factor and solve": 1 if long else SLOW_ROUNDS, "plain PyTorch wavefront": 1 if long else 3}
        times = race(contenders, options.rounds, slow)
        limit, aim = (20, 100) if channels > 1 else (None, None)
        bars = [
            Bar("SuperLU / solve", times["SuperLU, factor and solve"] / times["solve"], limit, aim, least=True),
            Bar("plain PyTorch wavefront / solve", times["plain PyTorch wavefront"] / times["solve"]),
        ]
        missed += show(f"batch {batch}, {channels} channels, {size} x {size}, {taps} x {taps} taps", times, bars)
    return missed


def backward(options: argparse.Namespace) -> list[Bar]:
    """The gradient against its two parts."""
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
        with torch.enable_grad():
            x = deblur.ops.masked_conv2d_solve(*leaves)
        seen = x.detach()
        contenders: dict[str, Run] = {
            "backward": lambda x=x, leaves=leaves, g=grad: torch.autograd.grad(x, leaves, g, retain_graph=True),
            "solve": lambda y=y, w=weight: deblur.ops.masked_conv2d_solve(y, w),
            "weight gradient": lambda g=grad, x=seen, w=weight: _dispatch.weight_grad(g, x, w.shape[2:], PLAIN),
        }
        times = race(contenders, options.rounds)
        parts = times["solve"] + times["weight gradient"]
        bars = [Bar("backward / (solve + weight gradient)", times["backward"] / parts, 1.15, 1.05)]
        missed += show(f"backward, {title}", times, bars)
    return missed


def linear(options: argparse.Namespace) -> list[Bar]:
    """Time a pixel, from small images to large ones."""
    missed = []
    for taps in options.taps or (15, 31):
        sizes = options.sizes or (256, 512, 1024, 2048, 4096, 8192)
        contenders: dict[str, Run] = {}
        for size in sizes:
            y, weight = problem(1, 1, size, taps)
            contenders[f"{size}"] = into(y, weight)
            contenders[f"{size} allocating"] = lambda y=y, w=weight: deblur.ops.masked_conv2d_solve(y, w)
        times = race(contenders, options.rounds)
        per_pixel = {size: times[f"{size}"] / size**2 for size in sizes}
        middle = np.median(np.stack(list(per_pixel.values())), axis=0)
        print()
        for size in sizes:
            ours, allocating = (np.median(times[name]) / size**2 * 1e9 for name in (f"{size}", f"{size} allocating"))
            print(f"    {size:>5}^2: {ours:6.2f} ns a pixel, with allocation {allocating:6.2f}")
        bars = [Bar(f"{size}^2: time a pixel over the middle of all", per_pixel[size] / middle, 1.15) for size in sizes]
        missed += show(f"linear in pixels, single channel, {taps} x {taps} taps", times, bars)
    return missed


def small(options: argparse.Namespace) -> list[Bar]:
    """What a call costs before it computes."""
    y, weight = problem(1, 1, 8, 3)
    contenders: dict[str, Run] = {
        "solve": lambda: deblur.ops.masked_conv2d_solve(y, weight),
        "convolution (ours)": lambda: deblur.ops.masked_conv2d(y, weight),
        "solve, below the checks": lambda: _native.solve(y, weight, PLAIN),
        "conv2d": peers.conv2d(y, weight),
    }
    times = race(contenders, options.rounds)
    print()
    for name, seconds in times.items():
        print(f"    {name}: {np.median(seconds) * 1e6:.1f} us")
    bars = [Bar("solve / 15 us", times["solve"] / 15e-6, 1.0), Bar("solve / conv2d", times["solve"] / times["conv2d"])]
    return show("8 x 8, 3 x 3 taps", times, bars)


PARTS: dict[str, Callable[[argparse.Namespace], list[Bar]]] = {
    part.__name__: part for part in (single, threads, dense, sparse, backward, linear, small, busy)
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="parts to run, with commas: " + ", ".join(PARTS))
    parser.add_argument("--taps", type=int, nargs="+", help="a side, for the parts with one channel")
    parser.add_argument("--sizes", type=int, nargs="+", help="sides of the images of `linear`")
    parser.add_argument("--cases", choices=DENSE, nargs="+", help="channels x size, for `dense` and `sparse`")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of every case (default 9)")
    parser.add_argument("--threads", type=int, default=2, help="threads of every contender (default 2)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="cuda: the table of solve_cuda.py")
    options = parser.parse_args()
    if unknown := [part for part in options.only.split(",") if part not in PARTS]:
        parser.error(f"expected parts out of {', '.join(PARTS)}, got {', '.join(unknown)}")
    if options.device == "cuda":
        from solve_cuda import run_cuda

        return run_cuda(options.rounds)
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}; native kernels: {_native.describe()}; {options.rounds} rounds, float32")
    missed: list[Bar] = []
    with torch.no_grad():
        for part in options.only.split(","):
            missed += PARTS[part](options)
    print(f"\n{len(missed)} bars missed" if missed else "\nall bars met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
