"""A trained prior: the file that a run wrote, read back with what it was trained by and for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from deblur.errors import ConfigError, FileError, OptionError
from deblur.flows import checkpoint
from deblur.training.objectives.objective import Objective
from deblur.training.recipe import Recipe

__all__ = ["Prior", "load"]


@dataclass(frozen=True)
class Prior:
    """A density of pictures.

    Attributes:
        model: the flow, in evaluation mode.
        recipe: the recipe it was trained with.
        objective: the objective it was trained for.
        steps: the number of steps it was trained for.
    """

    model: Any
    recipe: Recipe
    objective: Objective
    steps: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the crops it was trained on."""
        return self.recipe.data.channels, self.recipe.data.crop, self.recipe.data.crop


def load(path: str, device: torch.device | None = None) -> Prior:
    """Read a prior.

    Raises:
        FileError: no such file, not a flow's, or one that no training run wrote.
    """
    found = checkpoint.load(path, device or torch.device("cpu"))
    if "recipe" not in found.extra:
        raise FileError(
            f"{path}: expected a prior from deblur train-prior, got a flow that does not say how it was trained"
        )
    plain, steps = found.extra["recipe"], found.extra.get("steps")
    try:
        if not isinstance(plain, dict) or not isinstance(steps, int):
            raise ConfigError("its recipe or its steps are missing")
        recipe = Recipe.of(plain)
    except OptionError as error:
        raise FileError(f"{path}: what it says of its training makes no sense ({error}); train it again") from error
    return Prior(found.model.requires_grad_(False), recipe, recipe.objective_made(), steps)
