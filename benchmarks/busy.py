"""How much longer a restoration takes while another process runs on every processor.

    python benchmarks/busy.py [--repeats 5] [--threads 2]

Prints for a thumbnail and a megapixel the median seconds of the whole command on the machine as it is (it ought to be
idle), the same with one busy process on each processor, and their ratio. Fair sharing alone makes it 2.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from skimage import data, io, transform

from deblur.device import processors

METHODS = ("wiener", "auto")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, help="the command's --threads; its own choice by default")
    options = parser.parse_args()
    more = ["--threads", str(options.threads)] if options.threads else []
    print(f"{processors()} processors, load {os.getloadavg()[0]:.1f} before; medians of {options.repeats}")
    print(f"{'side':>5} {'method':>8} {'idle, s':>8} {'busy, s':>8} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for side in (80, 1024):
            frame = Path(folder) / f"{side}.png"
            scene = transform.resize(data.camera(), (side, side), anti_aliasing=True)
            io.imsave(frame, np.rint(scene * 255).astype(np.uint8), check_contrast=False)
            for method in METHODS:
                words = [
                    "apply",
                    str(frame),
                    "-k",
                    "gaussian:sigma=1.5",
                    "--method",
                    method,
                    "-f",
                    "-o",
                    f"{frame}.out.png",
                ]
                idle = _seconds([*words, *more], options.repeats)
                others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processors())]
                try:
                    busy = _seconds([*words, *more], options.repeats)
                finally:
                    for other in others:
                        other.kill()
                        other.wait()
                print(f"{side:>5} {method:>8} {idle:>8.2f} {busy:>8.2f} {busy / idle:>6.1f}", flush=True)


def _seconds(words: list[str], repeats: int) -> float:
    """The median time of a command, its start included."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "deblur", *words], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
