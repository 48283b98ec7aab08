"""Jacobi sweeps beside the wavefront: `python benchmarks/jacobi.py [--native off]`.

With `method="jacobi"`, `masked_conv2d_solve` repeats one convolution of the whole image until nothing changes any more;
the wavefront substitutes once. So sweeps can be quicker only where few of them are enough, and that is where the taps
beside the anchor are small. A row draws such taps with one standard deviation. It tells how many sweeps were enough,
how many times quicker (or, below 1, slower) than the wavefront they were, and how far apart the two results are. A `-`
says that the sweeps gave up and the wavefront solved after all: both are in the time. With `--native off` the readable
reference computes, as it does on a machine without a compiler and on devices for which there are no kernels.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from interleaved import Run, race
from torch import Tensor

from deblur.ops import _dispatch, _native, jacobi, masked_conv2d_solve
from deblur.ops.geometry import Geometry

DEVIATIONS = (0.002, 0.01, 0.02, 0.05)


def problem(batch: int, channels: int, size: int, deviation: float) -> tuple[Tensor, Tensor]:
    """Images, and 3 x 3 taps of this deviation beside the identity."""
    generator = torch.Generator().manual_seed(0)
    weight = deviation * torch.randn(channels, channels, 3, 3, generator=generator)
    weight[:, :, 0, 0] = torch.eye(channels)
    return torch.randn(batch, channels, size, size, generator=generator), weight


def sweeps(image: Tensor, weight: Tensor) -> int | None:
    """How many sweeps a solve takes; None where it gives up."""
    count = 0

    def counted(x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
        nonlocal count
        count += 1
        return _dispatch.conv(x, weight, geometry)

    found = jacobi.solve(image, weight, Geometry(), conv=counted)
    return None if found is None else count


def row(batch: int, channels: int, size: int, deviation: float, rounds: int) -> str:
    """One case as a line of the table."""
    image, weight = problem(batch, channels, size, deviation)
    runs: dict[str, Run] = {
        method: lambda method=method: masked_conv2d_solve(image, weight, method=method)
        for method in ("wavefront", "jacobi")
    }
    times = race(runs, rounds)
    wavefront, swept = (1e3 * float(np.median(times[method])) for method in runs)
    ratio = float(np.median(times["wavefront"] / times["jacobi"]))
    apart = float((runs["jacobi"]() - runs["wavefront"]()).abs().max())
    count = sweeps(image, weight)
    name = f"B={batch} C={channels} {size} x {size}, deviation {deviation:g}"
    return f"{name:42}{count or '-':>7}{wavefront:14.3f}{swept:12.3f}{ratio:10.2f}{apart:12.1e}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 32], help="sides of the images")
    parser.add_argument("--channels", type=int, nargs="+", default=[1, 12, 48], help="channels, all in one group")
    parser.add_argument("--deviations", type=float, nargs="+", default=DEVIATIONS, help="of the taps beside the anchor")
    parser.add_argument("--batch", type=int, default=16, help="images (default 16)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of every case (default 9)")
    parser.add_argument("--threads", type=int, default=2, help="threads of both methods (default 2)")
    parser.add_argument("--native", choices=("on", "off"), default="on", help="off: the readable reference computes")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    computes = _native.describe()
    if options.native == "off":
        _dispatch._native_serves = lambda image: False
        computes = "the readable reference"
    print(f"torch {torch.__version__}; {computes}; {options.rounds} rounds, float32, 3 x 3 taps")
    print(f"{'case':42}{'sweeps':>7}{'wavefront ms':>14}{'jacobi ms':>12}{'quicker':>10}{'apart':>12}")
    with torch.no_grad():
        for channels in options.channels:
            for size in options.sizes:
                for deviation in options.deviations:
                    print(row(options.batch, channels, size, deviation, options.rounds), flush=True)


if __name__ == "__main__":
    main()
