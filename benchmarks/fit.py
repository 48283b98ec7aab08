"""Kernels from pairs, and the gradient through the exact inverse: `python benchmarks/fit.py [--only step]`.

step    one gradient of ||x - A(w)^-1 y||^2 by the taps: the parallel backpropagation of `deblur.ops` beside
        autograd through a plain PyTorch wavefront (the same recursion, an anti-diagonal at a time), float64
taps    known causal kernels out of a noise-free pair with zero boundary, through the inverse
noise   the same with noise .01: both objectives beside plain least squares without constraints (scipy.linalg.lstsq)
named   a named blur from one picture alone, and the kernel from a pair, over pictures, blurs and noise levels
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable

import numpy as np
import scipy.linalg
import torch
from interleaved import Bar, race, show
from restore import PICTURES, middle, picture
from torch import Tensor

from deblur import psf
from deblur.estimation.masked_descent import OBJECTIVES, anchor_alone, fit_masked
from deblur.estimation.pair import PairEstimator
from deblur.estimation.parametric import Parametric
from deblur.ops import masked_conv2d, masked_conv2d_solve
from deblur.ops.minimum_phase import minimum_phase_margin
from deblur.psf.operator import blur

NAMED = (
    "motion:length=8,angle=75",
    "motion:length=20,angle=40",
    "defocus:radius=2",
    "defocus:radius=5",
    "gaussian:sigma=2",
)


def exponential(side: int) -> Tensor:
    """A decaying trail in two directions."""
    steps = torch.arange(side).double()
    weight = 0.6 ** (steps[:, None] + steps) * (1 + 0.3 * torch.cos(steps[:, None] - steps))
    return weight / weight.sum()


def random_stable(side: int, seed: int) -> Tensor:
    """Random taps, damped until the inverse decays by a twentieth a pixel."""
    weight = torch.randn(side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    weight[0, 0] = 1
    powers = (torch.arange(side)[:, None] + torch.arange(side)).double()
    return weight * ((1 + minimum_phase_margin(weight[None, None])) / 1.05) ** powers


def plain_wavefront(y: Tensor, weight: Tensor) -> Tensor:
    """The exact inverse by torch's own operations, one anti-diagonal after the other, none of them in place."""
    (height, width), (kh, kw) = y.shape, weight.shape
    taps = [(a, b) for a in range(kh) for b in range(kw) if (a, b) != (0, 0)]
    values = torch.stack([weight[a, b] for a, b in taps])
    diagonals: list[Tensor] = []  # each padded by zeros: pixel (i, t - i) of diagonal t at index i + kh - 1
    for t in range(height + width - 1):
        first, last = max(0, t - width + 1), min(height, t + 1)
        i = torch.arange(first, last)
        right = y[i, t - i]
        earlier = [
            diagonals[t - a - b][i - a + kh - 1] if t >= a + b else torch.zeros(len(i), dtype=y.dtype) for a, b in taps
        ]
        new = (right - values @ torch.stack(earlier)) / weight[0, 0]
        diagonals.append(torch.nn.functional.pad(new, (first + kh - 1, height - last)))
    stacked = torch.stack(diagonals)
    i, j = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return stacked[i + j, i + kh - 1]


def gray(name: str, side: int) -> Tensor:
    image = middle(picture(name), side)
    return torch.from_numpy((image if image.ndim == 2 else image.mean(2))[None].copy())


def step(options: argparse.Namespace) -> list[Bar]:
    missed = []
    for side in (128, 256, 512):
        weight = exponential(5)
        sharp = gray("camera", side)[0]
        y = masked_conv2d(sharp[None, None], weight[None, None])[0, 0]
        start = (weight + 0.05 * torch.eye(5)).detach()

        def ours(y: Tensor = y, sharp: Tensor = sharp, start: Tensor = start) -> Tensor:
            leaf = start.clone().requires_grad_()
            loss = (masked_conv2d_solve(y[None, None], leaf[None, None])[0, 0] - sharp).square().sum()
            return torch.autograd.grad(loss, leaf)[0]

        def plain(y: Tensor = y, sharp: Tensor = sharp, start: Tensor = start) -> Tensor:
            leaf = start.clone().requires_grad_()
            return torch.autograd.grad((plain_wavefront(y, leaf) - sharp).square().sum(), leaf)[0]

        torch.testing.assert_close(ours(), plain(), rtol=1e-8, atol=0)
        name = "autograd through the plain wavefront"
        times = race({"ours": ours, name: plain}, options.rounds, {name: min(3, options.rounds)})
        bars = [Bar(f"{name} / ours", times[name] / times["ours"], 20, least=True)]
        missed += show(f"one gradient step, {side} x {side}, 5 x 5 taps", times, bars)
    return missed


