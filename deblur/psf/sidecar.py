"""What is known of a kernel beside its taps: how far it is to be trusted, and the masked convolutions it is made of.

`k.json` beside `k.npy` or `k.npz` holds `confidence`, a number from 0 to 1; `deblur fit` writes it. A `.npz` file may
hold the blur as masked convolutions, applied one after the other:

    format          the text "masked convolutions 1"
    orientations    (n,) text: the corner that each reads towards
    weight_0 ...    (kh, kw) float64 each, the anchor at [0, 0]; each sums to 1
    kernel          (rows, columns) float64, their product, for methods that want a kernel
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from deblur.errors import FileError
from deblur.ops.geometry import ORIENTATIONS
from deblur.psf.quadrant import MaskedForm

__all__ = ["FORMAT", "Sidecar", "encode_factors", "informed", "read_sidecar"]

OptionsT = TypeVar("OptionsT", bound=Any)

FORMAT = "masked convolutions 1"


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """What goes with a kernel.

    Attributes:
        confidence: in [0, 1], or None where nobody said.
        factors: the masked convolutions whose product the kernel is, in the order in which they are applied; or none.
    """

    confidence: float | None = None
    factors: tuple[MaskedForm, ...] = ()


def read_sidecar(kernel: str | os.PathLike[str]) -> Sidecar:
    """What goes with the kernel that a user named; nothing where it is no file.

    Raises:
        FileError: a .npz file that claims to hold masked convolutions and does not.

    Example:
        >>> read_sidecar("motion:length=15")
        Sidecar(confidence=None, factors=())
    """
    path = Path(kernel)
    if path.suffix.lower() not in (".npy", ".npz") or not path.is_file():
        return Sidecar()
    return Sidecar(confidence=_confidence(path.with_suffix(".json")), factors=_factors(path))


def informed(options: OptionsT, kernel: object) -> OptionsT:
    """The options of a restoration with what goes with the kernel, where the user said nothing else.

    Args:
        options: a dataclass with `confidence`, `method` and `settings`.
        kernel: what the user named as the kernel; anything but the name of a file changes nothing.
    """
    if not isinstance(kernel, str | os.PathLike):
        return options
    known, given = read_sidecar(kernel), options.settings
    changes: dict[str, object] = {}
    if options.confidence is None and known.confidence is not None:
        changes["confidence"] = known.confidence
    if options.method == "exact" and known.factors and "factors" not in given:
        changes["settings"] = {**given, "factors": known.factors}
    return dataclasses.replace(options, **changes)


def encode_factors(factors: Sequence[MaskedForm], kernel: NDArray[np.float64]) -> bytes:
    """The bytes of a .npz file that holds the factors and the kernel that is their product."""
    buffer = io.BytesIO()
    weights: dict[str, Any] = {f"weight_{i}": factor.weight for i, factor in enumerate(factors)}
    orientations = np.array([factor.orientation for factor in factors])
    np.savez(buffer, format=np.array(FORMAT), orientations=orientations, kernel=kernel, **weights)
    return buffer.getvalue()


def _confidence(path: Path) -> float | None:
    """The number in the JSON file beside the kernel; another file of that name is none of ours."""
    try:
        value = json.loads(path.read_text(encoding="utf-8")).get("confidence")
    except (OSError, ValueError, AttributeError):
        return None
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return float(value) if good else None


def _factors(path: Path) -> tuple[MaskedForm, ...]:
    if path.suffix.lower() != ".npz":
        return ()
    try:
        with np.load(path, allow_pickle=False) as archive:
            if "format" not in archive:
                return ()
            if str(archive["format"]) != FORMAT:
                raise FileError(f"{path}: expected the format {FORMAT!r}, got {str(archive['format'])!r}")
            names = [str(name) for name in archive["orientations"]]
            weights = [np.asarray(archive[f"weight_{i}"], dtype=np.float64) for i in range(len(names))]
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path}: the masked convolutions in it are damaged or incomplete; fit them again") from None
    for name, weight in zip(names, weights, strict=True):
        if name not in ORIENTATIONS or weight.ndim != 2 or weight.size == 0 or not np.isfinite(weight).all():
            raise FileError(f"{path}: expected finite weights (kh, kw) and a corner, got {weight.shape} and {name!r}")
    return tuple(MaskedForm(name, weight) for name, weight in zip(names, weights, strict=True))
