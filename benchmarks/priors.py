"""What each part of the learned prior is worth: `python benchmarks/priors.py FOLDER --images SET12 --kernels KERNELS`.

Every variant is trained on FOLDER from the same seed for the same number of steps, by the recipe of
configs/priors/photographs.yaml made smaller, and then

    denoises the middle of --images with noise of 10, 25 and 50 / 255, by Tweedie's formula
    restores them, blurred with --kernels (the valid part of the convolution, white noise of 0.01)

The table gives mean PSNRs, bits per dim on what was held out where the density is exact, and the processor's seconds of
train_prior. `hyperlaplacian` restores the same frames, and with --file a prior trained for longer does. `--also OTHER`
trains the first variant on another folder too: what other pictures are worth.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from restore import Array, Case, from_file, middle, odd, photograph, picture_files

import deblur
from deblur.cli.jobs import train_prior
from deblur.flows import checkpoint
from deblur.metrics import psnr
from deblur.restoration.priors.flow import denoised

RECIPE = Path(__file__).parent.parent / "configs" / "priors" / "photographs.yaml"
SIGMA = 0.01
FEATURES: dict[str, Any] = {"architecture": "image_prior", "steps": 5, "features": 64}
HALVES: dict[str, Any] = {"architecture": "image_flow", "steps": 8, "hidden": 96}
LIKELIHOOD = {"likelihood": 1.0, "weight": 0.0}
BOTH = {"likelihood": 1.0, "weight": 0.5}
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "features, masked whitening, score": (FEATURES, {}),
    "  and an InverseConv a step": ({**FEATURES, "inverse_convs": True}, {}),
    "  DCT whitening": ({**FEATURES, "whitening": "dct"}, {}),
    "  no whitening": ({**FEATURES, "whitening": "none"}, {}),
    "halves, likelihood": (HALVES, LIKELIHOOD),
    "halves, likelihood and score": (HALVES, BOTH),
    "halves, score": (HALVES, {}),
}


def recipe(model: dict[str, Any], objective: dict[str, float], steps: int) -> dict[str, Any]:
    """The shipped prior's recipe with this model and objective, and so many steps."""
    made: dict[str, Any] = yaml.safe_load(RECIPE.read_text())
    made["model"] = model
    made["objective"] = {**made["objective"], **objective}
    made["data"] = {**made["data"], "crop": 48, "factors": [1.4, 2, 3, 4, 6], "light": 0.0, "validation": 0.05}
    made["training"]["batch"] = 8
    every = {"validate_every": steps, "checkpoint_every": steps, "log_every": steps, "samples": 0, "warmup": 200}
    made["training"] = {**made["training"], **every, "steps": steps, "optimizer": {"name": "adam", "lr": 2e-3}}
    return made


def train(folder: str, made: dict[str, Any], threads: int | None) -> tuple[Path, dict[str, float], float]:
    """The prior, its figures on what was held out, and the processor's seconds."""
    place = Path(tempfile.mkdtemp())
    (place / "recipe.yaml").write_text(yaml.safe_dump(made))
    start = time.process_time()
    train_prior.run([folder], str(place / "recipe.yaml"), str(place / "prior.pt"), threads=threads)
    seconds = time.process_time() - start
    return place / "prior.pt", checkpoint.load(place / "prior.pt").extra["figures"], seconds


def pictures(images: str, limit: int, side: int) -> list[Array]:
    return [middle(from_file(path), side) for path in picture_files(Path(images))[:limit]]


def frames(sharp: list[Array], kernels: str) -> list[Case]:
    taps = [odd(np.load(p).astype(float)) for p in sorted(Path(kernels).glob("*.npy"))]
    return [
        photograph(picture, kernel / kernel.sum(), SIGMA, seed) for kernel in taps for seed, picture in enumerate(sharp)
    ]


def denoised_psnr(sharp: list[Array], level: int, file: str) -> float:
    scores = []
    for seed, picture in enumerate(sharp):
        noisy = picture + np.random.default_rng(seed).normal(0, level / 255, picture.shape)
        image = denoised(torch.from_numpy(noisy).float()[None], level / 255, file)
        scores.append(psnr(image[0].double().clamp(0, 1).numpy(), picture))
    return float(np.mean(scores))


def restored(cases: list[Case], method: str, settings: dict[str, Any]) -> float:
    """Mean PSNR; the noise is told."""
    options = {"method": method, "noise": SIGMA, "transfer": "linear", "settings": settings}
    return float(np.mean([psnr(deblur.apply(c.frame, c.kernel, **options) / 65535, c.truth) for c in cases]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--images", required=True)
    parser.add_argument("--kernels", required=True, help="a folder of .npy kernels")
    parser.add_argument("--also", help="another folder to train the first variant on")
    parser.add_argument("--file", help="a prior that is there already")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--limit", type=int, default=6)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    sharp = pictures(args.images, args.limit, args.side)
    cases = frames(sharp, args.kernels)
    print(f"{'':36} denoised 10, 25, 50   restored   bits per dim   seconds of training", flush=True)
    print(f"{'hyperlaplacian':36} {'':22} {restored(cases, 'hyperlaplacian', {}):8.2f}", flush=True)
    runs = [(name, args.folder, *variant) for name, variant in VARIANTS.items()]
    if args.also:
        name, variant = next(iter(VARIANTS.items()))
        runs.insert(1, ("  trained on the other folder", args.also, *variant))
    for name, folder, model, objective in runs:
        path, figures, seconds = train(folder, recipe(model, objective, args.steps), args.threads)
        report(name, sharp, cases, str(path), figures, model["architecture"] == "image_flow", f"{seconds:8.0f}")
    if args.file:
        found = checkpoint.load(args.file).extra
        report("the prior given", sharp, cases, args.file, found["figures"], False, f"{found['seconds']:8.0f}")


def report(
    name: str, sharp: list[Array], cases: list[Case], file: str, figures: dict[str, float], exact: bool, seconds: str
) -> None:
    clean = " ".join(f"{denoised_psnr(sharp, level, file):6.2f}" for level in (10, 25, 50))
    bits = f"{figures['bits_per_dim']:8.3f}" if exact else " " * 8
    score = restored(cases, "flow", {"prior": {"file": file}})
    print(f"{name:36} {clean:22} {score:8.2f}   {bits}   {seconds}", flush=True)


if __name__ == "__main__":
    main()
