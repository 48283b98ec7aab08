"""What knowing a JPEG's own error is worth to a restoration: PSNR by the factor with which that error counts.

Photographs blurred in light by shakes, discs and lines, with photon noise and the sRGB curve, saved as JPEG of several
qualities with colour at half size, restored by `hyperlaplacian` with the true kernel: as the highest frequencies show
the noise (`shown`), and told sqrt(shown^2 + coded^2) times several factors, `coded` being `deblur.jpeg_error`'s.
"""

from __future__ import annotations

import argparse
import io
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data

from deblur import ApplyOptions, restore
from deblur.images import Frame, read_frames
from deblur.jpeg_error import CORRELATION, jpeg_sigma
from deblur.metrics import psnr
from deblur.noise import estimate_sigma
from deblur.psf import make
from deblur.psf.operator import blur
from deblur.transfer import TRANSFERS

KERNELS = ("shake:size=23,seed=3", "defocus:radius=4", "motion:length=21,angle=30", "gaussian:sigma=1.8")
QUALITIES = (95, 92, 85, 70)
FACTORS = (1.0, CORRELATION, 2.0)
SRGB = TRANSFERS["srgb"]
_CUT = 12


def photograph(sharp: torch.Tensor, kernel: np.ndarray, quality: int, seed: int) -> tuple[Frame, torch.Tensor]:
    """A blurred photograph as a camera's JPEG, and what it would show without the blur, (3, H, W)."""
    light = blur(SRGB.decode(sharp.clone()), kernel)
    generator = torch.Generator().manual_seed(seed)
    noisy = light + (1e-4 * light + 1e-6).sqrt() * torch.randn(light.shape, generator=generator)
    stored = SRGB.encode(noisy.clamp(0, 1)).movedim(0, -1).numpy()
    file = io.BytesIO()
    Image.fromarray(np.rint(255 * stored).astype(np.uint8)).save(file, "JPEG", quality=quality, subsampling=2)
    top, left = ((side - 1) // 2 for side in kernel.shape)
    truth = sharp[:, top : top + light.shape[1], left : left + light.shape[2]]
    return read_frames(file.getvalue())[0], truth


def pictures(folder: str | None, limit: int, side: int) -> list[torch.Tensor]:
    """Sharp photographs (3, H, W), the middle of each."""
    if folder is None:
        arrays = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    else:
        files = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in (".png", ".jpg"))
        arrays = [np.asarray(Image.open(file).convert("RGB")) for file in files[:limit]]
    found = []
    for array in arrays[:limit]:
        top, left = ((n - min(n, side)) // 2 for n in array.shape[:2])
        found.append(torch.from_numpy(array[top : top + side, left : left + side] / 255).movedim(-1, 0).float())
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", help="a folder of photographs instead of scikit-image's")
    parser.add_argument("--limit", type=int, default=4, help="photographs at most (default 4)")
    parser.add_argument("--side", type=int, default=300, help="pixels a side of the part that is taken (default 300)")
    parser.add_argument("--threads", type=int, default=2, help="threads (default 2)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    inner = (slice(None), slice(_CUT, -_CUT), slice(_CUT, -_CUT))
    names = ["file", "shown", *(f"x {factor:g}" for factor in FACTORS)]
    total: list[list[float]] = []
    print(f"{'photograph':32}{'coded':>8}{'shown':>8}" + "".join(f"{name:>8}" for name in names))
    for number, sharp in enumerate(pictures(options.images, options.limit, options.side)):
        for spec, quality in zip(KERNELS, QUALITIES, strict=True):
            kernel = make(spec)
            frame, truth = photograph(sharp, kernel, quality, number)
            coded, shown = jpeg_sigma(frame), estimate_sigma(frame.pixels)
            levels = [shown, *(factor * math.hypot(shown, coded) for factor in FACTORS)]
            made = [
                restore(frame, kernel, ApplyOptions(method="hyperlaplacian", noise=level)).image for level in levels
            ]
            total.append([psnr(image.clamp(0, 1)[inner], truth[inner]) for image in (frame.pixels, *made)])
            print(
                f"{f'{number} {spec} q{quality}':32}{255 * coded:8.2f}{255 * shown:8.2f}"
                + "".join(f"{value:8.2f}" for value in total[-1]),
                flush=True,
            )
    print(f"{'mean':48}" + "".join(f"{value:8.2f}" for value in np.mean(total, 0)))


if __name__ == "__main__":
    main()
