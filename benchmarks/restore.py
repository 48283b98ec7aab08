"""The methods beside their peers on the same frames: `python benchmarks/restore.py [--method wiener,tv] [--limit 8]`.

Pictures that scikit-image ships, and the sample of this repository, are blurred as a camera does (the valid part of the
convolution, white noise, 16 bits) with made kernels. Every contender sees every frame in turn; the table gives the mean
PSNR and SSIM over the whole frame, border included, for each noise level, and the median of the seconds a frame takes.

Peers, from skimage.restoration, on the frame grown by reflection, each colour channel by itself:

    wiener               its balance chosen by oracle, the best of 9 against the truth: more than a user can have
    unsupervised_wiener  estimates its own balance
    richardson_lucy      the best of 10, 30 and 100 steps, by oracle too

A peer's time is that of the one run that was chosen. `deblur` estimates the noise itself and is not told the truth.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import skimage.restoration
import torch
from numpy.typing import NDArray

import deblur
from deblur import psf
from deblur.errors import UnstableInverseError
from deblur.images import read_frames
from deblur.metrics import common_part, psnr, ssim
from deblur.psf.operator import blur
from deblur.restoration import RESTORERS
from deblur.restoration.auto import DEFAULT_METHOD

Array = NDArray[np.float64]
Contender = Callable[["Case"], tuple[Array, float]]  # the restored frame and the seconds it took

SAMPLE = Path(__file__).parent.parent / "samples" / "truth.png"
PICTURES = ("camera", "sample", "coins", "astronaut", "page", "coffee", "moon", "chelsea")
KERNELS = (
    "shake:size=15,seed=1",
    "shake:size=25,seed=2",
    "motion:length=13,angle=30",
    "defocus:radius=3",
    "gaussian:sigma=1.5",
)
FULL_SCALE = 65535
THEIRS: Any = skimage.restoration  # which has no types


@dataclass(frozen=True)
class Case:
    """One frame to restore.

    Attributes:
        frame: (H, W) or (H, W, 3), blurred.
        kernel: (kh, kw), both odd.
        truth: what a camera would have seen without the blur, as large as the frame, in [0, 1].
    """

    frame: NDArray[np.uint16]
    kernel: Array
    truth: Array


def picture(name: str) -> Array:
    """A picture of scikit-image's, or the sample, in [0, 1]."""
    return from_file(SAMPLE) if name == "sample" else np.asarray(getattr(skimage.data, name)()) / 255


def from_file(path: Path) -> Array:
    pixels = read_frames(path)[0].pixels.double().movedim(0, 2).numpy()
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def picture_files(folder: Path) -> list[Path]:
    """The pictures in a folder, by name."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg", ".tif", ".tiff"))


def middle(image: Array, side: int) -> Array:
    """The middle of a picture, at most `side` pixels a side."""
    top, left = (max(0, length - side) // 2 for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def odd(kernel: Array) -> Array:
    """A kernel grown to odd sides by zeros at its end, which leaves its origin where it is and every peer agrees on."""
    if kernel.ndim != 2:
        raise SystemExit(f"expected one kernel for all channels, got an array {kernel.shape}")
    return np.pad(kernel, [(0, 1 - length % 2) for length in kernel.shape])


def photograph(sharp: Array, kernel: Array, sigma: float, seed: int) -> Case:
    planes = torch.from_numpy(np.moveaxis(np.atleast_3d(sharp), 2, 0).copy())
    blurred = blur(planes, kernel).movedim(0, 2).numpy()
    noisy = blurred + np.random.default_rng(seed).normal(0, sigma, blurred.shape)
    frame = np.round(np.clip(noisy, 0, 1) * FULL_SCALE).astype(np.uint16).reshape(*noisy.shape[: sharp.ndim])
    return Case(frame, kernel, common_part(frame, sharp)[1])


def ours(method: str, case: Case) -> tuple[Array, float]:
    start = time.perf_counter()
    restored = deblur.apply(case.frame, case.kernel, method=method, transfer="linear")
    return restored / FULL_SCALE, time.perf_counter() - start


def peer(runs: list[Callable[[Array, Array], Array]], case: Case) -> tuple[Array, float]:
    """The best of the runs, all of which get the frame (H, W) grown by the kernel's size, and the kernel."""
    (rows, columns), (height, width) = case.kernel.shape, case.truth.shape[:2]
    channels = np.moveaxis(np.atleast_3d(case.frame / FULL_SCALE), 2, 0)
    grown = [np.pad(channel, ((rows, rows), (columns, columns)), mode="reflect") for channel in channels]
    results = []
    for run in runs:
        start = time.perf_counter()
        restored = np.stack([run(channel, case.kernel) for channel in grown], -1)
        seconds = time.perf_counter() - start
        inner = restored[rows : rows + height, columns : columns + width].reshape(case.truth.shape)
        results.append((inner, seconds))
    return max(results, key=lambda result: psnr(result[0], case.truth))


def wiener(balance: float, image: Array, kernel: Array) -> Array:
    result: Array = THEIRS.wiener(image, kernel, balance, clip=False)
    return result


