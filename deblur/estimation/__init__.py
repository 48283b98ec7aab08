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
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from deblur.config import suggestion
from deblur.errors import OptionError
from deblur.estimation.estimate import Estimate

__all__ = ["ESTIMATORS", "Estimate", "estimator"]

ESTIMATORS: dict[str, str] = {
    "blind": "deblur.estimation.blind:BlindEstimator",
    "pair": "deblur.estimation.pair:PairEstimator",
    "masked": "deblur.estimation.masked:MaskedEstimator",
    "parametric": "deblur.estimation.parametric:Parametric",
    "parametric pair": "deblur.estimation.parametric_pair:ParametricPair",
}
"""The estimators by name, each loaded when it is first used."""


def estimator(
    *,
    model: str = "taps",
    parametric: str = "none",
    pair: bool = False,
    size: int | None = None,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> Any:
    """The estimator for what is given.

    Args:
        model: `taps` or `masked`.
        parametric: `none`, or a name in `deblur.estimation.parametric.MODELS`.
        pair: whether the sharp picture is known.
        size: odd, or None: the estimator finds it.
        seed: of what is random, where something is.
        settings: further fields of the estimator.

    Raises:
        OptionError: a setting that the estimator does not have (the closest one is named), or one of a wrong value.
    """
    if parametric != "none":
        name = "parametric pair" if pair else "parametric"
    else:
        name = "masked" if model == "masked" else "pair" if pair else "blind"
    module, _, kind = ESTIMATORS[name].partition(":")
    maker = getattr(import_module(module), kind)
    fields = {item.name: item for item in dataclasses.fields(maker)}
    given: dict[str, Any] = {"model": parametric} if parametric != "none" else {}
    given |= {key: value for key, value in (("size", size), ("seed", seed)) if key in fields}
    for key, value in (settings or {}).items():
        if key not in fields or key in given:
            raise OptionError(f"unknown setting of {name} {key!r}{suggestion(key, set(fields) - set(given))}")
        default = fields[key].default
        same = type(value) is type(default) or (type(default) is float and type(value) is int)
        if default is not None and default is not dataclasses.MISSING and not same:
            raise OptionError(f"expected {name}.{key} to be a {type(default).__name__} like {default!r}, got {value!r}")
        given[key] = value
    return maker(**given)
