"""The corpus: all kinds of bad inputs, made by code."""

from __future__ import annotations

from collections.abc import Iterator

from faults import kernels_kind, names_kind, pictures_kind, priors_kind, recipes_kind
from faults.fault import Fault, Kind

__all__ = ["KINDS", "faults", "find"]

KINDS: dict[str, Kind] = {
    "fields": pictures_kind.fields,
    "cut": pictures_kind.cut,
    "flips": pictures_kind.flips,
    "arrays": kernels_kind.arrays,
    "archives": kernels_kind.archives,
    "tables": kernels_kind.tables,
    "sidecars": kernels_kind.sidecars,
    "specifications": kernels_kind.specifications,
    "recipes": recipes_kind.values,
    "yaml": recipes_kind.texts,
    "options": recipes_kind.options,
    "priors": priors_kind.priors,
    "names": names_kind.names,
    "frames": names_kind.frames,
}


def faults(seed: int = 0, kinds: tuple[str, ...] = ()) -> Iterator[tuple[str, Fault]]:
    """All bad inputs of a seed, by the names of their kinds."""
    for kind in kinds or KINDS:
        for fault in KINDS[kind](seed):
            yield kind, fault


def find(kind: str, name: str, seed: int) -> Fault:
    """One of them."""
    return next(fault for fault in KINDS[kind](seed) if fault.name == name)