def unsupervised_wiener(image: Array, kernel: Array) -> Array:
    result: Array = THEIRS.unsupervised_wiener(image, kernel, clip=False, rng=0)[0]
    return result


def richardson_lucy(steps: int, image: Array, kernel: Array) -> Array:
    positive = np.clip(image, 1e-6, None)
    result: Array = THEIRS.richardson_lucy(positive, kernel, steps, clip=False)
    return result


PEERS: dict[str, Contender] = {
    "skimage wiener (oracle)": partial(peer, [partial(wiener, b) for b in 10.0 ** np.arange(-3, 1.01, 0.5)]),
    "skimage unsupervised_wiener": partial(peer, [unsupervised_wiener]),
    "skimage richardson_lucy (oracle)": partial(peer, [partial(richardson_lucy, steps) for steps in (10, 30, 100)]),
}


def cases(options: argparse.Namespace) -> Iterator[tuple[float, Case]]:
    """Every picture with every kernel at every noise level."""
    if options.images:
        paths = sorted(path for path in Path(options.images).iterdir() if path.is_file())[: options.limit]
        pictures = [from_file(path) for path in paths]
    else:
        pictures = [picture(name) for name in PICTURES[: options.limit]]
    if options.kernels:
        kernels = [psf.read(path) for path in sorted(Path(options.kernels).glob("*.npy"))]
    else:
        kernels = [psf.make(spec) for spec in KERNELS]
    for seed, sharp in enumerate(pictures):
        for kernel in map(odd, kernels):
            for sigma in options.sigma:
                yield sigma, photograph(middle(sharp, options.size), kernel, sigma, seed)


class Scores:
    """PSNR, SSIM and seconds of every contender on every frame."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, float], list[tuple[float, float]]] = defaultdict(list)
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.refused: dict[str, int] = defaultdict(int)
        self.frames = 0

    def add(self, name: str, sigma: float, estimate: Array, truth: Array, seconds: float) -> None:
        """Judge one estimate."""
        self.values[name, sigma].append((psnr(estimate, truth), ssim(estimate, truth)))
        self.seconds[name].append(seconds)

    def table(self, sigmas: list[float]) -> str:
        """One row a contender: means over the frames of each noise level, median seconds over all."""
        lines = [f"{'':<34}" + "".join(f"{f'sigma {sigma:g}':>18}" for sigma in sigmas)]
        lines.append(f"{'':<34}" + f"{'PSNR, dB':>10}{'SSIM':>8}" * len(sigmas) + f"{'s a frame':>12}")
        for name in dict.fromkeys([*self.seconds, *self.refused]):
            if self.refused[name]:  # its mean over other frames than the rest's would compare nothing
                lines.append(f"{name:<34}  refuses {self.refused[name]} of {self.frames} frames: no stable inverse")
                continue
            means = (np.mean(self.values[name, sigma], axis=0) for sigma in sigmas)
            scores = "".join(f"{quality:>10.2f}{similarity:>8.3f}" for quality, similarity in means)
            lines.append(f"{name:<34}{scores}{np.median(self.seconds[name]):>12.2f}")
        return "\n".join(lines)


def label(method: str) -> str:
    return f"deblur {method} (default)" if method == DEFAULT_METHOD else f"deblur {method}"


def run(options: argparse.Namespace) -> Scores:
    methods = list(RESTORERS) if options.method == "all" else options.method.split(",")
    contenders = {label(method): partial(ours, method) for method in methods} | PEERS
    scores = Scores()
    warm = photograph(picture("camera")[:64, :64], psf.make("gaussian:sigma=1"), 0.01, 0)
    for contender in contenders.values():  # what is loaded once is no frame's cost
        with contextlib.suppress(UnstableInverseError):
            contender(warm)
    for sigma, case in cases(options):
        scores.frames += 1
        scores.add("blurred", sigma, case.frame / FULL_SCALE, case.truth, 0.0)
        for name, contender in contenders.items():
            try:
                estimate, seconds = contender(case)
            except UnstableInverseError:
                scores.refused[name] += 1
                continue
            scores.add(name, sigma, estimate, case.truth, seconds)
    return scores


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", help="a folder of pictures instead of those named above")
    parser.add_argument("--kernels", help="a folder of .npy kernels instead of the made ones")
    parser.add_argument("--limit", type=int, default=3, help="pictures at most (default 3; 8 are built in)")
    parser.add_argument("--size", type=int, default=256, help="side of the part of a picture that is taken")
    parser.add_argument("--sigma", type=float, nargs="+", default=[0.01, 0.003], help="noise levels of full scale 1")
    parser.add_argument("--method", default="all", help=f"with commas, of {', '.join(RESTORERS)} (default all)")
    parser.add_argument("--threads", type=int, default=2, help="threads of deblur; the peers have one (default 2)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    scores = run(options)
    print(f"{scores.frames} frames of at most {options.size} pixels a side, {options.threads} threads\n")
    print(scores.table(options.sigma))


if __name__ == "__main__":
    main()
