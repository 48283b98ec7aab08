"""Recipes: the files in configs/priors are complete, and a recipe comes back from its plain form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from deblur import flows
from deblur.training.crops import tiles_batch
from deblur.training.optimizers import optimizer_of
from deblur.training.recipe import Recipe, difference

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "priors").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_file_makes_a_model_that_takes_its_data(path: Path) -> None:
    recipe = Recipe.read(str(path))
    torch.manual_seed(0)
    model = flows.build(recipe.model)
    optimizer_of(recipe.training.optimizer, model.parameters())
    objective = recipe.objective_made()
    batch = tiles_batch(np.full((2, recipe.data.channels, *2 * [recipe.data.crop]), 0.5, np.float32), objective)
    assert torch.isfinite(objective.loss(model, batch)["loss"])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_recipe_comes_back_from_its_plain_form(path: Path) -> None:
    recipe = Recipe.read(str(path))
    again = Recipe.of(recipe.plain())
    assert again.plain() == recipe.plain()
    assert (again.data, again.training.schedule_made()) == (recipe.data, recipe.training.schedule_made())
    assert difference(recipe.plain(), again.plain()) is None
    other = Recipe.read(str(path), steps=7, seed=3).plain()
    assert difference(other, recipe.plain()) == ("training.steps", 7, recipe.training.steps)
