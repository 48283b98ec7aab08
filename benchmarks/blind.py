"""Blind kernels on made frames: `python benchmarks/blind.py [--sized] [--limit 24] [--images FOLDER] [--refinements]`.

Photographs that scikit-image ships, and the sample of this repository, none of which any setting was tuned on, are
blurred as a camera does: camera shake of 15 to 41 taps, the valid part of the convolution, white noise of .002 to .02,
16 bits, in colour where the photograph is. The estimator gets the frame and nothing else (`--sized`: and the side of
the kernel). `--images` takes a folder of other photographs.

Every kernel is judged by the same non-blind deconvolution of the frame's luma: the squared error of what it restores,
at the best shift (to a quarter of a pixel) and without 21 pixels at the border, over that of what the true kernel
restores (Levin et al. 2009). 1 is as good as the truth; without blur the ratio is 5 to 50.

`--refinements` adds what each refinement makes of the kernel chosen without one: nothing, the alternation, gradient
descent through the restoration. At the end stands the calibration of the confidence: what it said, what came.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import skimage.data
import torch
from numpy.fft import irfft2, rfft2
from numpy.typing import NDArray
from restore import picture_files
from scipy.ndimage import shift, spline_filter

from deblur import psf
from deblur.estimation.blind import BlindEstimator
from deblur.estimation.blind.descent import Descent
from deblur.estimation.blind.planes import plane
from deblur.estimation.blind.variational import Variational
from deblur.images import read_frames
from deblur.psf.operator import blur

Array = NDArray[np.float64]

SAMPLE = Path(__file__).parent.parent / "samples" / "truth.png"
PICTURES = ("astronaut", "camera", "chelsea", "coffee", "coins", "rocket", "stereo_motorcycle", "sample")
SIZES = (15, 25, 37, 19, 31, 21, 41, 17, 27, 35, 23, 29)
NOISE = (0.002, 0.005, 0.01, 0.02)
SIDE = 320  # of a frame, at most


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="a folder of sharp photographs instead of the ones built in")
    parser.add_argument("--limit", type=int, default=24, help="frames")
    parser.add_argument("--first", type=int, default=0, help="number of the first frame")
    parser.add_argument("--side", type=int, default=SIDE, help="of a frame, at most")
    parser.add_argument("--sized", action="store_true", help="tell the estimator the side of the kernel")
    parser.add_argument("--refinements", action="store_true", help="compare them; doubles the time")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)

    ratios, trusts, seconds, refined = [], [], [], []
    for number in range(args.first, args.first + args.limit):
        name, scene = picture(number, args.images)
        size, sigma = SIZES[number % len(SIZES)], NOISE[(number + number // 8) % len(NOISE)]
        kernel = psf.make(f"shake:size={size},seed={number + 1}")
        frame, sharp = degrade(scene, kernel, sigma, number, args.side)
        start = time.perf_counter()
        estimate = BlindEstimator(size=size if args.sized else None)([frame])
        seconds.append(time.perf_counter() - start)
        grey = luma(frame)
        best = error(deconvolve(grey, kernel), sharp)
        ratios.append(error(deconvolve(grey, estimate.kernel), sharp) / best)
        trusts.append(estimate.confidence)
        unblurred = error(grey, sharp) / best
        more = ""
        if args.refinements:
            kernels = refinements(frame, size if args.sized else None)
            refined.append([error(deconvolve(grey, one), sharp) / best for one in kernels])
            more = "  none {:.2f}, alternation {:.2f}, descent {:.2f}".format(*refined[-1])
        print(
            f"{name:18} {size:2} taps, noise {sigma:.3f}: ratio {ratios[-1]:6.2f} (not restored {unblurred:5.1f})  "
            f"found {estimate.kernel.shape[0]:2}  confidence {estimate.confidence:.2f}  {seconds[-1]:4.1f} s{more}",
            flush=True,
        )
    r = np.array(ratios)
    print(
        f"\n{len(r)} frames: mean ratio {r.mean():.2f}  median {np.median(r):.2f}  under 2 {(r < 2).mean():.0%}  "
        f"under 3 {(r < 3).mean():.0%}  worst {r.max():.2f};  "
        f"{np.median(seconds):.1f} s a frame, worst {max(seconds):.1f}"
    )
    if refined:
        means = np.array(refined).mean(0)
        print("mean ratio by refinement: none {:.2f}, alternation {:.2f}, descent {:.2f}".format(*means))
    calibration(np.array(trusts), r)


def refinements(frame: torch.Tensor, size: int | None) -> list[Array]:
    """The kernel chosen without refinement, and what the alternation and the descent make of it."""
    planes = [plane(frame)]
    chosen = BlindEstimator(size=size, refine=False)([frame]).kernel
    return [chosen, *(np.asarray(how(planes, chosen.astype(np.float32)), float) for how in (Variational(), Descent()))]


def calibration(trusts: Array, ratios: Array) -> None:
    """Print what came of each confidence, and whether more of it means a better kernel."""
    if len(ratios) > 2 and np.ptp(trusts) > 0:
        print(f"rank correlation of confidence and quality {-rank_correlation(trusts, ratios):.2f}")
    for low, high in ((0.0, 0.5), (0.5, 0.75), (0.75, 1.01)):
        part = ratios[(trusts >= low) & (trusts < high)]
        if len(part):
            print(
                f"confidence {low:.2f} to {min(high, 1):.2f}: {len(part):2} frames, ratio median {np.median(part):.2f} "
                f"mean {part.mean():.2f}, under 3 {(part < 3).mean():.0%}"
            )


def picture(number: int, folder: Path | None) -> tuple[str, Array]:
    """The number-th photograph in turn, (C, H, W) in [0, 1]."""
    if folder is not None:
        files = picture_files(folder)
        path = files[number % len(files)]
        return path.stem[:18], np.asarray(read_frames(path)[0].pixels.double().numpy()[:3])
    name = PICTURES[number % len(PICTURES)]
    if name == "sample":
        return name, np.asarray(read_frames(SAMPLE)[0].pixels.double().numpy())
    pixels = getattr(skimage.data, name)()
    pixels = np.asarray(pixels[0] if isinstance(pixels, tuple) else pixels) / 255
    return name, pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def degrade(scene: Array, kernel: Array, sigma: float, seed: int, side: int) -> tuple[torch.Tensor, Array]:
    """The frame that a camera stores of the middle of a scene, (C, h, w), and the luma of what it should show."""
    height, width = (min(n, side + k - 1) for n, k in zip(scene.shape[-2:], kernel.shape, strict=True))
    top, left = (scene.shape[-2] - height) // 2, (scene.shape[-1] - width) // 2
    part = torch.as_tensor(np.ascontiguousarray(scene[:, top : top + height, left : left + width]))
    frame = blur(part, kernel)
    noisy = frame.numpy() + np.random.default_rng(seed).normal(0, sigma, frame.shape)
    stored = torch.as_tensor(np.round(np.clip(noisy, 0, 1) * 65535) / 65535, dtype=torch.float32)
    before = [(k - 1) // 2 for k in kernel.shape]
    seen = luma(part)[before[0] : before[0] + frame.shape[-2], before[1] : before[1] + frame.shape[-1]]
    return stored, seen


def luma(frame: torch.Tensor) -> Array:
    planes = frame.double().numpy()
    return np.asarray(planes[0] if len(planes) == 1 else np.tensordot([0.299, 0.587, 0.114], planes, axes=1))


def deconvolve(blurred: Array, kernel: Array, weight: float = 2000.0, power: float = 0.8) -> Array:
    """The judge: hyper-Laplacian restoration by splitting (Krishnan and Fergus 2009) on a periodic extension."""
    pad = kernel.shape[0]
    y = np.pad(blurred, pad, mode="reflect")
    ramp = np.linspace(0.5, 1, pad)[:, None]
    for axis in (0, 1):
        y = np.moveaxis(y, axis, 0)
        first, last = y[:pad].copy(), y[-pad:].copy()
        y[:pad] = first * ramp + last[::-1] * (1 - ramp)
        y[-pad:] = (last[::-1] * ramp + first * (1 - ramp))[::-1]
        y = np.moveaxis(y, 0, axis)
    placed = np.zeros(y.shape)
    placed[: kernel.shape[0], : kernel.shape[1]] = kernel
    h = rfft2(np.roll(placed, (-(kernel.shape[0] // 2), -(kernel.shape[1] // 2)), (0, 1)))
    rows, columns = np.fft.fftfreq(y.shape[0])[:, None], np.fft.rfftfreq(y.shape[1])
    laplacian = 4 - 2 * np.cos(2 * np.pi * rows) - 2 * np.cos(2 * np.pi * columns)
    data, energy, x = np.conj(h) * rfft2(y), np.abs(h) ** 2, y
    for beta in 2.0 ** np.arange(9):
        gx, gy = (_shrink(np.roll(x, -1, axis) - x, beta, power) for axis in (1, 0))
        pull = np.roll(gx, 1, 1) - gx + np.roll(gy, 1, 0) - gy
        x = irfft2((weight * data + beta * rfft2(pull)) / (weight * energy + beta * laplacian), s=y.shape)
    return np.asarray(x[pad:-pad, pad:-pad])


def _shrink(v: Array, beta: float, power: float) -> Array:
    """Minimise |w|^power + beta / 2 (w - v)^2 pointwise by fixed-point iteration."""
    w = np.abs(v)
    for _ in range(6):
        w = np.maximum(np.abs(v) - power / beta * np.maximum(w, 1e-9) ** (power - 1), 0)
    return np.asarray(np.sign(v) * np.where(w**power + beta / 2 * (w - np.abs(v)) ** 2 < beta / 2 * v**2, w, 0))


def error(estimate: Array, truth: Array, border: int = 15, reach: int = 6) -> float:
    """Smallest sum of squared differences over shifts up to `reach` pixels, to a quarter of a pixel."""
    margin = border + reach
    inner, (height, width) = truth[margin:-margin, margin:-margin], estimate.shape

    def at(image: Array, i: int, j: int) -> float:
        return float(np.sum((image[margin + i : height - margin + i, margin + j : width - margin + j] - inner) ** 2))

    i, j = min(
        ((a, b) for a in range(-reach, reach + 1) for b in range(-reach, reach + 1)), key=lambda s: at(estimate, *s)
    )
    coefficients, parts = spline_filter(estimate, mode="mirror"), np.arange(-0.5, 0.51, 0.25)
    moved = (shift(coefficients, (-u, -v), mode="mirror", prefilter=False) for u in parts for v in parts if u or v)
    return min(at(estimate, i, j), *(at(image, i, j) for image in moved))


def rank_correlation(a: Array, b: Array) -> float:
    """Spearman's."""
    ranks = [np.argsort(np.argsort(v)).astype(float) for v in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


if __name__ == "__main__":
    main()
