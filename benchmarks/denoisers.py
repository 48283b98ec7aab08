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
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.fft import irfft2, rfft2
from restore import Array, from_file

import deblur
from deblur.metrics import psnr
from deblur.restoration.priors.flow import denoised

SIGMA, FIRST, STEPS = 0.01, 49 / 255, 8
WEIGHTS = (0.15, 0.25, 0.4, 0.6, 0.9, 1.3)
FULL_SCALE = 65535

Denoiser = Callable[[Array, float], Array]


def flow() -> Denoiser:
    """By Tweedie's formula."""
    return lambda image, sigma: denoised(torch.from_numpy(image).float()[None], sigma)[0].double().numpy()


def bm3d() -> Denoiser:
    """Block matching."""
    package = importlib.import_module("bm3d")
    return lambda image, sigma: np.asarray(package.bm3d(image, sigma))


def dncnn(variant: str) -> Denoiser:
    """A convolutional network that is told the noise."""
    model: Any = importlib.import_module("scico.denoiser").DnCNN(variant)
    return lambda image, sigma: np.asarray(model(image.astype(np.float32), np.float32(sigma)), np.float64)


DENOISERS: dict[str, Callable[[], Denoiser]] = {
    "flow": flow,
    "bm3d": bm3d,
    "dncnn-6N": lambda: dncnn("6N"),
    "dncnn-17N": lambda: dncnn("17N"),
}


def spectrum(kernel: Array, shape: tuple[int, ...]) -> Array:
    """The half spectrum of a kernel, its origin at tap (k // 2, k // 2)."""
    padded = np.zeros(shape)
    padded[: kernel.shape[0], : kernel.shape[1]] = kernel
    return np.asarray(rfft2(np.roll(padded, [-(side // 2) for side in kernel.shape], (0, 1))))


def problems(images: Path, kernels: list[Path], limit: int) -> list[tuple[Array, Array, Array]]:
    """The blurred frame, 16 bits, the kernel and the sharp picture, for every picture."""
    found = []
    paths = sorted(path for path in images.iterdir() if path.suffix.lower() in (".png", ".jpg", ".tif"))
    for seed, path in enumerate(paths[:limit]):
        sharp = from_file(path)
        sharp = sharp if sharp.ndim == 2 else sharp.mean(2)
        kernel = np.load(kernels[seed % len(kernels)]).astype(float)
        kernel /= kernel.sum()
        blurred = irfft2(spectrum(kernel, sharp.shape) * rfft2(sharp), s=sharp.shape)
        blurred += np.random.default_rng(seed).normal(0, SIGMA, sharp.shape)
        found.append((np.round(np.clip(blurred, 0, 1) * FULL_SCALE) / FULL_SCALE, kernel, sharp))
    return found


def split(blurred: Array, kernel: Array, denoise: Denoiser, weight: float) -> Array:
    """The splitting above."""
    transfer = spectrum(kernel, blurred.shape)
    data, power = np.conj(transfer) * rfft2(blurred), np.abs(transfer) ** 2
    x = blurred
    for level in np.geomspace(FIRST, SIGMA, STEPS):
        q = weight * (SIGMA / level) ** 2
        x = irfft2((data + q * rfft2(denoise(x, float(level)))) / (power + q), s=blurred.shape)
    return np.asarray(x)


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
            weight: [
                psnr(np.clip(split(blurred, kernel, denoise, weight), 0, 1), sharp) for blurred, kernel, sharp in cases
            ]
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
        [psnr(np.clip(image, 0, 1), case[2]) for image, case in zip(shipped, cases, strict=True)],
        seconds,
    )


if __name__ == "__main__":
    main()
