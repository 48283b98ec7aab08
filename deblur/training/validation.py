"""How good a model is on pictures that it was not trained on: fixed crops with fixed noise, so that figures compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from deblur.training.crops import tiles, tiles_batch
from deblur.training.objectives.base import Objective
from deblur.training.pictures import Stack
from deblur.training.ranks import Ranks
from deblur.training.recipe import Data

__all__ = ["figures", "held_out"]

_AT_ONCE = 2**18
"""Numbers in the crops that are looked at together."""


def held_out(stacks: Sequence[Stack], data: Data) -> npt.NDArray[np.float32] | None:
    """The crops (n, C, H, W) that every validation looks at; None where nothing is held out."""
    return tiles(stacks, data.validation_size, data.validation_count) if stacks else None


def figures(
    objective: Objective,
    model: Any,
    clean: npt.NDArray[np.float32] | None,
    ranks: Ranks | None = None,
    device: torch.device | None = None,
) -> dict[str, float]:
    """The objective's figures, each the mean over the crops; the processes share the work.

    Args:
        objective: says which.
        model: a density.
        clean: (n, C, H, W) in [0, 1]; None for no figures.
        ranks: which process of several this is.
        device: where the model is.
    """
    if clean is None:
        return {}
    ranks = ranks or Ranks()
    each = max(1, _AT_ONCE // clean[0].size)
    total = torch.zeros(len(objective.figures), dtype=torch.float64, device=device)
    for first in range(ranks.rank * each, len(clean), ranks.size * each):
        batch = tiles_batch(clean[first : first + each], objective, first)
        found = objective.validate(model, {name: tensor.to(device) for name, tensor in batch.items()})
        total += torch.stack([found[name].double().sum() for name in objective.figures])
    ranks.average([total])
    return dict(zip(objective.figures, (total * ranks.size / len(clean)).tolist(), strict=True))
