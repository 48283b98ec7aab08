"""How long a megapixel takes by every method, and by scikit-image's Richardson-Lucy.

A gray frame of 1024 x 1024 pixels in light, blurred by a shake of 15 x 15 taps, noise .01; for `exact` a trail without
noise. The median of some runs of `deblur.apply`, the first left out, and the PSNR beside it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data
from skimage.restoration import richardson_lucy

import deblur
from deblur.metrics import common_part, psnr
from deblur.psf import make
from deblur.restoration import RESTORERS

SHAKE, TRAIL = "shake:size=15,seed=1", "exponential:decay=3"
Image = NDArray[np.float32]


def scene(side: int) -> Image:
    """A gray photograph, mirrored beyond its edge."""
    gray = data.camera().astype(np.float32) / 255
    grown = max(0, side - len(gray))
    return np.pad(gray, (0, grown), mode="symmetric")[:side, :side]


def contenders(sharp: Image, methods: list[str]) -> dict[str, tuple[Callable[[], Image], Image]]:
    """What is timed, by name, and what each starts from."""
    frame = deblur.blur(sharp, SHAKE, noise=0.01, transfer="linear")
    trail = deblur.blur(sharp, TRAIL, boundary="zero", transfer="linear")

    def ours(method: str) -> tuple[Callable[[], Image], Image]:
        if method == "exact":
            return lambda: deblur.apply(trail, TRAIL, method=method, boundary="zero", transfer="linear"), trail
        return lambda: deblur.apply(frame, SHAKE, method=method, transfer="linear"), frame

    peer = (lambda: richardson_lucy(frame.clip(0), make(SHAKE).astype(np.float32), num_iter=30), frame)
    return {**{method: ours(method) for method in methods}, "scikit-image richardson_lucy, 30 steps": peer}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=1024, help="pixels a side (default 1024)")
    parser.add_argument("--rounds", type=int, default=3, help="runs, their median counts (default 3)")
    parser.add_argument("--method", default="all", help=f"with commas, of {', '.join(RESTORERS)} (default all)")
    parser.add_argument("--threads", type=int, default=2, help="threads (default 2)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    sharp = scene(options.side)
    methods = list(RESTORERS) if options.method == "all" else options.method.split(",")
    for name, (run, start) in contenders(sharp, methods).items():
        seconds, image = [], run()
        for _ in range(options.rounds):
            before = time.perf_counter()
            image = run()
            seconds.append(time.perf_counter() - before)
        gain = [psnr(*common_part(torch.from_numpy(np.asarray(x)), torch.from_numpy(sharp))) for x in (start, image)]
        print(f"{name:40}{statistics.median(seconds):7.2f} s   PSNR {gain[0]:.2f} -> {gain[1]:.2f}", flush=True)


if __name__ == "__main__":
    main()
