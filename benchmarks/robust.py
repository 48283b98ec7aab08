"""Whether a method forgives as much as the default: `python benchmarks/robust.py [--limit 2] [--size 160]`.

The frames of `restore.py`, pictures of scikit-image's that are blurred with made kernels, each spoilt in one way:

    as it is          noise .01, the kernel known: nothing spoilt, for comparison
    noise 20/255      in the frame
    sigma / 2         noise .01, and half of it is told
    sigma * 2         the same, and twice that
    taps off by 5 %   the kernel's taps times 1 + .05 N(0, 1)
    5 % larger        the kernel that is told, resampled
    noise only        a gray frame with noise 20/255
    16 x 16           the frame's size; kernels up to 15 x 15

Every method sees every frame in turn. A row gives the mean PSNR over the frames, and by how much the first method is
above the second. The exit status is 1 where it is more than .3 dB below.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import restore
import scipy.ndimage
import torch
from restore import FULL_SCALE, Array, Case, middle, odd, photograph, picture

import deblur
from deblur import psf
from deblur.metrics import psnr

WORSE = 0.3  # dB
NOISE, LOUD = 0.01, 20 / 255


def off(kernel: Array, seed: int) -> Array:
    """The kernel with an error of 5 % in each tap."""
    taps = kernel * (1 + 0.05 * np.random.default_rng(seed).standard_normal(kernel.shape))
    return np.asarray(taps / taps.sum())


def larger(kernel: Array) -> Array:
    """The kernel (odd sides), 5 % larger about its middle, bilinearly."""
    wide = np.pad(kernel, max(kernel.shape) // 20 + 1)
    points = [(np.arange(length) - length // 2) / 1.05 + length // 2 for length in wide.shape]
    taps = scipy.ndimage.map_coordinates(wide, np.meshgrid(*points, indexing="ij"), order=1)
    return np.asarray(taps / taps.sum())


def frames(options: argparse.Namespace) -> Iterator[tuple[str, Case, float | str]]:
    """Every row's name, its frames with the kernel that is told, and the noise that is."""
    kernels = [odd(psf.make(spec)) for spec in restore.KERNELS]
    for seed, name in enumerate(restore.PICTURES[: options.limit]):
        sharp = middle(picture(name), options.size)
        for kernel in kernels:
            case = photograph(sharp, kernel, NOISE, seed)
            yield "as it is", case, "auto"
            yield "noise 20/255", photograph(sharp, kernel, LOUD, seed), "auto"
            yield "sigma / 2", case, NOISE / 2
            yield "sigma * 2", case, NOISE * 2
            yield "taps off by 5 %", dataclasses.replace(case, kernel=off(kernel, seed)), "auto"
            yield "5 % larger", dataclasses.replace(case, kernel=larger(kernel)), "auto"
            yield "noise only", photograph(np.full_like(sharp, 0.5), kernel, LOUD, seed), "auto"
            if max(kernel.shape) <= 15:
                rows, columns = (15 + taps for taps in kernel.shape)
                yield "16 x 16", photograph(middle(sharp, 64)[:rows, :columns], kernel, NOISE, seed), "auto"


def quality(method: str, case: Case, noise: float | str) -> float:
    """The PSNR of one method on one frame."""
    restored = deblur.apply(case.frame, case.kernel, method=method, noise=noise, transfer="linear")
    return psnr(restored / FULL_SCALE, case.truth)


def run(options: argparse.Namespace) -> dict[str, list[list[float]]]:
    """The PSNR of both methods on the frames of every row."""
    scores = defaultdict(list)
    for name, case, noise in frames(options):
        scores[name].append([quality(method, case, noise) for method in (options.method, options.beside)])
    return scores


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="flow", help="the one that is judged (default flow)")
    parser.add_argument("--beside", default="hyperlaplacian", help="its measure (default hyperlaplacian)")
    parser.add_argument("--limit", type=int, default=2, help="pictures at most (default 2; 8 are built in)")
    parser.add_argument("--size", type=int, default=160, help="side of the part of a picture that is taken")
    parser.add_argument("--threads", type=int, default=2, help="threads (default 2)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    print(f"{'PSNR, dB':<18}{'frames':>7}{options.method:>16}{options.beside:>16}{'difference':>12}{'worst':>8}")
    worse = 0
    for name, pairs in run(options).items():
        first, second = np.mean(pairs, axis=0)
        worst = min(a - b for a, b in pairs)
        missed = not first - second >= -WORSE  # what is not a number too
        worse += missed
        row = f"{name:<18}{len(pairs):>7}{first:>16.2f}{second:>16.2f}{first - second:>+12.2f}{worst:>+8.2f}"
        print(row + ("  MISSED" if missed else ""))
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
