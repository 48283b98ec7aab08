"""What goes with a kernel: its confidence and its factors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from deblur import psf
from deblur.errors import FileError
from deblur.noise import MISFIT, effective_sigma
from deblur.psf.quadrant import MaskedForm
from deblur.psf.sidecar import encode_factors, informed, read_sidecar
from deblur.restoring import ApplyOptions

FACTORS = (MaskedForm("top_left", np.array([[0.75, 0.25]])), MaskedForm("bottom_right", np.array([[0.5], [0.5]])))


@pytest.fixture
def factors(tmp_path: Path) -> Path:
    path = tmp_path / "factors.npz"
    path.write_bytes(encode_factors(FACTORS, np.full((3, 3), 1 / 9)))
    return path


def test_factors_come_back(factors: Path) -> None:
    known = read_sidecar(factors)
    assert [factor.orientation for factor in known.factors] == ["top_left", "bottom_right"]
    for found, written in zip(known.factors, FACTORS, strict=True):
        np.testing.assert_array_equal(found.weight, written.weight)
    np.testing.assert_allclose(psf.read(factors), 1 / 9)


def test_options_take_what_was_not_said(factors: Path) -> None:
    factors.with_suffix(".json").write_text(json.dumps({"confidence": 0.8}))
    assert informed(ApplyOptions(), str(factors)).confidence == 0.8
    assert informed(ApplyOptions(confidence=0.2), factors).confidence == 0.2
    assert len(informed(ApplyOptions(method="exact"), factors).settings["factors"]) == len(FACTORS)
    assert informed(ApplyOptions(), np.ones((3, 3))) == ApplyOptions()
    assert informed(ApplyOptions(), "motion:length=3") == ApplyOptions()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"confidence": 2}', '{"confidence": "high"}', "no json"])
def test_another_file_of_that_name_says_nothing(factors: Path, text: str) -> None:
    factors.with_suffix(".json").write_text(text)
    assert read_sidecar(factors).confidence is None


def test_damaged_factors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, format=np.array("masked convolutions 9"), kernel=np.ones((3, 3)))
    with pytest.raises(FileError, match="expected the format 'masked convolutions 1'"):
        read_sidecar(path)
    np.savez(
        path, format=np.array("masked convolutions 1"), orientations=np.array(["top_left"]), kernel=np.ones((3, 3))
    )
    with pytest.raises(FileError, match="damaged or incomplete"):
        read_sidecar(path)
    np.savez(path, kernel=np.ones((3, 3)))
    assert read_sidecar(path).factors == ()


def test_confidence_moves_the_misfit() -> None:
    half, sure, doubtful = (effective_sigma(0.0, 1.0, confidence=c) for c in (0.5, 1.0, 0.0))
    assert half == effective_sigma(0.0, 1.0) == MISFIT
    assert (sure, doubtful) == (MISFIT / 2, 2 * MISFIT)
