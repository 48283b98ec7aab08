"""Four-quadrant against circulant: `python benchmarks/preconditioners.py [--sizes 256 512] [--kernels SPEC ...]`.

Both precondition the same normal equations, (K^T K + q R) x = K^T y with an unknown border, R the squared gradients and
q as `wiener` sets it. For every case it prints the conjugate-gradient steps to three relative residuals, the seconds
to the last of them, the preconditioner's own making apart, and the peak of memory above that of a process that has
only imported the package.

Every run is a process of its own, so that a peak is its own too; the two take turns, round by round, and the times
are medians over the rounds, the ratio's taken within a round.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import skimage.data
import torch
from numpy.typing import NDArray

from deblur import psf
from deblur.noise import effective_sigma, span
from deblur.ops import _native
from deblur.psf.factorization import factorize
from deblur.psf.kernel import MISFIT
from deblur.psf.operator import blur
from deblur.restoration import PRECONDITIONERS, Problem
from deblur.restoration.conjugate_gradients import solve as solve_system
from deblur.restoration.normal_equations import NormalEquations
from deblur.restoration.preconditioners import TOLERANCE
from deblur.restoration.symbols import gradients
from deblur.restoration.wiener import Wiener

KERNELS = ("shake:size=9,seed=1", "shake:size=25,seed=1")
RESIDUALS = (1e-3, 1e-4, 3e-5)
LIMIT = 1000  # steps
CORNER = 128  # pixels down and to the right
PER_MIB = 2**20 if sys.platform == "darwin" else 2**10  # of what ru_maxrss counts in: bytes there, else kibibytes


@dataclass(frozen=True)
class Case:
    """One run: frame of size x size pixels, kernel, noise, preconditioner, threads."""

    size: int
    kernel: str
    sigma: float
    preconditioner: str
    threads: int


@dataclass(frozen=True)
class Run:
    """What came of it: steps to each of RESIDUALS, seconds, peak memory in MiB, taps of the factors (0: none)."""

    steps: tuple[int, ...]
    setup: float
    solve: float
    memory: float
    taps: int


def frame(size: int, kernel: NDArray[np.float64], sigma: float) -> torch.Tensor:
    """A blurred photograph (1, size, size): scikit-image's camera, reflected as often as it takes.

    It starts off the corner, so that no size has only the sky along its border: that would be too easy a one.
    """
    pictures: Any = skimage.data  # which has no types
    camera = pictures.camera().astype(np.float32) / 255
    grown = [(0, max(0, CORNER + size + k - 1 - side)) for k, side in zip(kernel.shape, camera.shape, strict=True)]
    rows, columns = (slice(CORNER, CORNER + size + k - 1) for k in kernel.shape)
    scene = torch.from_numpy(np.pad(camera, grown, mode="symmetric")[rows, columns].copy())
    noise = torch.randn(1, size, size, generator=torch.Generator().manual_seed(0))
    return blur(scene[None], kernel).add_(noise, alpha=sigma)


def solve(case: Case) -> Run:
    """Set the system up, precondition it, iterate until the last residual is met."""
    torch.set_num_threads(case.threads)
    before = peak()
    kernel = psf.make(case.kernel)
    blurred = frame(case.size, kernel, case.sigma)
    problem = Problem(blurred=blurred, kernel=kernel)
    q = Wiener().weight * effective_sigma(case.sigma, span(blurred), MISFIT) ** 2
    equations = NormalEquations(problem, gradients, q)
    right, first = problem.right_hand_side, problem.blur.extend(blurred)
    equations(first)  # what both need is not counted: the blur's spectrum, the regulariser's

    start = time.perf_counter()
    precondition = PRECONDITIONERS[case.preconditioner](problem.blur, gradients, q)
    setup = time.perf_counter() - start
    precondition(right)  # loads the native kernels

    steps: list[int] = []
    start = time.perf_counter()
    for step, estimate in enumerate(solve_system(equations, right, first, precondition), 1):
        steps += [step] * sum(estimate.residual <= residual for residual in RESIDUALS[len(steps) :])
        if len(steps) == len(RESIDUALS) or step == LIMIT:
            break
    seconds = time.perf_counter() - start
    steps += [LIMIT] * (len(RESIDUALS) - len(steps))
    return Run(tuple(steps), setup, seconds, peak() - before, factor_taps(case, kernel, q))


def factor_taps(case: Case, kernel: NDArray[np.float64], q: float) -> int:
    """Side of the factors in use; 0 where there are none, four-quadrant having fallen back on circulant included."""
    if case.preconditioner != "four-quadrant":
        return 0
    factors = factorize(kernel, q, tolerance=TOLERANCE, regulariser=gradients)
    return factors.size if factors.stable else 0


def peak() -> float:
    """The most memory that this process has held, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / PER_MIB


def alone(case: Case) -> Run:
    """`solve` in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(solve, (case,))


def compare(size: int, kernel: str, options: argparse.Namespace) -> None:
    runs: dict[str, list[Run]] = {name: [] for name in PRECONDITIONERS}
    for _ in range(options.rounds):
        for name, done in runs.items():
            done.append(alone(Case(size, kernel, options.sigma, name, options.threads)))
    print(f"\n{size} x {size}, {kernel}")
    for name, done in runs.items():
        last = done[-1]
        setup, seconds = (np.median([getattr(run, what) for run in done]) for what in ("setup", "solve"))
        steps = "".join(f"{step:>7}" for step in last.steps)
        label = f"{name}, {last.taps} taps" if last.taps else name
        memory = np.median([run.memory for run in done])
        each = seconds / last.steps[-1] * 1e3
        print(f"    {label:<24}{steps}{setup:>9.2f}{seconds:>9.2f}{each:>10.1f}{memory:>9.0f}")
    whole = {name: np.array([run.solve for run in done]) for name, done in runs.items()}
    low, median, high = np.quantile(whole["four-quadrant"] / whole["circulant"], [0.25, 0.5, 0.75])
    print(f"    four-quadrant / circulant, seconds without setup: {median:.2f}  [{low:.2f}, {high:.2f}]", flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048], help="sides of the frames")
    parser.add_argument("--kernels", nargs="+", default=KERNELS, help="kernels by name, as `deblur psf make` has them")
    parser.add_argument("--sigma", type=float, default=0.01, help="noise, of full scale 1 (default 0.01)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every case (default 3)")
    parser.add_argument("--threads", type=int, default=2, help="threads of both (default 2)")
    options = parser.parse_args(arguments)
    print(f"native kernels: {_native.describe()}; {options.threads} threads, {options.rounds} rounds, float32")
    header = "".join(f"{f'{residual:g}':>7}" for residual in RESIDUALS)
    print(f"\n{'steps to a residual of':<28}{header}{'setup s':>9}{'solve s':>9}{'ms a step':>10}{'peak MiB':>9}")
    for size in options.sizes:
        for kernel in options.kernels:
            compare(size, kernel, options)


if __name__ == "__main__":
    main()
