"""What every objective is: the random numbers that an example needs, and the loss of a model.

The random numbers of an example are drawn from a generator of its own, so that they depend on neither the batch nor the
number of processes: that makes an interrupted run and one of several processes the same as any other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

__all__ = ["Batch", "Objective"]

Batch: TypeAlias = Mapping[str, Tensor]
"""Tensors with one row an example: `clean` (B, C, H, W) in [0, 1], and what an objective draws."""


class Objective(ABC):
    """A frozen keyword-only dataclass of its settings.

    Attributes:
        terms: the names of what `loss` returns.
        figures: the names of what `validate` returns.
    """

    terms: ClassVar[tuple[str, ...]]
    figures: ClassVar[tuple[str, ...]]

    @abstractmethod
    def draw(
        self, shape: tuple[int, ...], generator: np.random.Generator
    ) -> dict[str, npt.NDArray[np.float32] | float]:
        """The random numbers of one example (C, H, W), by name: arrays (C, H, W) or single numbers."""

    @abstractmethod
    def inputs(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """What the model sees of a batch: pixels (B, C, H, W), and its context or None."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The mean `loss` of a batch, to be differentiated, and the other `terms`."""

    @abstractmethod
    def validate(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The `figures`, each (B,)."""

    @abstractmethod
    def sample(
        self, model: Any, count: int, shape: tuple[int, int, int], temperature: float, generator: torch.Generator
    ) -> Tensor:
        """Pictures (count, C, H, W), about in [0, 1], drawn from the model."""
