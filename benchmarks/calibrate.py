"""Fit the weights by which kernels found blind are weighed, and say what they reach.

    python benchmarks/calibrate.py FOLDER [--frames 160] [--jobs 2] [--cache calibration/]
    python benchmarks/calibrate.py FOLDER --check 300 [--first 1000]

The first makes photographs as a camera does out of a folder of sharp ones (shakes, discs, lines, gaussians, no blur;
exposures beyond white, photon noise, JPEG of qualities 55 to 97), lets every kind of candidate look for the blur,
restores by each, and fits three things to what came of it, with each frame left out of what it is judged by: the
weights of the score, the probability of being better than the file, and the misfit of the taps. They go into
`deblur/finding/table.json` with their date and figures. Frames are kept in the cache, so that it goes on where it
stopped; it takes a minute of one processor a frame.

The second finds and restores frames that none of that has seen, and prints how the confidence that was said compares
with what came: five bins of equal count, Brier's score, the area under the curve.
"""

from __future__ import annotations

import argparse
import datetime
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from photographs import SRGB, photograph
from PIL import Image
from scipy.signal import fftconvolve

from deblur import ApplyOptions, FitOptions, estimate, psf, restore
from deblur.errors import DeblurError
from deblur.finding import SURE
from deblur.finding.candidates import KINDS, Candidate
from deblur.finding.gray import Gray
from deblur.finding.weighing import FEATURES, LIMITS, Weighing
from deblur.images import Frame
from deblur.psf import Kernel

Pixels = NDArray[np.float64]

TABLE = Path(__file__).parent.parent / "deblur" / "finding" / "table.json"
REACH, CUT = 10, 12
TRUE = "true"  # the kind of the kernel that blurred a frame: it teaches, and is never chosen
RIDGE = 0.05
LARGE = 7
FOLDS = 8


@dataclass(frozen=True)
class Made:
    """A photograph made of a sharp one: its blur, the frame as a camera stores it, the scene, its light blurred."""

    spec: str
    kernel: Pixels
    frame: Frame
    truth: Pixels


def made(folder: Path, number: int) -> Made:
    """Frame `number`, the same whenever it is asked for."""
    g = np.random.default_rng(1000 + number)
    kind = g.choice(["shake", "defocus", "motion", "gaussian", "none"], p=[0.36, 0.18, 0.16, 0.1, 0.2])
    spec = {
        "shake": f"shake:size={2 * int(np.exp(g.uniform(np.log(4), np.log(24)))) + 1},seed={int(g.integers(1, 10**6))}",
        "defocus": f"defocus:radius={np.exp(g.uniform(np.log(1.2), np.log(7))):.2f}",
        "motion": f"motion:length={np.exp(g.uniform(np.log(4), np.log(40))):.1f},angle={g.uniform(0, 180):.0f}",
        "gaussian": f"gaussian:sigma={np.exp(g.uniform(np.log(0.8), np.log(3))):.2f}",
        "none": "none",
    }[str(kind)]
    kernel = np.ones((1, 1)) if spec == "none" else psf.make(spec)
    gain = float(g.choice([0.4, 1.0, 1.0, 1.5, 2.5]))
    noise, quality = float(np.exp(g.uniform(np.log(0.004), np.log(0.03)))), int(g.integers(55, 98))
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    side = int(g.choice([200, 256, 300]))
    if number % 8 == LARGE:  # a large shake in a larger frame of little noise
        spec = f"shake:size={2 * int(g.integers(14, 36)) + 1},seed={int(g.integers(1, 10**6))}"
        kernel, side, noise, quality = psf.make(spec), 480, 0.004, 98
    rows, columns = (side + n - 1 for n in kernel.shape)
    while True:
        with Image.open(files[int(g.integers(len(files)))]) as opened:
            picture = opened.convert("RGB")
        if picture.height >= rows and picture.width >= columns:
            break
    smaller = min(g.uniform(1, 2.2), picture.height / rows, picture.width / columns)
    size = max(columns, round(picture.width / smaller)), max(rows, round(picture.height / smaller))
    values = np.asarray(picture.resize(size, Image.Resampling.LANCZOS), float) / 255
    top, left = (int(g.integers(0, n - m + 1)) for n, m in zip(values.shape, (rows, columns), strict=False))
    part = values[top : top + rows, left : left + columns]
    frame, truth = photograph(part, kernel, gain, noise, quality, number)
    return Made(spec, kernel, frame, truth)


