"""What goes beside the taps of a kernel in files: confidence, misfit, alternatives, and its masked convolutions.

`k.json` beside `k.npy` or `k.npz` holds, each where it is known:

    confidence      a number from 0 to 1, or null
    misfit          a number from 0 to 100; it follows from the confidence where it is missing
    source          text: what the kernel came from
    channels        how many kernels it holds, one for each channel of a picture
    alternatives    a list of objects with `taps` (lists of numbers) and the entries above

and whatever else its writer wants to tell. A `.npz` file may hold the blur as masked convolutions, applied one after
the other:

    format          the text "masked convolutions 1"
    orientations    (n,) text: the corner that each reads towards
    weight_0 ...    (kh, kw) float64 each, the anchor at [0, 0]; each sums to 1
    kernel          (rows, columns) float64, their product, for methods that want a kernel
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deblur.errors import DeblurError, FileError
from deblur.psf.kernel import LARGEST_MISFIT, Kernel, misfit_of
from deblur.psf.quadrant import OPPOSITE, MaskedForm

__all__ = ["FORMAT", "decode_factors", "encode_factors", "json_text", "known_of", "record_of"]

FORMAT = "masked convolutions 1"


def record_of(kernel: Kernel) -> dict[str, object]:
    """What is known of a kernel beside taps and factors, as JSON holds it; empty where there is nothing to say."""
    if kernel.known and not kernel.alternatives and kernel.misfit == misfit_of(None):
        return {}
    record: dict[str, object] = {"confidence": kernel.confidence, "misfit": kernel.misfit, "source": kernel.source}
    if kernel.alternatives:
        record["alternatives"] = [{"taps": _short(other), **record_of(other)} for other in kernel.alternatives]
    return record


def _short(kernel: Kernel) -> list[Any]:
    """The taps to six digits, as many as an alternative has."""
    digits = np.char.mod("%.6g", kernel.taps)
    return list(digits.astype(np.float64).tolist())


def json_text(record: Mapping[str, object]) -> str:
    """The record as a JSON file for people: an entry a line, the alternatives' many numbers on one."""
    lines = [
        f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}"
        for key, value in record.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def known_of(text: str | bytes) -> dict[str, Any]:
    """What a JSON file says of a kernel, as keywords of `Kernel`; empty where the file is none of ours.

    Example:
        >>> known_of('{"confidence": 0.8, "note": "mine"}')
        {'confidence': 0.8}
    """
    try:
        values = json.loads(text)
        return _known(values) if isinstance(values, dict) else {}
    except (ValueError, RecursionError):  # the latter of what is nested a thousand deep
        return {}


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if _number(values.get("confidence"), 1.0):
        known["confidence"] = float(values["confidence"])
    if _number(values.get("misfit"), LARGEST_MISFIT):
        known["misfit"] = float(values["misfit"])
    if "channels" in values:
        known["stack"] = False
    others = values.get("alternatives")
    try:
        kernels = [Kernel(other["taps"], **_known(other)) for other in others or ()]
    except (DeblurError, KeyError, TypeError, ValueError, OverflowError):  # a list of somebody else's
        kernels = []
    return {**known, "alternatives": tuple(kernels)} if kernels else known


def _number(value: object, most: float) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0 <= value <= most and value <= sys.float_info.max  # an integer may have more digits than that


def encode_factors(factors: Sequence[MaskedForm], kernel: NDArray[np.float64]) -> bytes:
    """The bytes of a .npz file that holds the factors and the kernel that is their product."""
    buffer = io.BytesIO()
    weights: dict[str, Any] = {f"weight_{i}": factor.weight for i, factor in enumerate(factors)}
    orientations = np.array([factor.orientation for factor in factors])
    np.savez(buffer, format=np.array(FORMAT), orientations=orientations, kernel=kernel, **weights)
    return buffer.getvalue()


def decode_factors(data: bytes) -> tuple[MaskedForm, ...]:
    """The masked convolutions in the bytes of a .npz file; none where it holds just a kernel.

    Raises:
        FileError: the file claims to hold masked convolutions and does not.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            if "format" not in archive:
                return ()
            if str(archive["format"]) != FORMAT:
                raise FileError(f"expected the format {FORMAT!r}, got {str(archive['format'])!r}; fit it again")
            names = [str(name) for name in archive["orientations"]]
            weights = [np.asarray(archive[f"weight_{i}"], dtype=np.float64) for i in range(len(names))]
    except (FileError, MemoryError):
        raise
    except Exception:  # zipfile, zlib and NumPy raise whatever a broken file makes them trip over
        raise FileError("the masked convolutions in it are damaged or incomplete; fit them again") from None
    for name, weight in zip(names, weights, strict=True):
        if name not in OPPOSITE or weight.ndim != 2 or weight.size == 0 or not np.isfinite(weight).all():
            raise FileError(
                f"expected finite weights (kh, kw) and a corner, got {weight.shape} and {name!r}; fit them again"
            )
    return tuple(MaskedForm(name, weight) for name, weight in zip(names, weights, strict=True))
