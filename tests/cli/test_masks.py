"""`--mask`, NaN in a float file and what was not exposed, from file to file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from skimage import data

import deblur

KERNEL = "gaussian:sigma=1.5"
APPLY = ["--kernel", KERNEL, "--method", "wiener", "--noise", "0.003", "--json"]
HOLE = (slice(40, 48), slice(50, 60))


@pytest.fixture(autouse=True)
def pictures(folder: Path) -> None:
    """spoilt.png with a bad block, mask.png that names it, nan.tif with NaN there, barred.png with black bars."""
    frame = deblur.blur(data.camera()[60:180, 90:230], KERNEL)
    spoilt, mask = frame.copy(), np.full(frame.shape, 255, np.uint8)
    spoilt[HOLE], mask[HOLE] = 255, 0
    nan = (frame / 255).astype(np.float32)
    nan[HOLE] = np.nan
    cv2.imwrite("spoilt.png", spoilt)
    cv2.imwrite("mask.png", mask)
    cv2.imwrite("small.png", mask[:50, :60])
    cv2.imwrite("nothing.png", 0 * mask)
    tifffile.imwrite("nan.tif", nan)
    tifffile.imwrite("mostly.tif", np.where(mask, np.float32(np.nan), nan))
    cv2.imwrite("barred.png", np.pad(frame, ((24, 24), (0, 0))))


def _apply(run: Any, *words: str) -> dict[str, Any]:
    result = run("apply", *words, *APPLY)
    assert result.code == 0, result.err
    return dict(json.loads(result.out.splitlines()[-1]))


def _read(name: str) -> np.ndarray:
    image = tifffile.imread(name) if name.endswith(".tif") else cv2.imread(name, cv2.IMREAD_UNCHANGED)
    return image.astype(float) / (1 if image.dtype.kind == "f" else 255)


def test_a_mask_and_nan_say_the_same_and_are_told(run: Any) -> None:
    by_mask = _apply(run, "spoilt.png", "--mask", "mask.png", "-o", "mask_out.png")
    by_nan = _apply(run, "nan.tif", "--transfer", "srgb", "-o", "nan_out.tif")
    assert by_mask["notes"] == ["80 pixels not believed (--mask)"]
    assert by_nan["notes"] == ["80 pixels not believed (NaN)"]
    assert np.abs(_read("mask_out.png") - _read("nan_out.tif").clip(0, 1)).max() < 0.03


def test_one_mask_serves_every_picture_and_every_region_of_it(run: Any) -> None:
    cv2.imwrite("b.png", cv2.imread("spoilt.png", cv2.IMREAD_UNCHANGED))
    _apply(run, "spoilt.png", "b.png", "--mask", "mask.png", "-o", "all/")
    np.testing.assert_array_equal(_read("all/spoilt.png"), _read("all/b.png"))
    _apply(run, "b.png", "--mask", "mask.png", "--region", "45,35,24,20", "-o", "part.png")
    assert np.abs(_read("part.png") - _read("all/b.png")[35:55, 45:69]).mean() < 0.01


def test_bars_are_left_out_and_stay_unless_told_otherwise(run: Any) -> None:
    note = "black bars of 24 rows at the top and bottom left out (--mask none takes them as picture)"
    assert _apply(run, "barred.png", "-o", "auto.png")["notes"] == [note]
    assert (
        _apply(run, "barred.png", "--mask", "none", "--outliers", "none", "--trust", "none", "-o", "none.png")["notes"]
        == []
    )
    assert (_read("auto.png")[:24] == 0).all()
    assert np.abs(_read("auto.png") - _read("none.png"))[24:40].max() > 0.05
    assert _apply(run, "barred.png", "--region", "30,20,40,40", "-o", "part.png")["notes"] == [note]
    assert np.abs(_read("part.png") - _read("auto.png")[20:60, 30:70]).mean() < 0.01


def test_fit_takes_them_too(run: Any) -> None:
    cv2.imwrite("sharp.png", data.camera()[60:180, 90:230])
    words = ["--sharp", "sharp.png", "-o", "k.npy", "--restore", "r.png", "--force"]
    result = run("fit", "spoilt.png", "--mask", "mask.png", *words)
    assert result.code == 0, result.err
    assert "note: spoilt.png: 80 pixels not believed (--mask)" in result.err
    assert np.abs(np.load("k.npy") - _centred(np.load("k.npy").shape)).sum() < 0.15
    assert json.loads(Path("k.json").read_text())["notes"] == ["80 pixels not believed (--mask)"]
    result = run("fit", "nan.tif", "--sharp", "sharp.png", "-o", "k.npy", "--force")
    assert "note: nan.tif: 80 pixels not believed (NaN)" in result.err


def _centred(shape: tuple[int, ...]) -> np.ndarray:
    y, x = (np.arange(n) - n // 2 for n in shape)
    taps = np.exp(-(y[:, None] ** 2 + x**2) / (2 * 1.5**2))
    return np.asarray(taps / taps.sum())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["spoilt.png", "--mask", "small.png"], "expected a mask of 128 x 108 pixels like the picture, got 60 x 50"),
        (["spoilt.png", "--mask", "nothing.png"], "got 0 everywhere; invert it"),
        (["spoilt.png", "--mask", "none.png"], "none.png: there is no such file"),
        (["spoilt.png", "--mask", "mask.png", "-o", "mask.png", "--force"], "mask.png: is read and would be written"),
        (["mostly.tif"], "mostly.tif: expected finite pixel values, got NaN or infinity in 100% of the pixels"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused_in_one_line(refuse: Any, words: list[str], message: str) -> None:
    refuse("apply", *words, "--kernel", KERNEL, *([] if "-o" in words else ["-o", "out.png"]), message=message)


def test_other_commands_refuse_nan_as_before(refuse: Any) -> None:
    refuse("blur", "nan.tif", "--kernel", KERNEL, "-o", "b.tif", message="expected finite values, got NaN")
    refuse("evaluate", "nan.tif", "spoilt.png", message="expected finite values, got NaN")
