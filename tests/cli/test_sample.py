"""`deblur sample` and `deblur evaluate-prior`: what a trained prior makes up, and how well it knows other pictures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cv2
import density
import numpy as np
import pytest
import torch

from deblur.flows import build, checkpoint

RECIPE = {
    "model": {"architecture": "density"},
    "objective": {"name": "denoising"},
    "data": {"crop": 10},
    "training": {"steps": 5},
}


@pytest.fixture(autouse=True)
def prior(folder: Path) -> None:
    """prior.pt, whose pixels are N(.5, .1^2), and x.npz with 30 pictures of such pixels."""
    model = density.Density(1)
    with torch.no_grad():
        model.mean.fill_(0.5)
        model.log_spread.fill_(math.log(0.1))
        torch.nn.init.zeros_(model.net[2].weight)
        torch.nn.init.zeros_(model.net[2].bias)
    checkpoint.save("prior.pt", RECIPE["model"], model, recipe=RECIPE, steps=5)
    pixels = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((30, 20, 25))
    np.savez("x.npz", x=np.rint(255 * pixels.clip(0, 1)).astype(np.uint8))


def test_samples_stand_side_by_side(run: Any) -> None:
    result = run("sample", "prior.pt", "-n", 5, "-o", "grid.png")
    assert result.code == 0, result.err
    assert result.out.startswith("grid.png: 5 samples of 10 x 10 pixels, 0.")
    assert result.out.endswith(" s each\n")
    grid = cv2.imread("grid.png", cv2.IMREAD_UNCHANGED)
    assert grid.shape == (22, 34)
    first = grid[:10, :10] / 255
    assert abs(first.mean() - 0.5) < 0.05
    assert abs(first.std() - 0.1) < 0.03
    assert (grid[12:, 24:] == 255).all()  # where a sixth would stand


def test_the_seed_the_temperature_and_the_size_count(run: Any) -> None:
    pictures = []
    for words in ([], ["--seed", "0"], ["--seed", "1"], ["--temperature", "0.1"], ["--size", "30"]):
        assert run("sample", "prior.pt", "-n", 1, "-o", "g.png", "--force", *words).code == 0
        pictures.append(cv2.imread("g.png", cv2.IMREAD_UNCHANGED).astype(float))
    plain, same, other, cold, large = pictures
    assert (plain == same).all()
    assert (plain != other).any()
    assert cold.std() < plain.std() / 4
    assert large.shape == (30, 30)


def test_a_prior_is_measured_in_bits_per_dim(run: Any) -> None:
    result = run("evaluate-prior", "prior.pt", "x.npz", "--json")
    assert result.code == 0, result.err
    record = json.loads(result.out)
    assert (record["crops"], record["size"]) == (120, 10)
    variances = [0.01 + (level / 255) ** 2 for level in (10, 25, 50)]
    expected = [0.5 * math.log2(2 * math.pi * math.e * variance) + 8 for variance in variances]
    assert record["bits_per_dim"] == pytest.approx(sum(expected) / 3, abs=0.02)
    error = 0.01 * (25 / 255) ** 2 / variances[1]
    assert record["psnr_25"] == pytest.approx(-10 * math.log10(error), abs=0.1)
    assert record["seconds_per_crop"] > 0


def test_other_crops_and_fewer(run: Any) -> None:
    result = run("evaluate-prior", "prior.pt", "x.npz", "--crop", "20", "--count", "7")
    assert result.out.startswith("prior.pt: bits_per_dim ")
    assert "; 7 crops of 20 x 20 pixels, 0." in result.out


def test_pictures_of_a_folder_are_measured_and_bad_ones_named(run: Any) -> None:
    Path("p").mkdir()
    cv2.imwrite("p/a.png", np.full((20, 35), 128, np.uint8))
    Path("p/b.png").write_bytes(b"no picture")
    result = run("evaluate-prior", "prior.pt", "p")
    assert "; 6 crops of 10 x 10 pixels" in result.out
    assert "deblur: note: p/b.png: " in result.err


def test_a_flow_samples_and_is_measured_too(run: Any) -> None:
    settings = {"architecture": "multiscale", "shape": [1, 8, 8], "levels": 1, "steps": 1, "hidden": 4}
    recipe = {"model": settings, "objective": {"name": "likelihood"}, "data": {"crop": 8}, "training": {}}
    checkpoint.save("flow.pt", settings, build(settings), recipe=recipe, steps=0)
    assert run("sample", "flow.pt", "-n", 4, "-o", "g.png").code == 0
    assert cv2.imread("g.png", cv2.IMREAD_UNCHANGED).shape == (18, 18)
    assert json.loads(run("evaluate-prior", "flow.pt", "x.npz", "--json").out)["bits_per_dim"] > 0


def test_what_cannot_be_is_refused(refuse: Any, misuse: Any) -> None:
    Path("there.png").write_bytes(b"")
    Path("text.pt").write_text("no prior")
    torch.save({"kind": "deblur training state 1"}, "state.pt")
    checkpoint.save("bare.pt", RECIPE["model"], density.Density(1))
    np.savez("small.npz", x=np.zeros((3, 8, 8), np.uint8))
    out = ["-o", "g.png"]
    refuse("sample", "no.pt", *out, message="no.pt: there is no such checkpoint")
    refuse("sample", "text.pt", *out, message="text.pt: expected a checkpoint of a flow, got something else")
    refuse("sample", "state.pt", *out, message="state.pt: expected a checkpoint of a flow, got another torch file")
    refuse("sample", "bare.pt", *out, message="bare.pt: expected a prior from deblur train-prior, got a flow")
    refuse("sample", "prior.pt", "-o", "there.png", message="there.png: already exists")
    refuse(
        "sample",
        "prior.pt",
        "-o",
        "g.xyz",
        message="g.xyz: expected a suffix like .png .tif .jpg .webp .bmp .fits, got '.xyz'",
    )
    refuse("sample", "prior.pt", *out, "--temperature", "-1", message="expected a temperature of 0 or more, got -1")
    misuse("sample", "prior.pt", *out, "-n", "0", message="Invalid value for '--count' / '-n'")
    misuse("sample", "prior.pt", *out, "--temperature", "hot", message="expected a number like")
    refuse("evaluate-prior", "text.pt", "x.npz", message="text.pt: expected a checkpoint of a flow")
    refuse("evaluate-prior", "prior.pt", "nowhere", message="nowhere: there is no such folder or file")
    refuse(
        "evaluate-prior",
        "prior.pt",
        "small.npz",
        message="small.npz: expected at least 10 pixels a side for a crop, got 8 x 8",
    )