def rows_of(folder: Path, number: int) -> dict[str, Any] | None:
    """What every candidate of a frame shows, what restoring by it gained, how far its taps are off."""
    torch.set_num_threads(1)
    one, options = made(folder, number), ApplyOptions(threads=1)
    try:
        gray = Gray.of(one.frame, options)
        found = [each for look in KINDS.values() for each in look(gray, FitOptions(threads=1), None)]
        found.append(Candidate(kernel=Kernel(one.kernel), kind=TRUE, free=one.spec.startswith("shake")))
    except DeblurError as refused:
        print(f"{number}: {refused}", flush=True)
        return None
    file = psnr(values_of(one.frame.pixels), one.truth)
    rows = []
    weigh = Weighing(gray, options)
    for candidate in found:
        numbers = {name: float(np.clip(value, *LIMITS[name])) for name, value in weigh.shown(candidate).items()}
        if not numbers:
            continue
        result = restore(one.frame, candidate.kernel, ApplyOptions(method="hyperlaplacian", trust="none", threads=1))
        gain = psnr(values_of(result.image), one.truth, REACH) - file
        off = taps_off(one, candidate.kernel.taps)
        taps = candidate.kernel.taps.round(6).tolist()
        rows.append({"kind": candidate.kind, "shown": numbers, "gain": gain, "misfit": off, "taps": taps})
    print(
        f"{number} {one.spec}: {file:.2f} dB, " + ", ".join(f"{r['kind']} {r['gain']:+.2f}" for r in rows), flush=True
    )
    return {"number": number, "spec": one.spec, "rows": rows}


def values_of(pixels: torch.Tensor) -> Pixels:
    return pixels.clamp(0, 1).double().movedim(0, -1).numpy()


def psnr(picture: Pixels, truth: Pixels, reach: int = 0) -> float:
    """At the best whole-pixel shift, without the border."""
    m = CUT + reach
    inner = truth[m:-m, m:-m]
    height, width = truth.shape[:2]
    shifts = [(i, j) for i in range(-reach, reach + 1) for j in range(-reach, reach + 1)]

    def error(at: tuple[int, int], step: int) -> float:
        part = picture[m + at[0] : height - m + at[0] : step, m + at[1] : width - m + at[1] : step]
        return float(np.mean((part - inner[::step, ::step]) ** 2))

    return -10 * float(np.log10(max(error(min(shifts, key=lambda at: error(at, 3)), 1), 1e-12)))


def taps_off(one: Made, taps: Pixels) -> float:
    """What the true scene blurred by other taps misses the frame by, at the best shift, as a share of its span."""
    light = SRGB.decode(torch.from_numpy(one.truth.mean(-1))).numpy()
    true, other = (
        SRGB.encode(torch.from_numpy(fftconvolve(light, k, "same").clip(0))).numpy() for k in (one.kernel, taps)
    )
    span = np.quantile(true, 0.999) - np.quantile(true, 0.001)
    return float(10 ** (-psnr(other[..., None], true[..., None], REACH) / 20) / max(span, 1e-3))


