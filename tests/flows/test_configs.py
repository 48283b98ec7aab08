"""The files in configs/flows/ are to be copied: each builds the model it promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from deblur import config
from deblur.flows import build

FILES = sorted((Path(__file__).parents[2] / "configs" / "flows").glob("*.yaml"))
STEPS = ("finc", "glow", "inverse", "none")
PUBLISHED = {
    # millions of parameters: FInC Flow for MNIST and Inverse-Flow for CIFAR-10, arXiv:2410.14634, tables 3 and 6
    "mnist-finc": 10.2,
    "cifar10-inverse": 1.76,
}


@pytest.fixture(autouse=True)
def convolutions_without_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """To draw hundreds of millions of weights takes long, and which they are does not matter here."""
    monkeypatch.setattr(nn.Conv2d, "reset_parameters", lambda self: None)


def parameters(path: Path) -> int:
    model = build(config.read(path)["model"])
    return sum(parameter.numel() for parameter in model.parameters())


def test_every_promised_file_is_there() -> None:
    data = ("mnist", "cifar10", "imagenet32", "imagenet64")
    published = [f"{one}-{step}" for one in data for step in ("finc", "inverse")]
    small = [f"{one}-small-{step}" for one in data[:2] for step in STEPS]
    assert [path.stem for path in FILES] == sorted([*published, *small])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_builds_its_model(path: Path) -> None:
    whole = config.read(path)
    assert sorted(whole) == ["data", "model", "objective", "training"]
    assert path.stem.endswith(whole["model"]["step"])
    assert whole["data"]["channels"] == whole["model"]["shape"][0]
    assert whole["data"]["crop"] == whole["model"]["shape"][1]
    model = build(whole["model"])
    latents = model.latent_shapes(tuple(whole["model"]["shape"]))
    assert len(latents) == whole["model"]["levels"]
    if path.stem in PUBLISHED:
        count = sum(parameter.numel() for parameter in model.parameters())
        assert count / 1e6 == pytest.approx(PUBLISHED[path.stem], rel=0.05)


@pytest.mark.parametrize("data", ["mnist", "cifar10"])
def test_the_small_ones_have_equally_many_parameters(data: str) -> None:
    counts = [parameters(path) for path in FILES if path.stem.startswith(f"{data}-small")]
    assert len(counts) == len(STEPS)
    assert max(counts) < 1.03 * min(counts)
