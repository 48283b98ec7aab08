"""`deblur fit` from file to file."""

from __future__ import annotations

import dataclasses
import json
import typing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from scenes import distance
from skimage import data

import deblur
from deblur import config, fitting, psf
from deblur.cli import main
from deblur.cli.fit import fit
from deblur.cli.jobs.fit import Settings
from deblur.errors import OptionError, ShapeError
from deblur.estimation import ESTIMATORS, Estimate, estimator

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("fit*.yaml"))
KERNEL = "motion:length=7,angle=30"
LINEAR = ("--transfer", "linear")


def _pictures() -> None:
    """sharp.png (16-bit gray, 160 x 150), blurred.png made of it, and other.png, another scene."""
    cv2.imwrite("sharp.png", data.camera()[100:250, 120:280].astype(np.uint16) * 257)
    cv2.imwrite("other.png", data.coins()[60:210, 60:220].astype(np.uint16) * 257)
    assert main(["blur", "sharp.png", "--kernel", KERNEL, "-o", "blurred.png", *LINEAR]) == 0


@pytest.fixture(autouse=True)
def pictures(folder: Path, stock: Any) -> None:
    stock(_pictures)


def test_a_pair_gives_the_kernel_and_what_goes_with_it(run: Any) -> None:
    words = ["--picture", "k.png", "--report", "report.png", "--restore", "restored.png"]
    result = run("fit", "blurred.png", "--sharp", "sharp.png", "-o", "k.npy", *LINEAR, *words)
    assert result.code == 0, result.err
    (line,) = result.out.splitlines()
    assert line.startswith("blurred.png -> k.npy: a blur of about 7 pixels; sure (")
    kernel = np.load("k.npy")
    assert kernel.dtype == np.float64  # what was found, to the bit
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    assert distance(kernel, psf.make(KERNEL)) < 0.02
    record = json.loads(Path("k.json").read_text())
    assert {"size", "sigma", "method", "version", "seconds", "confidence"} <= set(record)
    assert record["size"] == list(kernel.shape)
    restored, blurred = (cv2.imread(name, cv2.IMREAD_UNCHANGED) for name in ("restored.png", "blurred.png"))
    assert restored.shape == blurred.shape
    assert cv2.imread("report.png") is not None
    assert cv2.imread("k.png") is not None
    evaluated = json.loads(run("evaluate", "restored.png", "sharp.png", "--json").out)
    before = json.loads(run("evaluate", "blurred.png", "sharp.png", "--json").out)
    assert evaluated["psnr"] > before["psnr"] + 5


def test_apply_weighs_the_kernel_by_its_confidence(run: Any) -> None:
    assert run("fit", "blurred.png", "--sharp", "sharp.png", "-o", "k.npy", *LINEAR).code == 0
    words = ["apply", "blurred.png", "-k", "k.npy", *LINEAR, "--method", "wiener", "--force"]
    pictures = []
    for extra in ([], ["--confidence", "1"], ["--confidence", "0"]):
        assert run(*words, "-o", "r.png", *extra).code == 0
        pictures.append(cv2.imread("r.png", cv2.IMREAD_UNCHANGED).astype(float))
    beside, sure, doubtful = pictures
    assert np.abs(beside - sure).max() < np.abs(beside - doubtful).max() / 10


def test_a_masked_model_is_undone_exactly(run: Any) -> None:
    trail = ["exponential:decay=1,angle=-45", "--boundary", "zero", *LINEAR]
    assert run("blur", "sharp.png", "--kernel", *trail, "-o", "trail.png").code == 0
    words = ["--sharp", "sharp.png", "--model", "masked", "--size", "9", "-o", "factors.npz", *LINEAR, "--json"]
    result = run("fit", "trail.png", *words)
    assert result.code == 0, result.err
    assert json.loads(result.out)["details"]["orientations"] == ["top_left"]
    words = ["--method", "exact", "--boundary", "zero", *LINEAR, "--truth", "sharp.png", "--json", "-o", "back.png"]
    result = run("apply", "trail.png", "-k", "factors.npz", *words)
    assert json.loads(result.out)["psnr"] > 45


def test_a_named_blur_is_fitted_to_a_pair(run: Any) -> None:
    words = ["--parametric", "motion", "--size", "11", "-o", "k.npy", *LINEAR, "--json"]
    record = json.loads(run("fit", "blurred.png", "--sharp", "sharp.png", *words).out)
    assert record["details"]["length"] == pytest.approx(7, abs=0.3)
    assert record["details"]["angle"] == pytest.approx(30, abs=2)


