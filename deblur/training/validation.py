"""How good a model is on pictures that it was not trained on: fixed crops with fixed noise, so that figures compare."""

from __future__ import annotations

from typing import Any

import torch

from deblur.progress import OnStep, Step
from deblur.training.crops import Tiles, tiles_batch
from deblur.training.objectives.objective import Objective
from deblur.training.ranks import Ranks

__all__ = ["figures"]

_AT_ONCE = 2**18
"""Numbers in the crops that are looked at together."""


def figures(
    objective: Objective,
    model: Any,
    crops: Tiles,
    *,
    ranks: Ranks | None = None,
    device: torch.device | None = None,
    on_step: OnStep | None = None,
) -> dict[str, float]:
    """The objective's figures, each the mean over the crops; the processes share the work.

    Args:
        objective: the objective that defines the figures.
        model: a density.
        crops: the held-out crops.
        ranks: which process of several this is.
        device: where the model is.
        on_step: told of the progress.
    """
    ranks = ranks or Ranks()
    each = max(1, _AT_ONCE // crops[:1].size)
    total = torch.zeros(len(objective.figures), dtype=torch.float64, device=device)
    for first in range(ranks.rank * each, len(crops), ranks.size * each):
        batch = tiles_batch(crops[first : first + each], objective, first)
        found = objective.validate(model, {name: tensor.to(device) for name, tensor in batch.items()})
        total += torch.stack([found[name].double().sum() for name in objective.figures])
        if on_step is not None:
            on_step(Step(min(first + each, len(crops)), len(crops)))
    ranks.average([total])
    return dict(zip(objective.figures, (total * ranks.size / len(crops)).tolist(), strict=True))
