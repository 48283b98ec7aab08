"""Flows: densities of images, made from plain data by the name of their architecture.

    build           the model a configuration describes
    FLOWS           the architectures by name: dataclasses of settings with a `build`
    MultiScale      settings of a `Flow`
    ImageFlow       settings of a `NoiseConditional`, a density of photographs at every noise level
    ImagePrior      settings of an `ImagePriorFlow`, which the learned priors are

`deblur.flows.checkpoint` has the file that keeps a trained model.

Example:
    >>> flow = build({"architecture": "multiscale", "shape": [1, 8, 8], "levels": 2, "steps": 1, "hidden": 8})
    >>> flow.sample(2).shape
    torch.Size([2, 1, 8, 8])
    >>> build({"architecture": "multiscale", "shape": [1, 8, 8], "level": 2})
    Traceback (most recent call last):
    ...
    deblur.errors.ConfigError: unknown key 'level', did you mean 'levels'? Known: activation, ...
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import nn

from deblur import config as configuration
from deblur.errors import ConfigError, did_you_mean
from deblur.flows.flow import Flow
from deblur.flows.image_flow import ImageFlow, NoiseConditional
from deblur.flows.image_prior import ImagePrior, ImagePriorFlow
from deblur.flows.multiscale import MultiScale

__all__ = [
    "FLOWS",
    "Architecture",
    "Flow",
    "ImageFlow",
    "ImagePrior",
    "ImagePriorFlow",
    "MultiScale",
    "NoiseConditional",
    "build",
]


class Architecture(Protocol):
    """A dataclass of plain settings that makes a model."""

    def build(self) -> nn.Module:
        """Return the model, its parameters drawn from torch's generator."""
        ...


FLOWS: dict[str, type[Architecture]] = {
    "image_flow": ImageFlow,
    "image_prior": ImagePrior,
    "multiscale": MultiScale,
}


def build(config: Mapping[str, Any]) -> nn.Module:
    """Make the model of a configuration: `architecture`, a name in `FLOWS`, and the fields of its dataclass.

    Raises:
        ConfigError: an architecture that is missing or unknown, an unknown key, a value of the wrong type.
        OptionError: a value the architecture refuses.
    """
    name = config.get("architecture")
    if not isinstance(name, str) or name not in FLOWS:
        got = "no architecture" if name is None else f"unknown architecture {name!r}"
        raise ConfigError(f"{got}{did_you_mean(str(name), FLOWS)}")
    settings = {key: value for key, value in config.items() if key != "architecture"}
    return configuration.build(FLOWS[name], settings).build()
