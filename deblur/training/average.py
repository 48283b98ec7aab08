"""The exponential moving average of a model's weights: what is validated, saved and used (Polyak and Juditsky 1992)."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

__all__ = ["Average"]

M = TypeVar("M", bound=nn.Module)


class Average(Generic[M]):
    """A copy of a model that follows its weights.

    Args:
        model: the model whose weights are followed; values that are not floating-point numbers are copied.
        decay: the share of the average that a step keeps; less in the first steps.

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> average = Average(model, 0.5)
        >>> before = model.weight.item()
        >>> _ = model.weight.data.add_(1.0)  # an optimizer changes weights in place
        >>> average.update(step=100)
        >>> round(average.model.weight.item() - before, 4)
        0.5
    """

    def __init__(self, model: M, decay: float) -> None:
        self.model: M = copy.deepcopy(model).requires_grad_(False).eval()
        self._decay = decay
        pairs = list(zip(self.model.state_dict().values(), model.state_dict().values(), strict=True))
        self._averaged = [pair for pair in pairs if pair[0].is_floating_point()]
        self._copied = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the model's weights after the step `step`, counted from 0."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_([mine for mine, _ in self._averaged], [its for _, its in self._averaged], 1 - decay)
        for mine, its in self._copied:
            mine.copy_(its)
