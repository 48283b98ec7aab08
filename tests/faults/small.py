"""The commands that write, on inputs small enough to run them a hundred times."""

from __future__ import annotations

import io
import os
from functools import cache
from pathlib import Path

import numpy as np
import torch
from faults.formats import sample
from faults.priors_kind import content, saved
from faults.recipes_kind import RECIPE, dump, pictures

__all__ = ["COMMANDS", "INPUTS", "contents", "made", "same_prior"]

COMMANDS: dict[str, tuple[str, ...]] = {
    "apply": ("apply", "a.png", "-k", "k.npy", "--method", "wiener", "--compare", "--report", "r.png", "-o", "o.png"),
    "fit": ("fit", "a.png", "--parametric", "gaussian", "--report", "r.png", "-o", "found.npy"),
    "denoise": ("denoise", "a.png", "--prior", "prior.pt", "-o", "o.png"),
    "train-prior": ("train-prior", "x.npz", "--config", "r.yaml", "-o", "p.pt"),
}


@cache
def _inputs() -> dict[str, bytes]:
    taps = io.BytesIO()
    np.save(taps, np.outer([1, 2, 1], [1, 2, 1]) / 16)
    training = {**RECIPE["training"], "steps": 4, "checkpoint_every": 2}
    return {
        "a.png": sample("PNG:L"),
        "k.npy": taps.getvalue(),
        "prior.pt": saved(content()),
        "r.yaml": dump({**RECIPE, "training": training}),
        "x.npz": pictures(),
    }


INPUTS = ("a.png", "k.npy", "prior.pt", "r.yaml", "x.npz")


def made(folder: Path) -> None:
    """A folder of all inputs."""
    folder.mkdir()
    for name, data in _inputs().items():
        (folder / name).write_bytes(data)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not os.path.islink(path)
    }


def same_prior(one: Path, other: Path) -> bool:
    """Whether two priors have the same weights, to the bit."""
    mine, theirs = (torch.load(path, weights_only=True)["weights"] for path in (one, other))
    return all(torch.equal(mine[name], theirs[name]) for name in mine.keys() | theirs.keys())
