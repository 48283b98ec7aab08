"""What a prior is trained for: the objectives by name. A new one is a file with an `Objective` and a line here."""

from __future__ import annotations

from collections.abc import Callable

from deblur.training.objectives.denoising import Denoising
from deblur.training.objectives.likelihood import Likelihood
from deblur.training.objectives.objective import Objective

__all__ = ["OBJECTIVES"]

OBJECTIVES: dict[str, Callable[..., Objective]] = {"likelihood": Likelihood, "denoising": Denoising}
"""The objectives by name."""
