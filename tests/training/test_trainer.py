"""One step after another: what changes the weights, what follows them, and that a state is all of it."""

from __future__ import annotations

import copy
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import density  # noqa: F401  its architecture
import numpy as np
import pytest
import torch

from deblur import config
from deblur.device import using_threads
from deblur.errors import ConfigError, DivergedError
from deblur.flows import checkpoint
from deblur.training.optimizers import OPTIMIZERS
from deblur.training.pictures import Pictures, Stack
from deblur.training.ranks import Ranks
from deblur.training.recipe import Recipe
from deblur.training.trainer import Trainer

FLOW = {"architecture": "multiscale", "shape": [1, 8, 8], "levels": 2, "steps": 1, "hidden": 4}


@pytest.fixture(autouse=True)
def alone() -> Any:
    """One thread, as many small tensors are fastest, and torch's generator as it was."""
    with torch.random.fork_rng(), using_threads(1):
        yield


def trainer(model: dict[str, Any] | None = None, objective: str = "denoising", **training: Any) -> Trainer:
    plain = {
        "model": model or {"architecture": "density"},
        "objective": {"name": objective} | ({"weight": 1.0} if objective == "denoising" else {}),
        "data": {"crop": 8, "validation_count": 6},
        "training": {"steps": 10, "batch": 4, **training},
    }
    levels = np.random.default_rng(0).integers(0, 256, (6, 1, 20, 20), np.uint8)
    pictures = Pictures([[Stack("a", levels[:4])]], [Stack("a", levels[4:])])
    made = Trainer(config.build(Recipe, plain), pictures, Ranks(), torch.device("cpu"))
    made.initialise()
    return made


def weights(model: torch.nn.Module) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in model.state_dict().values()]


def equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_batches_drawn_ahead_are_those_of_their_steps() -> None:
    """Also where a state is restored after the next batch was drawn."""
    plain, ahead = trainer(), trainer()
    ahead._drawer = ThreadPoolExecutor(1)
    expected = [plain.advance()[0] for _ in range(10)]
    before = ahead.state()
    state = {name: copy.deepcopy(part) for name, part in before.items()}
    assert [ahead.advance()[0] for _ in range(3)] == expected[:3]
    ahead.restore(state)
    assert [ahead.advance()[0] for _ in range(10)] == expected
    assert not ahead._drawn  # none beyond the last step
    ahead.close()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_from_a_file_goes_on_to_the_same_bits(name: str) -> None:
    settings = {"optimizer": {"name": name, "lr": 1e-3}, "warmup": 3, "clip": 1.0}
    whole, part = trainer(**settings), trainer(**settings)
    terms = [whole.advance()[0] for _ in range(6)]
    for _ in range(3):
        part.advance()
    file = io.BytesIO()
    torch.save(part.state(), file)
    file.seek(0)
    resumed = trainer(**settings)
    resumed.restore(torch.load(file, weights_only=True))
    assert [resumed.advance()[0] for _ in range(3)] == terms[3:]
    assert equal(weights(resumed.model), weights(whole.model))
    assert equal(weights(resumed.average.model), weights(whole.average.model))
    assert resumed.validate() == whole.validate()


def test_a_run_may_start_from_a_prior_of_the_same_model(tmp_path: Path) -> None:
    first = trainer(FLOW, "likelihood")
    for _ in range(2):
        first.advance()
    checkpoint.save(tmp_path / "first.pt", FLOW, first.average.model)
    second = trainer(FLOW, "likelihood", start=str(tmp_path / "first.pt"))
    assert equal(weights(second.model), weights(first.average.model))
    assert equal(weights(second.average.model), weights(first.average.model))
    assert not equal(weights(trainer(FLOW, "likelihood").model), weights(second.model))
    with pytest.raises(ConfigError, match=r"expected model.hidden = 4 as in .*first.pt, got 5; make them equal"):
        trainer({**FLOW, "hidden": 5}, "likelihood", start=str(tmp_path / "first.pt"))


