"""The four-quadrant inverse of a blur against the FFT route: `python benchmarks/quadrant.py [--sizes ...]`.

Both compute P^-1 K^T y, P = K^T K + q L^T L with L the gradients: four wavefront solves and one convolution, or one
forward and one inverse real FFT with the filter conj(K) / P between them (the frame then wraps around, which is what a
user would accept). Factors and filter are made beforehand; one-shot, the FFT route makes its filter in the call, as it
has to for every new size of frame (factors serve every size). The FFT is the quicker of torch's and SciPy's, on all
threads. Every run is a process of its own, so that its peak of memory, above the frame itself, is its own too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch
from interleaved import Bar, Run, show
from torch import Tensor

from deblur import psf
from deblur.ops import _native, masked_conv2d
from deblur.psf.factorization import REGULARISERS, factorize

Q = 1e-2  # the regulariser's weight, about that of 3 % noise
PER_MIB = 2**20 if sys.platform == "darwin" else 2**10  # of what ru_maxrss counts in: bytes there, else kibibytes
MEASURABLE = 64  # MiB, from which a peak is well above what importing the libraries took for a moment
ROUTES = ("four-quadrant", "torch FFT", "SciPy FFT", "torch FFT, one-shot", "SciPy FFT, one-shot")


@dataclass(frozen=True)
class Case:
    """One process: a route, the frame's side, the kernel's side, threads, rounds in it."""

    route: str
    size: int
    taps: int
    threads: int
    rounds: int


def peak() -> float:
    """The most memory that this process has held, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / PER_MIB


def four_quadrant(y: Tensor, kernel: np.ndarray, taps: int) -> Run:
    factors = factorize(kernel, Q, size=taps)
    weight = torch.from_numpy(kernel).to(y)[None, None]
    return lambda: factors.solve(masked_conv2d(y, weight, transpose=True))


def fourier(y: Tensor, kernel: np.ndarray, library: str, one_shot: bool) -> Run:
    """The anchor at the kernel's corner, as in `four_quadrant`: both give the same picture away from the border."""
    size, workers = tuple(y.shape[-2:]), torch.get_num_threads()
    frequencies = [2 * np.pi * f(n) for f, n in zip((torch.fft.fftfreq, torch.fft.rfftfreq), size, strict=True)]
    laplace = REGULARISERS["gradient"](frequencies[0][:, None].float(), frequencies[1][None].float())
    plane = y[0, 0]

    def forward(image: Tensor) -> Tensor:
        if library == "torch":
            return torch.fft.rfft2(image, s=size)
        return torch.from_numpy(scipy.fft.rfft2(image.numpy(), s=size, workers=workers))

    def make() -> Tensor:
        spectrum = forward(torch.from_numpy(kernel).float())
        power = spectrum.real**2 + spectrum.imag**2
        return spectrum.conj().resolve_conj().div_(power.add_(laplace, alpha=Q))

    kept = None if one_shot else make()

    def run() -> Tensor:
        restored = forward(plane).mul_(make() if kept is None else kept)
        if library == "torch":
            return torch.fft.irfft2(restored, s=size)
        return torch.from_numpy(scipy.fft.irfft2(restored.numpy(), s=size, workers=workers))

    return run


def made(case: Case, y: Tensor) -> Run:
    kernel = psf.make(f"shake:size={case.taps},seed=1")
    if case.route == "four-quadrant":
        return four_quadrant(y, kernel, case.taps)
    return fourier(y, kernel, case.route.split()[0].lower(), "one-shot" in case.route)


def measure(case: Case) -> tuple[float, float]:
    """Seconds of one run after a warm-up (the median of those in this process), and its peak of memory in MiB."""
    torch.set_num_threads(case.threads)
    with torch.no_grad():
        made(Case(case.route, 64, case.taps, case.threads, 1), torch.rand(1, 1, 64, 64))()  # loads the libraries
        y = torch.rand(1, 1, case.size, case.size, generator=torch.Generator().manual_seed(0))
        before = peak()
        run, seconds = made(case, y), []
        for _ in range(case.rounds + 1):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        return float(np.median(seconds[1:])), peak() - before


def agree(taps: int, factor_taps: int) -> float:
    """The largest difference between the routes well inside a frame, over the largest pixel."""
    y = torch.zeros(1, 1, 512, 512)
    y[..., 192:320, 192:320] = torch.rand(128, 128, generator=torch.Generator().manual_seed(0))
    kernel = psf.make(f"shake:size={taps},seed=1")
    ours, theirs = four_quadrant(y, kernel, factor_taps)(), fourier(y, kernel, "torch", False)()
    assert isinstance(ours, Tensor)
    assert isinstance(theirs, Tensor)
    return float((ours[0, 0] - theirs)[192:320, 192:320].abs().max() / theirs.abs().max())


def compare(size: int, taps: int, options: argparse.Namespace) -> None:
    seconds: dict[str, list[float]] = {route: [] for route in ROUTES}
    memory: dict[str, list[float]] = {route: [] for route in ROUTES}
    for _ in range(options.rounds):
        for route in ROUTES:
            within = max(1, min(5, 2048**2 // size**2))
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                took, held = pool.apply(measure, (Case(route, size, taps, options.threads, within),))
            seconds[route].append(took)
            memory[route].append(held)
    times = {f"{route}, {np.median(memory[route]):.0f} MiB": np.array(done) for route, done in seconds.items()}
    ours, torch_, scipy_, torch_once, scipy_once = times.values()
    bars = [
        Bar("four-quadrant / the quicker FFT: seconds", ours / np.minimum(torch_, scipy_)),
        Bar("four-quadrant / the quicker FFT, one-shot: seconds", ours / np.minimum(torch_once, scipy_once)),
    ]
    smaller = np.minimum(memory["torch FFT"], memory["SciPy FFT"])
    if smaller.min() >= MEASURABLE:
        bars.append(Bar("four-quadrant / the smaller FFT: memory", np.array(memory["four-quadrant"]) / smaller))
    show(f"{size} x {size}, kernel and factors {taps} x {taps}", times, bars)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048, 4096, 8192], help="sides of frames")
    parser.add_argument("--taps", type=int, nargs="+", default=[15, 31], help="sides of kernels and factors")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every case (default 3)")
    parser.add_argument("--threads", type=int, default=2, help="threads of every route (default 2)")
    options = parser.parse_args()
    print(f"native kernels: {_native.describe()}; {options.threads} threads, {options.rounds} rounds, float32")
    for taps in options.taps:
        print(f"\n{taps} x {taps}: the routes differ by {agree(taps, taps):.1e} of the largest pixel", end=" ")
        print(f"(with factors of 2 x as many taps a side, by {agree(taps, 2 * taps):.1e})")
        for size in options.sizes:
            compare(size, taps, options)


if __name__ == "__main__":
    main()
