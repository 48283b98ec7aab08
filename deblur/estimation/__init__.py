"""Estimation: from what was photographed to the blur kernel.

    estimator               the one for what is given and asked for, with its settings
    ESTIMATORS              all of them by name
    Estimate                the record that every estimator returns

An estimator is a frozen keyword-only dataclass of its settings. One for pairs is called with blurred and sharp frames,
the others with blurred frames alone; all take `masks`, `sigma` and `on_step` and return an `Estimate`.

Example:
    >>> estimator(parametric="motion", size=15).model
    'motion'
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, cast

from torch import Tensor

from deblur.config import replaced
from deblur.errors import OptionError, did_you_mean
from deblur.estimation.estimate import Estimate
from deblur.progress import OnStep

__all__ = ["ESTIMATORS", "Estimate", "Estimator", "check_names", "estimator"]

ESTIMATORS: dict[str, str | type] = {
    "blind": "deblur.estimation.blind:BlindEstimator",
    "pair": "deblur.estimation.pair:PairEstimator",
    "masked": "deblur.estimation.masked:MaskedEstimator",
    "points": "deblur.estimation.points:Points",
    "parametric": "deblur.estimation.parametric:Parametric",
    "parametric pair": "deblur.estimation.parametric_pair:ParametricPair",
}
"""The estimators by name: dataclasses, or where one is found, to be loaded when it is first used."""


class Estimator(Protocol):
    """What every estimator is: called with blurred frames, and sharp ones for a pair, it returns the kernel."""

    def __call__(
        self,
        blurred: Sequence[Tensor],
        /,
        *sharp: Sequence[Tensor],
        masks: Sequence[Tensor | None] | None = None,
        sigma: float | None = None,
        on_step: OnStep | None = None,
    ) -> Estimate:
        """Find the kernel that blurred all frames (C, H, W)."""
        ...


def check_names(model: str, parametric: str) -> None:
    """Refuse names that no estimator has.

    Raises:
        OptionError: an unknown name (the closest known one is named), or two that do not go together.
    """
    known = ["auto", "taps", *ESTIMATORS]
    if model not in known:
        raise OptionError(f"unknown model {model!r}{did_you_mean(model, known)}")
    if parametric == "none":
        return
    if model not in ("auto", "taps"):
        raise OptionError(
            f"expected either model or parametric, got {model} and {parametric}: a {model} model has no named shape"
        )
    families = import_module("deblur.estimation.families")
    if parametric != families.POINTS:
        families.tried(parametric)


def estimator(
    *,
    model: str = "auto",
    parametric: str = "none",
    pair: bool = False,
    size: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Estimator:
    """The estimator for what is given.

    Args:
        model: `auto` or `taps`, or the name of an estimator in `ESTIMATORS`.
        parametric: `none`, or a name in `deblur.estimation.families.models`.
        pair: whether the sharp picture is known.
        size: odd, or None: the estimator finds it.
        settings: further fields of the estimator.

    Raises:
        OptionError: a setting that the estimator does not have (the closest one is named), or one of a wrong value.
    """
    check_names(model, parametric)
    if parametric == import_module("deblur.estimation.families").POINTS:
        name = parametric
    elif parametric != "none":
        name = "parametric pair" if pair else "parametric"
    elif model in ("auto", "taps"):
        name = "pair" if pair else "blind"
    else:
        name = model
    made = _loaded(ESTIMATORS[name])()
    pairs = getattr(made, "pairs", False)
    if pairs and not pair:
        raise OptionError(f"expected a sharp picture beside the blurred one for the model {name}, got none; give it")
    if pair and not pairs:
        raise OptionError(f"expected no sharp picture for the model {name}, got one; leave it out, or the model")
    fixed = {"model": parametric} if name.startswith("parametric") else {}
    known = {item.name for item in dataclasses.fields(made)}
    given = {**fixed, **({"size": size} if size is not None and "size" in known else {})}
    for key in settings or {}:
        if key in fixed or key == "size":
            raise OptionError(f"unknown setting of {name} {key!r}{did_you_mean(key, known - {*fixed, 'size'})}")
    made = dataclasses.replace(made, **given)
    return cast(Estimator, replaced(made, settings or {}, name))


def _loaded(entry: str | type) -> type[Any]:
    if not isinstance(entry, str):
        return entry
    module, _, kind = entry.partition(":")
    return cast("type[Any]", getattr(import_module(module), kind))