def test_what_a_model_draws_itself_is_resumed_too() -> None:
    """A learned dequantisation takes its noise from torch's generator."""
    model = {**FLOW, "dequantisation": "variational"}
    whole, resumed = (trainer(model, "likelihood") for _ in range(2))
    terms = [whole.advance()[0]]
    state = whole.state()
    resumed.restore({**state, "model": {name: tensor.clone() for name, tensor in state["model"].items()}})
    terms.append(whole.advance()[0])
    torch.rand(7)  # whatever else draws in between
    assert resumed.advance()[0]["loss"] == terms[1]["loss"]
    assert terms[0]["loss"] != terms[1]["loss"]


def test_a_step_lowers_the_loss() -> None:
    one = trainer(steps=300, batch=16, optimizer={"name": "adam", "lr": 1e-2})
    before = one.validate()["bits_per_dim"]
    for _ in range(300):
        one.advance()
    assert one.validate()["bits_per_dim"] < before - 0.3


def test_the_rate_warms_up_and_follows_its_schedule() -> None:
    one = trainer(optimizer={"name": "sgd", "lr": 0.5}, warmup=2, schedule={"name": "decay", "at": [0.5], "by": 10})
    rates = [one.advance()[0]["rate"] for _ in range(10)]
    assert rates == pytest.approx([0.25] + [0.5] * 5 + [0.05] * 4)


def test_a_long_gradient_is_shortened_to_the_limit() -> None:
    free, limited = (
        trainer(optimizer={"name": "sgd", "lr": 1.0}),
        trainer(optimizer={"name": "sgd", "lr": 1.0}, clip=0.01),
    )
    moves = []
    for one in (free, limited):
        before = weights(one.model)
        norm = one.advance()[0]["gradient"]
        changes = zip(weights(one.model), before, strict=True)
        moves.append((norm, sum(float((a - b).square().sum()) for a, b in changes if a.is_floating_point()) ** 0.5))
    assert moves[0][0] == moves[1][0] == pytest.approx(moves[0][1], rel=1e-4)
    assert moves[1][1] == pytest.approx(0.01, rel=1e-3)


def test_the_average_is_the_exponential_one() -> None:
    one = trainer(ema=0.3, optimizer={"name": "sgd", "lr": 0.1})
    expected = one.average.model.mean.item()
    for step in range(8):
        one.advance()
        keep = min(0.3, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * one.model.mean.item()
        assert one.average.model.mean.item() == pytest.approx(expected, rel=1e-5)
    assert one.average.model.mean.item() != one.model.mean.item()


def test_what_is_set_from_data_is_set_in_the_average_too() -> None:
    one = trainer(FLOW, "likelihood")
    assert one.model.initialised
    assert one.average.model.initialised
    assert equal(weights(one.model), weights(one.average.model))


def test_a_step_that_is_not_finite_changes_nothing() -> None:
    one = trainer()
    one.advance()
    with torch.no_grad():
        one.model.net[2].bias.fill_(torch.inf)
    before = weights(one.model), weights(one.average.model)
    with pytest.raises(DivergedError, match="in step 2"):
        one.advance()
    assert equal(before[0], weights(one.model))
    assert equal(before[1], weights(one.average.model))
    assert one.done == 1


def test_mixed_precision_stays_near() -> None:
    exact, mixed = trainer(FLOW, "likelihood"), trainer(FLOW, "likelihood", precision="bfloat16")
    losses = [[one.advance()[0]["loss"] for _ in range(5)] for one in (exact, mixed)]
    assert losses[1] == pytest.approx(losses[0], abs=0.01)
    assert losses[1] != losses[0]


def test_the_seed_draws_the_weights() -> None:
    assert equal(weights(trainer(seed=1).model), weights(trainer(seed=1).model))
    assert not equal(weights(trainer(seed=1).model), weights(trainer(seed=2).model))
