"""Other denoisers in the learned prior's place: `python benchmarks/denoisers.py IMAGES --kernels A.npy B.npy ...`.

Every picture of IMAGES is blurred with the next kernel in turn, circularly, with white noise of 0.01. One and the same
half-quadratic splitting restores it with each denoiser: eight levels s from 49 / 255 down to the noise, evenly in the
logarithm, z the scene denoised at level s, and

    x = argmin ||K x - y||^2 + q ||x - z||^2,   q = weight * (noise / s)^2

in one Fourier division. The weight is the best of six in the mean over all pictures, for each denoiser by itself.

    flow      the prior that comes with the package
    bm3d      Dabov et al. 2007, by the package bm3d
    dncnn-6N  a network of six layers that is told the noise (after Zhang et al. 2017), by scico with its weights
    dncnn-17N the same with seventeen

What isn't installed is left out (`pip install bm3d scico`, in an environment of its own). The last row is
`deblur.apply(method="flow")` as it comes, which knows none of this: more levels, a weight chosen on other pictures.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from restore import FULL_SCALE, Array, from_file, picture_files
from torch import Tensor

import deblur
from deblur.metrics import psnr
from deblur.psf.operator import blur
from deblur.restoration import Problem
from deblur.restoration.hqs import HalfQuadraticSplitting
from deblur.restoration.priors.flow import FlowPrior, denoised
from deblur.restoration.priors.splitting import Level

SIGMA, FIRST, STEPS = 0.01, 49 / 255, 8
WEIGHTS = (0.15, 0.25, 0.4, 0.6, 0.9, 1.3)

Denoiser = Callable[[Tensor, float], Tensor]
"""Of an image (1, H, W) and the noise's standard deviation."""


def bm3d() -> Denoiser:
    """Block matching."""
    package = importlib.import_module("bm3d")
    return lambda image, sigma: torch.from_numpy(np.asarray(package.bm3d(image[0].numpy(), sigma), np.float64))[None]


def dncnn(variant: str) -> Denoiser:
    """A convolutional network that is told the noise."""
    model: Any = importlib.import_module("scico.denoiser").DnCNN(variant)

    def denoise(image: Tensor, sigma: float) -> Tensor:
        return torch.from_numpy(np.array(model(image[0].float().numpy(), np.float32(sigma)), np.float64))[None]

    return denoise


DENOISERS: dict[str, Callable[[], Denoiser]] = {
    "flow": lambda: denoised,
    "bm3d": bm3d,
    "dncnn-6N": lambda: dncnn("6N"),
    "dncnn-17N": lambda: dncnn("17N"),
}


@dataclass(frozen=True, kw_only=True)
class Prior(FlowPrior):
    """The learned prior's schedule with any denoiser."""

    denoise: Denoiser
    first: float = FIRST
    steps: int = STEPS

    def pull(self, image: Tensor, level: Level) -> Tensor:
        """The denoised image less the image."""
        return self.denoise(image, level.penalty) - image


def problems(images: Path, kernels: list[Path], limit: int) -> list[tuple[Array, Array, Array]]:
    """The blurred frame, 16 bits, the kernel and the sharp picture, for every picture."""
    found = []
    for seed, path in enumerate(picture_files(images)[:limit]):
        sharp = from_file(path)
        sharp = sharp if sharp.ndim == 2 else sharp.mean(2)
        kernel = np.load(kernels[seed % len(kernels)]).astype(float)
        kernel /= kernel.sum()
        blurred = blur(torch.from_numpy(sharp)[None], kernel, "circular")[0].numpy()
        blurred += np.random.default_rng(seed).normal(0, SIGMA, sharp.shape)
        found.append((np.round(np.clip(blurred, 0, 1) * FULL_SCALE) / FULL_SCALE, kernel, sharp))
    return found


def restored(blurred: Array, kernel: Array, denoise: Denoiser, weight: float) -> Array:
    problem = Problem(blurred=torch.from_numpy(blurred)[None], kernel=kernel, sigma=SIGMA, boundary="circular")
    return HalfQuadraticSplitting(prior=Prior(denoise=denoise, weight=weight))(problem).image[0].numpy()


def report(name: str, scores: list[float], seconds: float, more: str = "") -> None:
    each = " ".join(f"{score:.2f}" for score in scores)
    print(f"{name:16} {np.mean(scores):6.2f} dB   {each}   {seconds:5.1f} s a picture{more}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="a folder")
    parser.add_argument("--kernels", type=Path, nargs="+", required=True, help="files of kernels, taken in turn")
    parser.add_argument("--denoisers", default=",".join(DENOISERS), help="comma-separated")
    parser.add_argument("--limit", type=int, default=7, help="pictures")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cases = problems(options.images, options.kernels, options.limit)
    for name in options.denoisers.split(","):
        try:
            denoise = DENOISERS[name]()
        except ImportError as error:
            print(f"{name:16} left out: {error}")
            continue
        start = time.perf_counter()
        scores = {
            weight: [psnr(restored(blurred, kernel, denoise, weight), sharp) for blurred, kernel, sharp in cases]
            for weight in WEIGHTS
        }
        seconds = (time.perf_counter() - start) / len(WEIGHTS) / len(cases)
        best = max(scores, key=lambda weight: float(np.mean(scores[weight])))
        end = ", the last of those tried" if best in (WEIGHTS[0], WEIGHTS[-1]) else ""
        report(name, scores[best], seconds, f", weight {best}{end}")
    start = time.perf_counter()
    shipped = [
        deblur.apply(blurred, kernel, method="flow", boundary="circular", noise=SIGMA, transfer="linear")
        for blurred, kernel, _ in cases
    ]
    seconds = (time.perf_counter() - start) / len(cases)
    report(
        "deblur apply",
        [psnr(image, case[2]) for image, case in zip(shipped, cases, strict=True)],
        seconds,
    )


if __name__ == "__main__":
    main()