def kernels() -> list[tuple[str, Tensor]]:
    made = [(f"exponential, {side} a side", exponential(side)) for side in (3, 5, 9)]
    return made + [
        (f"random stable {seed}, {side} a side", random_stable(side, seed)) for side in (3, 5, 9) for seed in (1, 2)
    ]


def error(found: Tensor, weight: Tensor) -> float:
    return float((found - weight).norm() / weight.norm())


def taps(options: argparse.Namespace) -> list[Bar]:
    print("\nwithout noise, through the inverse from the anchor alone, 256 x 256, zero boundary")
    missed = []
    for name, weight in kernels():
        sharp = gray("coffee", 256)
        blurred = masked_conv2d(sharp[:, None], weight[None, None])[:, 0]
        start = time.perf_counter()
        found = fit_masked(blurred, sharp, anchor_alone(len(weight), 1), ["top_left"], objective="inverse")
        seconds = time.perf_counter() - start
        bar = Bar(
            f"{name}: relative error ({found.steps} steps, {seconds:.2f} s)",
            np.array([error(found.weights[0], weight)]),
            1e-3,
        )
        print(f"{bar.line()}: {bar.ratios[0]:.1e}", flush=True)
        missed += [] if bar.kept else [bar]
    return missed


def plain_least_squares(blurred: Tensor, sharp: Tensor, side: int) -> Tensor:
    """The taps without any constraint."""
    grown = torch.nn.functional.pad(sharp[0], (side - 1, 0, side - 1, 0))
    height, width = sharp.shape[1:]
    columns = [
        grown[side - 1 - a : side - 1 - a + height, side - 1 - b : side - 1 - b + width].flatten()
        for a in range(side)
        for b in range(side)
    ]
    solution = scipy.linalg.lstsq(torch.stack(columns, 1).numpy(), blurred[0].flatten().numpy())[0]
    return torch.from_numpy(solution).view(side, side)


def noise(options: argparse.Namespace) -> list[Bar]:
    print("\nwith noise .01: relative error of the taps")
    print(f"    {'':<32}{'inverse':>10}{'forward':>10}{'lstsq':>10}")
    for name, weight in kernels():
        sharp = gray("coffee", 256)
        blurred = masked_conv2d(sharp[:, None], weight[None, None])[:, 0]
        blurred = blurred + 0.01 * torch.randn(
            blurred.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64
        )
        found = {
            o: fit_masked(blurred, sharp, anchor_alone(len(weight), 1), ["top_left"], objective=o) for o in OBJECTIVES
        }
        errors = [error(found[o].weights[0], weight) for o in OBJECTIVES]
        errors.append(error(plain_least_squares(blurred, sharp, len(weight)), weight))
        print(f"    {name:<32}" + "".join(f"{value:>10.4f}" for value in errors), flush=True)
    return []


def named(options: argparse.Namespace) -> list[Bar]:
    print("\none picture alone, --parametric auto; and the free taps from the pair (relative error)")
    for (number, name), spec in itertools.product(enumerate(PICTURES[: options.limit]), NAMED):
        sigma = (0.002, 0.01, 0.02)[number % 3]
        sharp, kernel = gray(name, 440), psf.make(spec)
        frame = blur(sharp, kernel)
        frame = frame + sigma * torch.randn(
            frame.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64
        )
        alone = Parametric()([frame])
        pair = PairEstimator()([frame], [sharp])
        off = (
            float(np.linalg.norm(pair.kernel - kernel) / np.linalg.norm(kernel))
            if pair.size == kernel.shape
            else np.nan
        )
        print(
            f"    {name:<10}{spec:<28}sigma {sigma:<6g} alone: {alone.kernel.source:<52} {alone.seconds:4.1f} s;"
            f" pair: {off:.4f}, {pair.seconds:.1f} s",
            flush=True,
        )
    return []


PARTS: dict[str, Callable[[argparse.Namespace], list[Bar]]] = {
    "step": step,
    "taps": taps,
    "noise": noise,
    "named": named,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="parts to run, with commas: " + ", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every timing (default 5)")
    parser.add_argument("--limit", type=int, default=3, help="pictures of the last part (default 3)")
    parser.add_argument("--threads", type=int, default=2, help="threads (default 2)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    missed = [bar for part in options.only.split(",") for bar in PARTS[part](options)]
    print(f"\n{len(missed)} bars missed" if missed else "\nall bars kept")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
