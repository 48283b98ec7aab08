"""The optimizers by name; their settings are those of `torch.optim`, `lr` the learning rate at its height."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from deblur.training.registry import chosen

__all__ = ["OPTIMIZERS", "optimizer_of"]

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "rmsprop": torch.optim.RMSprop,
    "rprop": torch.optim.Rprop,
    "sgd": torch.optim.SGD,
}

_FUSED = ("adam", "adamw")
"""Optimizers whose step torch fuses, on the CPU too: many times faster for small weights."""


def optimizer_of(settings: Mapping[str, Any], parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer that the settings name, on these parameters.

    Raises:
        ConfigError: an unknown name or setting, or a value that torch refuses.

    Example:
        >>> weight = nn.Parameter(torch.zeros(1))
        >>> optimizer_of({"name": "adamax", "lr": 0.01}, [weight]).param_groups[0]["lr"]
        0.01
    """
    fused = {"fused": True} if settings.get("name") in _FUSED else {}
    return chosen(OPTIMIZERS, {**fused, **settings}, "optimizer", list(parameters))
