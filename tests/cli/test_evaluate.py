"""`deblur evaluate` and `deblur info`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import deblur
from deblur import psf


@pytest.fixture
def truth(folder: Path) -> np.ndarray:
    image = np.random.default_rng(0).integers(0, 256, (80, 90)).astype(np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 2)
    cv2.imwrite("truth.png", image)
    return image


def _scores(result: Any) -> dict[str, float]:
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_equal_pictures_have_no_error(run: Any, truth: np.ndarray) -> None:
    scores = _scores(run("evaluate", "truth.png", "truth.png", "--json"))
    assert scores["psnr"] is None  # infinite, which JSON can't say
    assert scores["ssim"] == pytest.approx(1)
    assert "PSNR inf dB, SSIM 1.0000" in run("evaluate", "truth.png", "truth.png").out


def test_psnr_is_that_of_the_stored_values(run: Any, truth: np.ndarray) -> None:
    cv2.imwrite("off.png", truth + 10)
    assert _scores(run("evaluate", "off.png", "truth.png", "--json"))["psnr"] == pytest.approx(
        20 * np.log10(255 / 10), abs=1e-3
    )


def test_a_frame_that_lost_a_kernel_at_its_border_is_compared_in_place(run: Any, truth: np.ndarray) -> None:
    cv2.imwrite("part.png", truth[1 : 1 + 77, 2 : 2 + 85])  # what a kernel of 4 x 6 taps leaves
    for pair in (("part.png", "truth.png"), ("truth.png", "part.png")):
        assert _scores(run("evaluate", *pair, "--json"))["psnr"] is None


def test_a_shift_is_forgiven_by_the_last_number_only(run: Any, truth: np.ndarray) -> None:
    cv2.imwrite("moved.png", np.roll(truth, 2, 1))
    scores = _scores(run("evaluate", "moved.png", "truth.png", "--json"))
    assert scores["psnr"] < 30
    assert scores["shift_tolerant_psnr"] is None or scores["shift_tolerant_psnr"] > 60


def test_pictures_too_small_for_a_score_keep_the_others(run: Any, truth: np.ndarray) -> None:
    cv2.imwrite("small.png", truth[:8, :8])
    scores = _scores(run("evaluate", "small.png", "small.png", "--json"))
    assert scores["ssim"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.png", "truth.png"], "none.png: there is no such file"),
        (["truth.png", "text.png"], "text.png: "),
        (["truth.png", "other.png"], "do not belong together"),
        (["truth.png", "colour.png"], "expected as many channels in both"),
    ],
)
def test_what_is_refused(refuse: Any, truth: np.ndarray, folder: Path, words: list[str], message: str) -> None:
    (folder / "text.png").write_text("no picture")
    cv2.imwrite("other.png", truth[:60, :].repeat(2, 1))
    cv2.imwrite("colour.png", np.stack([truth] * 3, -1))
    refuse("evaluate", *words, message=message)


def test_info_says_what_serves(run: Any) -> None:
    record = json.loads(run("info", "--json").out)
    assert record["deblur"] == deblur.__version__
    assert record["kernel_shapes"] == list(psf.SHAPES)
    assert {"torch", "numpy", "cv2", "threads", "gpu", "native_kernels", "methods"} <= set(record)
    text = run("info").out
    assert f"torch            {record['torch']}" in text


def test_info_says_why_no_native_kernel_serves(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from deblur.ops import _native

    monkeypatch.setattr(_native, "available", lambda: False)
    monkeypatch.setattr(_native, "why_not", lambda: "no compiler was found")
    assert "native kernels   none, the slower reference serves: no compiler was found" in run("info").out
