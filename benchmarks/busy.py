"""How much longer a restoration takes while another process runs on every processor.

    python benchmarks/busy.py [--repeats 3] [--threads 2]

Prints for a thumbnail and a megapixel the median seconds of the whole command on the machine as it is (it ought to be
idle), the same with one busy process on each processor, and their ratio, as the command is and with its threads waiting
as OpenMP has them. Fair sharing alone makes it 2.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from skimage import data, io, transform

from deblur.device import processors

METHODS = ("wiener", "auto")


# OpenMP's own wait, which the command shortens: the other setting in the same run
SETTINGS = {"deblur": {}, "OpenMP's own": {"GOMP_SPINCOUNT": "300000"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, help="the command's --threads; its own choice by default")
    options = parser.parse_args()
    more = ["--threads", str(options.threads)] if options.threads else []
    print(f"{processors()} processors, load {os.getloadavg()[0]:.1f} before; medians of {options.repeats}")
    print(f"{'side':>5} {'method':>8} {'waits':>14} {'idle, s':>8} {'busy, s':>8} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for side in (80, 1024):
            frame = Path(folder) / f"{side}.png"
            scene = transform.resize(data.camera(), (side, side), anti_aliasing=True)
            io.imsave(frame, np.rint(scene * 255).astype(np.uint8), check_contrast=False)
            for method in METHODS:
                words = ["apply", str(frame), "-k", "gaussian:sigma=1.5", "--method", method, "-f"]
                words += ["-o", f"{frame}.out.png", *more]
                idle = _seconds(words, options.repeats)
                with _every_processor_busy():
                    busy = _seconds(words, options.repeats)
                for name in SETTINGS:
                    ratio = busy[name] / idle[name]
                    print(
                        f"{side:>5} {method:>8} {name:>14} {idle[name]:>8.2f} {busy[name]:>8.2f} {ratio:>6.1f}",
                        flush=True,
                    )


@contextmanager
def _every_processor_busy() -> Iterator[None]:
    """Another process on every processor meanwhile."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processors())]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def _seconds(words: list[str], repeats: int) -> dict[str, float]:
    """The median time of a command, its start included, by how its threads wait; one after the other in turn."""
    times: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(repeats):
        for name, setting in SETTINGS.items():
            start = time.perf_counter()
            command = [sys.executable, "-m", "deblur", *words]
            subprocess.run(command, check=True, capture_output=True, env={**os.environ, **setting})
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in times.items()}


if __name__ == "__main__":
    main()
