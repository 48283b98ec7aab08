"""A kernel that was found: what is said of it, for people and for programs, and the files that hold it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

import deblur
from deblur import psf, words
from deblur.cli import console
from deblur.estimation import Estimate
from deblur.files import atomic_write

__all__ = ["files", "record", "said"]


def said(found: Estimate) -> list[str]:
    """The blur in words, and how sure it is; there is nothing to be sure of where none could be removed."""
    sure = [] if found.kernel.still else [words.of_confidence(found.confidence)]
    return [words.of_kernel(found.kernel), *sure]


def record(found: Estimate) -> dict[str, object]:
    """What the file beside the kernel and --json say."""
    return {
        "method": found.method,
        "size": list(found.size),
        "sigma": found.sigma,
        "confidence": found.kernel.confidence,
        "misfit": found.kernel.misfit,
        "source": found.kernel.source,
        "status": found.status,
        "warnings": list(found.warnings),
        "notes": list(found.notes),
        "region": None if found.region is None else list(found.region),
        "steps": found.steps,
        "seconds": round(found.seconds, 3),
        "version": deblur.__version__,
        "details": {key: _plain(value) for key, value in found.details.items()},
    }


def files(path: str, found: Estimate) -> list[tuple[str, Callable[..., None]]]:
    """The kernel's files and how each is written, for `deblur.files.write_together`, the kernel last."""
    about = {str(key): console.finite(value) for key, value in record(found).items()}
    return [
        (str(name), partial(atomic_write, name, data)) for name, data in psf.encode(path, found.kernel, about=about)
    ]


def _plain(value: object) -> object:
    """Numbers, texts, lists and mappings as JSON has them."""
    if isinstance(value, np.ndarray | torch.Tensor):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
