"""The exact inverse on a CUDA device beside its floors: `python benchmarks/solve_cuda.py`; without one it says so.

The floors are what no kernel can beat on the device at hand: multiply-adds over its float32 rate, bytes moved once over
its memory bandwidth (both measured here, by a matrix product and a copy), and one dependent step per anti-diagonal at
30 cycles of its clock, the latency of a store, a synchronisation and a load in shared memory. The peers are torch's
convolution of the same taps (the same arithmetic without the dependency, on an input padded beforehand) and what is
done without a kernel of one's own: a few launches per anti-diagonal. All are captured in CUDA graphs, so that no Python
is timed; `call` is the solve as it is called, without a graph.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from deblur.ops import _cuda
from deblur.ops._cuda.driver import Driver
from deblur.ops.geometry import Geometry

CYCLES = 30  # of one dependent step
CLOCK_RATE = 13  # CU_DEVICE_ATTRIBUTE_CLOCK_RATE, in kHz

CASES = [
    *((1, 1, side, taps) for side in (256, 512, 1024, 2048, 4096, 8192) for taps in (3, 15, 31)),
    *((100, channels, side, 3) for channels, side in ((12, 16), (12, 32), (48, 16), (48, 32), (96, 16), (192, 8))),
]


@dataclass(frozen=True)
class Machine:
    """What the device does at best: multiply-adds and bytes a second, cycles a second."""

    multiply_adds: float
    bytes: float
    cycles: float


def seconds(run: Callable[[], object], rounds: int) -> float:
    """The median time of a run, by the device's own clock, after a warm-up."""
    run()
    times = []
    for _ in range(rounds):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return statistics.median(times)


def replayed(run: Callable[[], object], rounds: int) -> float:
    """The median time of what a run does on the device, replayed from a CUDA graph."""
    run()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return seconds(graph.replay, rounds)


def machine(rounds: int) -> Machine:
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    a = torch.randn(8192, 8192, device="cuda")
    rate = 8192**3 / seconds(lambda: a @ a, rounds)
    torch.backends.cuda.matmul.allow_tf32 = allowed
    b = torch.empty_like(a)
    bandwidth = 2 * a.numel() * a.element_size() / seconds(lambda: b.copy_(a), rounds)
    return Machine(rate, bandwidth, 1e3 * Driver().attribute(torch.cuda.current_device(), CLOCK_RATE))


def problem(batch: int, channels: int, side: int, taps: int) -> tuple[Tensor, Tensor]:
    """A right-hand side and taps whose inverse is stable."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(batch, channels, side, side, generator=generator)
    weight = torch.randn(channels, channels, taps, taps, generator=generator) * (0.3 / (channels * taps))
    weight[:, :, 0, 0] += torch.eye(channels)
    return y.cuda(), weight.cuda()


class LaunchPerDiagonal:
    """The wavefront out of PyTorch's own operations, with all indices made beforehand: three launches a diagonal."""

    def __init__(self, y: Tensor, weight: Tensor) -> None:
        self.y = y
        size, _, kh, kw = weight.shape
        height, width = y.shape[2:]
        inverse = torch.linalg.inv(weight[:, :, 0, 0])
        self.inverse, self.taps = inverse, (inverse @ weight.flatten(1)).view(size, size, -1)[..., 1:].flatten(1)
        pitch = width + kw - 1
        self.x = y.new_zeros(*y.shape[:2], (height + kh - 1) * pitch)
        self.inside = torch.arange(height)[:, None] * pitch + torch.arange(width) + (kh - 1) * pitch + kw - 1
        back = (torch.arange(kh)[:, None] * pitch + torch.arange(kw)).flatten()[1:, None]
        self.steps = []
        for t in range(height + width - 1):
            i = torch.arange(max(0, t - width + 1), min(height, t + 1))
            here = self.inside[i, t - i]
            pixels = i * width + t - i
            self.steps.append(tuple(index.to(y.device) for index in (pixels, here, (here - back).flatten())))
        self.inside = self.inside.to(y.device)

    def __call__(self) -> Tensor:
        """Solve; everything it launches may be captured in a graph."""
        right_side = self.inverse @ self.y.flatten(2)
        for pixels, here, earlier in self.steps:
            values = self.x[:, :, earlier].view(len(self.y), -1, len(here))
            self.x[:, :, here] = right_side[:, :, pixels] - self.taps @ values
        return self.x[:, :, self.inside]


def launch_per_diagonal(y: Tensor, weight: Tensor, rounds: int) -> float:
    """Seconds of the peer, once it has shown that it computes the same."""
    peer = LaunchPerDiagonal(y, weight)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.testing.assert_close(peer(), _cuda.solve(y, weight, Geometry()), rtol=0, atol=1e-3)
    torch.cuda.current_stream().wait_stream(stream)
    return replayed(peer, rounds)


def convolution(y: Tensor, weight: Tensor, rounds: int) -> float:
    """Seconds of torch's convolution of as many pixels with as many taps, without TF32."""
    padded = F.pad(y, (weight.shape[3] - 1, 0, weight.shape[2] - 1, 0))
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        return replayed(lambda: F.conv2d(padded, weight), rounds)


def run_cuda(rounds: int = 9, peer_up_to: int = 1024) -> int:
    """Print the table; return an exit status. Without a device it says so, and that is no failure."""
    if not _cuda.available():
        print(f"nothing to measure: {_cuda.why_not()}")
        return 0
    device = machine(rounds)
    print(f"{torch.cuda.get_device_name()}: {_cuda.describe()}")
    print(
        f"float32 matrix product {device.multiply_adds / 1e12:.1f} T multiply-adds/s, "
        f"copy {device.bytes / 1e9:.0f} GB/s, clock {device.cycles / 1e9:.2f} GHz; medians of {rounds}, microseconds"
    )
    columns = ("solve", "call", "arithmetic", "memory", "steps", "solve/floor", "conv2d", "per diagonal")
    print(f"{'case':30}" + "".join(f"{column:>13}" for column in columns))
    for batch, channels, side, taps in CASES:
        y, weight = problem(batch, channels, side, taps)

        def solve(y: Tensor = y, weight: Tensor = weight) -> Tensor:
            return _cuda.solve(y, weight, Geometry())

        time, call = replayed(solve, rounds), seconds(solve, rounds)
        floors = (
            y.shape[0] * side * side * weight.numel() / device.multiply_adds,
            (2 * y.numel() + weight.numel()) * y.element_size() / device.bytes,
            (2 * side - 1) * CYCLES / device.cycles,
        )
        peer = "" if side > peer_up_to else f"{1e6 * launch_per_diagonal(y, weight, 3):.0f}"
        numbers = [f"{1e6 * each:.1f}" for each in (time, call, *floors)]
        numbers += [f"{time / max(floors):.1f}", f"{1e6 * convolution(y, weight, rounds):.1f}", peer]
        name = f"B={batch} C={channels} {side}x{side}, {taps}x{taps}"
        print(f"{name:30}" + "".join(f"{number:>13}" for number in numbers))
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    sys.exit(run_cuda(parser.parse_args().rounds))
