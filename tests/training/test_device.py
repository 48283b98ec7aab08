"""Training on a CUDA device: a graph of a step does what the step does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from deblur import config
from deblur.ops import _cuda
from deblur.training.gradients import Gradients
from deblur.training.pictures import Pictures, Stack
from deblur.training.ranks import Ranks
from deblur.training.recipe import Recipe
from deblur.training.trainer import Trainer

pytestmark = [
    pytest.mark.needs_cuda,
    pytest.mark.skipif(not _cuda.available(), reason=f"needs a CUDA device: {_cuda.why_not()}"),
]


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions of 24 bits, not of TF32's 11, to be compared."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


PRIOR = {"architecture": "image_prior", "steps": 2, "features": 8, "taps": 3}
GLOW = {"architecture": "multiscale", "shape": [1, 16, 16], "levels": 2, "steps": 1, "hidden": 8}


def losses(model: dict[str, Any], objective: dict[str, Any], *, graph: bool = True) -> list[float]:
    plain = {
        "model": model,
        "objective": objective,
        "data": {"crop": 16, "validation": 0},
        "training": {"steps": 12, "batch": 4, "clip": 1.0, "optimizer": {"name": "adam", "lr": 1e-3}},
    }
    levels = np.random.default_rng(0).integers(0, 256, (4, 1, 40, 40), np.uint8)
    made = Trainer(config.build(Recipe, plain), Pictures([[Stack("a", levels)]], []), Ranks(), torch.device("cuda"))
    if not graph:
        made._gradients = Gradients(made._loss, made._parameters, graph=False)
    made.initialise()
    found = [made.advance()[0]["loss"] for _ in range(12)]
    assert (made._gradients._graph is not None) == graph
    return found


@pytest.mark.parametrize(
    ("model", "objective"),
    [
        (PRIOR, {"name": "denoising", "likelihood": 0.0, "weight": 0.5}),
        (PRIOR, {"name": "denoising", "likelihood": 1.0, "weight": 0.5}),  # draws features on the device
        (GLOW, {"name": "likelihood"}),
    ],
    ids=["score", "likelihood and score", "multiscale"],
)
def test_a_model_is_trained_as_without_a_graph(model: dict[str, Any], objective: dict[str, Any]) -> None:
    assert losses(model, objective) == pytest.approx(losses(model, objective, graph=False), rel=1e-3)


def test_a_loss_that_waits_for_the_device_is_computed_as_written() -> None:
    weight = torch.nn.Parameter(torch.tensor(2.0, device="cuda"))
    gradients = Gradients(lambda batch: {"loss": weight * float(batch["x"].sum())}, [weight], graph=True)
    for factor in range(1, 9):
        terms = gradients({"x": torch.full((3,), float(factor), device="cuda")})
        assert (terms["loss"].item(), weight.grad.item()) == (6.0 * factor, 3.0 * factor)