def test_a_named_blur_is_fitted_to_a_picture_alone(run: Any) -> None:
    result = run("fit", "blurred.png", "--parametric", "defocus", "--size", "9", "-o", "k.npy", *LINEAR)
    assert result.code == 0, result.err
    assert "defocus:radius=" in result.out


def test_a_picture_alone_goes_to_the_blind_estimator(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def record(self: Any, frames: Any, **arguments: Any) -> Estimate:
        given.append((self.size, [tuple(frame.shape) for frame in frames]))
        return Estimate(kernel=psf.Kernel([[1.0]], confidence=0.5), method="blind", warnings=("nothing to remove",))

    kind = type(estimator())
    monkeypatch.setattr(kind, "__call__", record)
    words = ["fit", "blurred.png", "sharp.png", "--size", "15"]
    result = run(*words, "--together", "-o", "k.npy")
    assert result.code == 0, result.err
    assert given == [(15, [(1, 146, 152), (1, 150, 160)])]
    assert result.out.startswith("blurred.png, sharp.png -> k.npy: no blur that could be removed; 1 x 1 taps, ")
    assert result.out.strip().endswith("warning: nothing to remove")
    assert run(*words, "--model", "taps").code == 0
    assert given[1:] == [(15, [(1, 146, 152)]), (15, [(1, 150, 160)])]
    assert [np.load(f"{name}.kernel.npy").tolist() for name in ("blurred", "sharp")] == [[[1.0]], [[1.0]]]


def test_every_picture_has_its_kernel_and_a_bad_one_stops_no_other(run: Any, folder: Path) -> None:
    Path("bad.png").write_text("no picture")
    words = ["fit", "blurred.png", "bad.png", "none.png", "other.png", "--parametric", "defocus", "--size", "9"]
    result = run(*words, "-o", "kernels/", "--json")
    assert result.code == 1
    records = [json.loads(line) for line in result.out.splitlines()]
    assert [record["images"] for record in records] == [["blurred.png"], ["bad.png"], ["none.png"], ["other.png"]]
    assert [set(record) == {"images", "error"} for record in records] == [False, True, True, False]
    assert records[0]["found"].startswith("out of focus, radius ")
    assert len(result.err.splitlines()) == 2
    names = [f"{name}.kernel.{suffix}" for name in ("blurred", "other") for suffix in ("json", "npy")]
    assert sorted(path.name for path in (folder / "kernels").iterdir()) == names
    assert records[3]["output"] == "kernels/other.kernel.npy"


def test_the_region_is_looked_at_and_named(run: Any) -> None:
    words = ["--sharp", "sharp.png", "-o", "k.npy", "--region", "20,30,100,90", *LINEAR, "--json"]
    record = json.loads(run("fit", "blurred.png", *words).out)
    assert record["region"] == [20, 30, 100, 90]
    assert distance(np.load("k.npy"), psf.make(KERNEL)) < 0.05


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["blurred.png", "--size", "8"], "expected an odd size of 3 or more, got 8"),
        (["blurred.png", "--size", "99"], "at most half the picture's shorter side"),
        (["blurred.png", "--sharp", "sharp.png", "--size", "63"], "at most 61 taps for a pair"),
        (["flat.png"], "the picture is flat"),
        (["noise.png"], "the picture is flat"),
        (["tiny.png"], "expected a picture of at least 32 x 32 pixels, got 20 x 16"),
        (["nan.tif"], "NaN"),
        (["blurred.png", "--sharp", "narrow.png"], "like the blurred one"),
        (["blurred.png", "--sharp", "other.png"], "to show the same scene"),
        (["blurred.png", "--model", "masked", "-o", "k.npz"], "a masked model is fitted to a pair"),
        (
            ["blurred.png", "--model", "masked"],
            "expected a file name in .npz for masked convolutions, got '.npy'; name it k.npz",
        ),
        (
            ["blurred.png", "--sharp", "sharp.png", "-o", "k.mat"],
            "expected a file name in .npy for a kernel, got '.mat'",
        ),
        (["blurred.png", "--sharp", "sharp.png", "--restore", "sharp.png"], "is read and would be written"),
        (["blurred.png", "--sharp", "sharp.png", "--restore", "k.json"], "k.json: expected a suffix like .png"),
        (["blurred.png", "--sharp", "sharp.png", "--config", "bad.yaml"], "unknown key 'szie', did you mean 'size'?"),
        (["blurred.png", "--config", "setting.yaml"], "unknown setting of blind 'refin', did you mean 'refine'?"),
        (["blurred.png", "other.png", "--restore", "r.png"], "show one picture"),
        (["blurred.png", "other.png", "--picture", "k.png", "-o", "kernels/"], "--picture shows one kernel"),
        (["blurred.png", "other.png"], "2 kernels can't go to the one file k.npy; give -o a folder"),
        (["blurred.png", "./blurred.png", "-o", "kernels/"], "kernels/blurred.kernel.npy: would be written twice"),
        (["blurred.png", "-o", "none/deep/"], "none/deep/: can't be made, the folder none does not exist"),
        (["-", "-o", "kernels/"], "a picture from stdin has no name to give to its kernel"),
        (["blurred.png", "--model", "fir"], "unknown model 'fir'"),
        (["blurred.png", "--parametric", "defocs"], "unknown parametric blur 'defocs', did you mean 'defocus'?"),
        (["missing.png"], "there is no such file"),
        (["blurred.png", "--region", "0,0,999,9"], "leaves the frame"),
        (["blurred.png", "--sharp", "sharp.png", "-o", "there.npy"], "already exists"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(run: Any, refuse: Any, words: list[str], message: str) -> None:
    cv2.imwrite("flat.png", np.full((80, 90), 128, np.uint8))
    noise = 128 + 5 * np.random.default_rng(0).normal(size=(80, 90))
    cv2.imwrite("noise.png", noise.astype(np.uint8))
    cv2.imwrite("tiny.png", data.camera()[:16, :20])
    cv2.imwrite("narrow.png", data.camera()[:150, :120])
    tifffile.imwrite("nan.tif", np.full((80, 90), np.nan, np.float32))
    Path("bad.yaml").write_text("szie: 15\n")
    Path("setting.yaml").write_text("settings:\n  refin: false\n")
    Path("there.npy").write_bytes(b"old")
    refuse("fit", *words, *([] if "-o" in words else ["-o", "k.npy"]), message=message)


@pytest.mark.parametrize(
    "words",
    [
        ["blurred.png", "--size", "large", "-o", "k.npy"],
        ["blurred.png", "other.png", "--together"],
        ["blurred.png", "other.png", "--sharp", "sharp.png"],
    ],
)
def test_wrong_words_are_a_usage_error(misuse: Any, words: list[str]) -> None:
    misuse("fit", *words, message="deblur fit")


def test_an_interrupted_run_leaves_nothing(run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(folder.iterdir())

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("deblur.cli.jobs.findings.atomic_write", interrupt)  # the last files of several
    result = run("fit", "blurred.png", "--sharp", "sharp.png", "-o", "k.npy", "--picture", "k.png", *LINEAR)
    assert result.code == 130
    assert sorted(folder.iterdir()) == before


def test_every_setting_has_a_flag() -> None:
    flags = {name.rstrip("_") for name in typing.get_type_hints(fit)}
    assert {item.name for item in dataclasses.fields(Settings)} - {"settings"} <= flags


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_file_in_configs_builds_its_estimator(path: Path) -> None:
    settings = config.load(Settings, path)
    pair = "pair" in path.stem or settings.model == "masked"
    size = None if isinstance(settings.size, str) else settings.size
    made = estimator(
        model=settings.model, parametric=settings.parametric, pair=pair, size=size, settings=settings.settings
    )
    assert type(made).__module__.startswith("deblur.estimation.")


def test_every_estimator_has_a_file() -> None:
    assert len(CONFIGS) >= len(ESTIMATORS) - 1  # one for both parametric ones


def test_fit_takes_arrays_and_tensors_alike() -> None:
    sharp = data.camera()[100:250, 120:280]
    blurred = cv2.imread("blurred.png", cv2.IMREAD_UNCHANGED)
    kernels = [
        deblur.fit(blurred, sharp, size=9, transfer="linear").kernel,
        deblur.fit([blurred[..., None] / 65535], sharp[..., None] / 255, size=9, transfer="linear").kernel,
    ]
    np.testing.assert_allclose(kernels[0], kernels[1], atol=1e-3)
    with pytest.raises(ShapeError, match="NaN"):
        deblur.fit(np.full((50, 50), np.nan))
    with pytest.raises(OptionError, match="at least one blurred picture"):
        fitting.estimate([])