def fitted(frames: list[dict[str, Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The weights of the score, and slope and offset of the probability: regressions of pairs, and of gains."""
    z, better, weight = [], [], []
    for frame in frames:
        x = np.array([[r["shown"][name] for name in FEATURES] for r in frame["rows"]] + [[0.0] * len(FEATURES)])
        gain = np.array([r["gain"] for r in frame["rows"]] + [0.0])
        for i in range(len(gain)):
            for j in range(i):
                if abs(gain[i] - gain[j]) < 0.1:
                    continue
                none = len(gain) - 1 in (i, j)
                lost = none and gain[i] + gain[j] < 0
                z.append(x[i] - x[j])
                better.append(gain[i] > gain[j])
                weight.append(min(abs(gain[i] - gain[j]), 3.0) * (3.0 if none else 1.0) * (1 + lost) / len(gain))
    weights = logistic(np.array(z), np.array(better, float), np.array(weight), RIDGE * len(frames))
    chosen = np.array([best(frame, weights) for frame in frames])
    line = logistic(np.c_[chosen[:, :1], np.ones(len(chosen))], chosen[:, 1] > 0, np.ones(len(chosen)), 0.5)
    return weights, line


def best(frame: dict[str, Any], weights: NDArray[np.float64]) -> tuple[float, float]:
    """Score and gain of the candidate of most score."""
    rows = [r for r in frame["rows"] if r["kind"] != TRUE]
    return max((float(weights @ [r["shown"][name] for name in FEATURES]), float(r["gain"])) for r in rows)


def logistic(
    x: NDArray[np.float64], target: NDArray[np.float64], weight: NDArray[np.float64], ridge: float
) -> NDArray[np.float64]:
    """Weights of a logistic regression without an offset, each column in units of its size, by Newton's steps."""
    size = np.sqrt((x**2).mean(0)) + 1e-9
    x, w = x / size, np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ w))
        slope = x.T @ (weight * (p - target)) + ridge * w
        bend = (x * (weight * p * (1 - p))[:, None]).T @ x + ridge * np.eye(len(w))
        w = w - np.linalg.solve(bend, slope)
    return w / size


def misfits(frames: list[dict[str, Any]]) -> NDArray[np.float64]:
    """The logarithm of the misfit as a linear function of what is shown: of candidates that would be taken."""
    rows = [r for frame in frames for r in frame["rows"] if r["gain"] > 0 and r["kind"] != TRUE]
    x = np.array([[1.0, *(r["shown"][name] for name in FEATURES)] for r in rows])
    y = np.log(np.maximum([r["misfit"] for r in rows], 1e-3))
    return np.linalg.solve(x.T @ x + np.diag([1e-6, *[1.0] * len(FEATURES)]), x.T @ y)


def figures(said: NDArray[np.float64], gained: NDArray[np.bool_]) -> dict[str, Any]:
    """How probabilities that were said compare with what came."""
    bins = [part for part in np.array_split(np.argsort(said), 5) if len(part)]
    apart = float(np.mean([abs(said[part].mean() - gained[part].mean()) for part in bins]))
    good, bad = said[gained], said[~gained]
    area = float(((good[:, None] > bad) + 0.5 * (good[:, None] == bad)).mean()) if len(good) and len(bad) else 1.0
    return {
        "frames": len(said),
        "bins": [[round(float(said[p].mean()), 2), round(float(gained[p].mean()), 2)] for p in bins],
        "apart": round(apart, 3),
        "brier": round(float(np.mean((said - gained) ** 2)), 3),
        "area": round(area, 3),
    }


def judged(frames: list[dict[str, Any]]) -> dict[str, Any]:
    """What the fit reaches on frames that were left out of it."""
    said, gains, ideal = [], [], []
    for fold in range(FOLDS):
        weights, line = fitted([frame for n, frame in enumerate(frames) if n % FOLDS != fold])
        for frame in frames[fold::FOLDS]:
            score, gain = best(frame, weights)
            said.append(1 / (1 + np.exp(-(line @ [score, 1.0]))))
            gains.append(gain)
            ideal.append(max([0.0, *(r["gain"] for r in frame["rows"] if r["kind"] != TRUE)]))
    sure, gain = np.array(said), np.array(gains)
    taken = np.where(sure >= SURE, gain, 0.0)
    return figures(sure, gain > 0) | {
        "gain": round(float(taken.mean()), 2),
        "gain of the best": round(float(np.mean(ideal)), 2),
        "worse": int((taken < -0.1).sum()),
        "worst": round(float(taken.min()), 2),
    }


def checked(folder: Path, number: int) -> tuple[float, float] | None:
    """What was said of a frame that is new, and what came of it."""
    torch.set_num_threads(1)
    one = made(folder, number)
    try:
        found = estimate(one.frame, FitOptions(threads=1))
        result = restore(one.frame, found.kernel, ApplyOptions(threads=1))
    except DeblurError as refused:
        print(f"{number}: {refused}", flush=True)
        return None
    gain = psnr(values_of(result.image), one.truth, REACH) - psnr(values_of(one.frame.pixels), one.truth)
    exact = 0.0
    if one.spec != "none":
        known = restore(one.frame, np.ascontiguousarray(one.kernel), ApplyOptions(threads=1))
        exact = psnr(values_of(known.image), one.truth) - psnr(values_of(one.frame.pixels), one.truth)
    print(
        f"{number} {one.spec}: {found.kernel.source} {found.kernel.shape[0]} taps, confidence {found.confidence:.2f}, "
        f"{gain:+.2f} dB, by the true kernel {exact:+.2f}; {found.seconds:.0f} s",
        flush=True,
    )
    return found.confidence, gain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=160)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path("calibration"))
    parser.add_argument("--check", type=int, default=0, help="frames that are found and restored, nothing is fitted")
    args = parser.parse_args()
    with ProcessPoolExecutor(args.jobs) as pool:
        if args.check:
            numbers = range(max(args.first, 1000), max(args.first, 1000) + args.check)
            told = [one for one in pool.map(partial(checked, args.folder), numbers) if one is not None]
            said, gain = np.array(told).T
            print(
                json.dumps(figures(said, gain > 0) | {"gain": gain.mean().round(2), "worse": int((gain < -0.1).sum())})
            )
            return
        args.cache.mkdir(exist_ok=True)
        numbers = range(args.first, args.first + args.frames)
        missing = [n for n in numbers if not (args.cache / f"{n}.json").exists()]
        for number, frame in zip(missing, pool.map(partial(rows_of, args.folder), missing), strict=True):
            (args.cache / f"{number}.json").write_text(json.dumps(frame))
    read = [json.loads((args.cache / f"{n}.json").read_text()) for n in numbers]
    frames = [frame for frame in read if frame is not None]
    table = table_of([frame for frame in frames if any(r["kind"] != TRUE for r in frame["rows"])])
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    print(json.dumps(table["left out"]))


def table_of(frames: list[dict[str, Any]]) -> dict[str, Any]:
    """What goes into the package."""
    weights, (slope, offset) = fitted(frames)
    off = misfits(frames)
    return {
        "date": datetime.date.today().isoformat(),
        "weights": dict(zip(FEATURES, weights.round(4).tolist(), strict=True)),
        "confidence": [round(float(slope), 4), round(float(offset), 4)],
        "misfit": dict(zip(("offset", *FEATURES), off.round(4).tolist(), strict=True)),
        "left out": judged(frames),
    }


if __name__ == "__main__":
    main()
