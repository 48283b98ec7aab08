"""Adding something is one file and one line: what is added at run time is reached from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from deblur import estimation, psf, restoration
from deblur.estimation import Estimate, families
from deblur.psf.shape import Within, shape
from deblur.restoration import Problem, Restorer, preconditioners
from deblur.restoration.hqs import HalfQuadraticSplitting
from deblur.restoration.priors.splitting import Level, SplittingPrior
from deblur.restoration.restorer import Iterate
from deblur.restoration.symbols import Symbol, gradients


@dataclass(frozen=True, kw_only=True)
class Nothing(Restorer):
    """Leaves the frame as it is."""

    limit: int = 1
    tolerance: float = 0.0
    size: int = 3

    def estimates(self, problem: Problem) -> Iterator[Iterate]:
        yield Iterate(problem.blur.extend(problem.blurred), 0.0)


@dataclass(frozen=True, kw_only=True)
class Flat(SplittingPrior):
    """Pulls nowhere: it has a symbol, a schedule and a pull, as the table asks, and nothing else."""

    @property
    def symbol(self) -> Symbol:
        return gradients

    def schedule(self, sigma: float) -> list[Level]:
        return [Level(q=0.1, penalty=1.0)]

    def pull(self, image: Tensor, level: Level) -> Tensor:
        return torch.zeros_like(image)


@dataclass(frozen=True, kw_only=True)
class Guess:
    """Says that there is a cross of three taps a side, whatever it is shown."""

    size: int | None = None
    arm: float = 0.1

    def __call__(self, frames: Any, **_: Any) -> Estimate:
        taps = np.array([[0, self.arm, 0], [self.arm, 1, self.arm], [0, self.arm, 0]])
        return Estimate(kernel=psf.Kernel(taps, confidence=0.25, source="a guess"), method="guess")


@shape("plus:arm=0.5")
def plus(*, arm: Annotated[float, Within(0, 1)] = 0.5) -> np.ndarray:
    """A cross."""
    return np.array([[0, arm, 0], [arm, 1, arm], [0, arm, 0]])


@pytest.fixture(autouse=True)
def pictures(folder: Any) -> None:
    cv2.imwrite("b.png", data.camera()[100:180, 100:190])


def _json(result: Any) -> dict[str, Any]:
    assert result.code == 0, result.err
    record: dict[str, Any] = json.loads(result.out)
    return record


def test_a_method(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(restoration.RESTORERS, "nothing", Nothing())
    words = [
        "apply",
        "b.png",
        "-k",
        "box:size=3",
        "--method",
        "nothing",
        "--transfer",
        "linear",
        "-o",
        "r.png",
        "--json",
    ]
    assert _json(run(*words, "--json"))["method"] == "nothing"
    np.testing.assert_array_equal(cv2.imread("r.png"), cv2.imread("b.png"))


def test_a_prior(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(restoration.RESTORERS, "flat", HalfQuadraticSplitting(prior=Flat()))
    record = _json(run("apply", "b.png", "-k", "box:size=3", "--method", "flat", "-o", "r.png", "--json"))
    assert (record["method"], record["steps"]) == ("flat", 1)


def test_a_preconditioner(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def plain(blur: Any, symbol: Any, q: float) -> Any:
        asked.append(q)
        return lambda residual: residual

    monkeypatch.setitem(preconditioners.PRECONDITIONERS, "plain", plain)
    words = ["apply", "b.png", "-k", "box:size=3", "--method", "wiener", "--preconditioner", "plain", "-o", "r.png"]
    words += ["--transfer", "linear", "--noise", "0.01"]
    assert run(*words).code == 0
    assert asked


def test_an_estimator(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(estimation.ESTIMATORS, "guess", Guess)
    Path("guess.yaml").write_text("model: guess\nsettings: {arm: 0.2}\n")
    record = _json(run("fit", "b.png", "--config", "guess.yaml", "-o", "k.npy", "--json"))
    assert (record["method"], record["confidence"], record["source"]) == ("guess", 0.25, "a guess")
    assert run("fit", "b.png", "--model", "guess", "-o", "k2.npy").code == 0
    assert np.load("k.npy")[0, 1] > np.load("k2.npy")[0, 1] > 0


def test_a_family_of_blurs(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = families.Family(
        names=("sigma",),
        spectrum=families.FAMILIES["gaussian"].spectrum,
        grid=families.FAMILIES["gaussian"].grid,
        lowest=(0.3,),
        scales=families.FAMILIES["gaussian"].scales,
        spec=lambda p: f"box:size={max(p[0], 0.5):.3f}",
    )
    monkeypatch.setitem(families.FAMILIES, "blob", blob)
    record = _json(run("fit", "b.png", "--parametric", "blob", "--size", "7", "-o", "k.npy", "--json"))
    assert record["source"].startswith("box:size=")


def test_a_shape(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(psf.SHAPES, "plus", plus)
    assert run("psf", "make", "plus", "--arm", "0.25", "-o", "k.npy").code == 0
    np.testing.assert_allclose(np.load("k.npy")[1], [0.125, 0.5, 0.125])
    assert run("apply", "b.png", "-k", "plus:arm=0.1", "--method", "wiener", "-o", "r.png").code == 0
