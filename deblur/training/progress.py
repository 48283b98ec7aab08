"""Events that tell of the progress of a training run, or of another piece of work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["OnStep", "Step"]


@dataclass(frozen=True)
class Step:
    """Progress: steps done, steps in all, and the newest figures in words."""

    index: int
    total: int
    text: str = ""


OnStep: TypeAlias = Callable[[Step], None]
