"""Restorations of photographs as a camera makes them, beside scikit-image's Richardson-Lucy in light.

Sharp pictures get twelve scenarios in turn: a kernel, an exposure at which parts of the scene are brighter than white,
photon noise, the sRGB curve, JPEG with colour at half size. All are restored with the true kernel, everything else left
to the program; PSNR and SSIM are of stored values. `worse` counts pictures that come out over .1 dB below the file.

    python benchmarks/photographs.py --images FOLDER [--limit 12] [--side 400] [--methods auto,wiener,rl]
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import data
from skimage.metrics import structural_similarity
from skimage.restoration import richardson_lucy

from deblur import ApplyOptions, restore
from deblur.images import Frame, read_frames
from deblur.psf import make
from deblur.psf.operator import blur
from deblur.transfer import TRANSFERS

Pixels = NDArray[np.float64]

SRGB = TRANSFERS["srgb"]
SCENARIOS = [  # kernel, light beyond white, noise of white in light, JPEG quality
    ("shake:size=23,seed=3", 1.0, 0.010, 92),
    ("defocus:radius=4", 1.0, 0.010, 92),
    ("shake:size=35,seed=11", 2.0, 0.010, 92),
    ("motion:length=21,angle=30", 1.0, 0.015, 90),
    ("shake:size=15,seed=5", 0.25, 0.020, 92),
    ("defocus:radius=6.5", 2.5, 0.010, 92),
    ("gaussian:sigma=1.8", 1.0, 0.008, 95),
    ("shake:size=61,seed=21", 1.0, 0.008, 92),
    ("shake:size=27,seed=8", 1.0, 0.010, 70),
    ("defocus:radius=3", 1.6, 0.015, 85),
    ("shake:size=45,seed=15", 2.0, 0.015, 92),
    ("motion:length=39,angle=100", 1.0, 0.010, 92),
]
_CUT = 12


def photograph(
    sharp: Pixels, kernel: Pixels, gain: float, noise: float, quality: int, seed: int
) -> tuple[Frame, Pixels]:
    """A blurred photograph (H, W, 3) as a camera's JPEG, and what it would show without the blur."""
    light = SRGB.decode(torch.from_numpy(sharp).movedim(-1, 0))
    light *= gain if gain <= 1 else 1 + (gain - 1) * ((light - 0.6) / 0.4).clamp(0, 1) ** 2
    seen = blur(light, kernel).numpy().clip(0)
    generator = np.random.default_rng(seed)
    counts = generator.poisson(seen / noise**2) * noise**2 + generator.normal(0, 0.15 * noise, seen.shape)
    stored = SRGB.encode(torch.from_numpy(counts.clip(0, 1))).movedim(0, -1).numpy()
    file = io.BytesIO()
    Image.fromarray(np.rint(255 * stored).astype(np.uint8)).save(file, "JPEG", quality=quality, subsampling=2)
    top, left = ((side - 1) // 2 for side in kernel.shape)
    truth = SRGB.encode(light.clamp(0, 1)).movedim(0, -1).numpy()
    return read_frames(file.getvalue())[0], truth[top : top + seen.shape[1], left : left + seen.shape[2]]


def peer(frame: Frame, kernel: Pixels) -> Pixels:
    """scikit-image's Richardson-Lucy in light, 30 steps, the border reflected."""
    light, pad = SRGB.decode(frame.pixels.double()).numpy(), max(kernel.shape)
    grown = np.pad(light, ((0, 0), (pad, pad), (pad, pad)), mode="reflect").clip(1e-4)
    restored = np.stack([richardson_lucy(plane, kernel, 30, clip=False) for plane in grown])[:, pad:-pad, pad:-pad]
    return SRGB.encode(torch.from_numpy(restored)).movedim(0, -1).numpy()


def scored(pixels: Pixels, truth: Pixels) -> tuple[float, float]:
    """PSNR and SSIM of stored values, without the border."""
    a, b = (picture[_CUT:-_CUT, _CUT:-_CUT] for picture in (np.rint(255 * pixels.clip(0, 1)) / 255, truth))
    return -10 * np.log10(np.mean((a - b) ** 2)), structural_similarity(a, b, channel_axis=-1, data_range=1.0)


def main() -> None:
    """Print a row for every picture, and the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", help="folder of sharp pictures; scikit-image's own if left out")
    parser.add_argument("--limit", type=int, default=12)
    parser.add_argument("--side", type=int, default=0, help="take the middle of so many pixels a side")
    parser.add_argument("--methods", default="auto,wiener,rl")
    args = parser.parse_args()
    if args.images is None:
        pictures = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    else:
        files = sorted(p for p in Path(args.images).iterdir() if p.suffix.lower() in (".png", ".jpg"))
        pictures = [np.asarray(Image.open(file).convert("RGB")) for file in files[: args.limit]]
    rows: dict[str, list[tuple[float, float]]] = {}
    for number, picture in enumerate(pictures[: args.limit]):
        name, *light = SCENARIOS[number % len(SCENARIOS)]
        side = args.side or max(picture.shape)
        top, left = ((n - min(n, side)) // 2 for n in picture.shape[:2])
        kernel = make(name)
        frame, truth = photograph(picture[top : top + side, left : left + side] / 255, kernel, *light, number)
        results = {"blurred": frame.pixels.movedim(0, -1).double().numpy(), "scikit-image RL, 30": peer(frame, kernel)}
        for method in args.methods.split(","):
            results[method] = restore(frame, kernel, ApplyOptions(method=method)).image.movedim(0, -1).double().numpy()
        for label, pixels in results.items():
            rows.setdefault(label, []).append(scored(pixels, truth))
        print(f"{name}: " + ", ".join(f"{label} {rows[label][-1][0]:.2f}" for label in results), flush=True)
    print(f"\n{'':22}   PSNR   SSIM  worse than the file")
    before = np.array(rows["blurred"])[:, 0]
    for label, values in rows.items():
        means = np.mean(values, 0)
        worse = int((np.array(values)[:, 0] < before - 0.1).sum())
        print(f"{label:22}  {means[0]:.2f}   {means[1]:.3f}  {worse} of {len(values)}")


if __name__ == "__main__":
    main()
