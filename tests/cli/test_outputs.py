"""Where every picture goes is decided, and everything that speaks against it found, before any work."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deblur.cli.outputs import Job, plan
from deblur.errors import DeblurError, FileError, OptionError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png", "k.npy", "there.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "out").mkdir()
    return tmp_path


def test_the_default_is_a_new_name_beside_the_picture(folder: Path) -> None:
    assert plan(["a.png", "out/c.x.tif"], None) == [
        Job(source="a.png", output="a.deblurred.png"),
        Job(source="out/c.x.tif", output="out/c.x.deblurred.tif"),
    ]


def test_a_folder_keeps_the_names(folder: Path) -> None:
    assert [job.output for job in plan(["a.png", "b.png"], "out")] == ["out/a.png", "out/b.png"]


def test_a_folder_to_be_made_ends_in_a_slash_and_is_not_made_yet(folder: Path) -> None:
    assert [job.output for job in plan(["a.png"], "new/")] == ["new/a.png"]
    assert not (folder / "new").exists()


def test_one_picture_goes_to_a_file_or_to_stdout(folder: Path) -> None:
    assert plan(["a.png"], "c.tif")[0].output == "c.tif"
    assert plan(["a.png"], "-")[0].output == "-"
    assert plan(["-"], None)[0].output == "-"
    assert plan(["-"], "c.png")[0].output == "c.png"


def test_the_comparison_lies_beside_the_output_and_has_the_pictures_name(folder: Path) -> None:
    assert plan(["a.png"], None, compare=True)[0].compare == "a.compare.png"
    assert plan(["a.png"], "out", compare=True)[0].compare == "out/a.compare.png"
    assert plan(["a.png"], "out/c.tif", compare=True)[0].compare == "out/a.compare.png"
    assert plan(["-"], "out/c.tif", compare=True)[0].compare == "out/c.compare.png"


@pytest.mark.parametrize(
    ("sources", "output", "options", "error", "message"),
    [
        (["a.png", "b.png"], "c.png", {}, OptionError, "2 images can't go to the one file c.png"),
        (["a.png", "b.png"], "-", {}, OptionError, "2 images can't go to stdout"),
        (["-", "-"], "out", {}, OptionError, "stdin can be read once only"),
        (["-"], "out", {}, OptionError, "a picture from stdin has no name to keep in the folder out"),
        (["a.png"], "-", {"compare": True}, OptionError, "--compare writes a file"),
        (["a.png"], "a.png", {}, FileError, "a.png: is read and would be written too"),
        (["a.png"], "./out/../a.png", {"exists": "overwrite"}, FileError, "is read and would be written too"),
        (["a.png"], ".", {"exists": "overwrite"}, FileError, "is read and would be written too"),
        (["a.png"], "k.npy", {"exists": "overwrite"}, FileError, "k.npy: is read and would be written too"),
        (
            ["a.png", "out/../a.png"],
            "out",
            {},
            FileError,
            "out/a.png: would be written twice, for a.png and out/../a.png",
        ),
        (
            ["a.png", "a.deblurred.png"],
            None,
            {"exists": "overwrite"},
            FileError,
            "a.deblurred.png: is read and would be",
        ),
        (["a.png"], "there.png", {}, FileError, "there.png: already exists"),
        (["a.png", "there.png"], "out/../out", {"compare": True, "block": True}, FileError, "already exists"),
        (["a.png"], "none/c.png", {}, FileError, "there is no folder none"),
        (["a.png"], "none/deep/", {}, FileError, "none/deep/: can't be made, the folder none does not exist"),
        (
            ["a.png"],
            "c.xyz",
            {},
            FileError,
            "c.xyz: expected a suffix like .png .tif .jpg .webp .bmp .fits, got '.xyz'",
        ),
        (["a.png"], "c", {}, FileError, "c: expected a suffix like .png .tif .jpg .webp .bmp .fits, got ''"),
    ],
)
def test_what_does_not_fit_is_refused(
    folder: Path, sources: list[str], output: str, options: dict[str, bool], error: type[DeblurError], message: str
) -> None:
    if options.pop("block", False):
        (folder / "out" / "there.compare.png").write_bytes(b"x")
    before = sorted(folder.rglob("*"))
    with pytest.raises(error) as caught:
        plan(sources, output, read=["k.npy"], **options)
    assert message in str(caught.value)
    assert sorted(folder.rglob("*")) == before


def test_a_link_to_the_input_is_the_input(folder: Path) -> None:
    (folder / "link.png").symlink_to(folder / "a.png")
    with pytest.raises(FileError, match="is read and would be written too"):
        plan(["a.png"], "link.png", exists="overwrite")


def test_a_bad_picture_is_left_for_its_turn(folder: Path) -> None:
    assert len(plan(["a.png", "missing.png", "none/c.png", "k.xyz"], None)) == 4


def test_force_allows_a_file_that_is_there(folder: Path) -> None:
    assert plan(["a.png"], "there.png", exists="overwrite")[0].output == "there.png"


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "scan", "photo.jpg_original", "page.png"])
def test_an_output_that_is_not_named_has_the_suffix_of_its_picture_and_the_format_of_its_bytes(
    folder: Path, run: Any, name: str
) -> None:
    Image.fromarray(np.full((40, 50), 99, np.uint8)).save(folder / "x.jpg")
    (folder / "x.jpg").rename(folder / name)
    run("apply", name, "-k", "gaussian:sigma=1", "--method", "wiener")
    stem, dot, suffix = name.partition(".")
    assert Image.open(folder / f"{stem}.deblurred{dot}{suffix}").format == "JPEG"


def test_a_name_that_means_another_format_is_told(folder: Path, run: Any) -> None:
    Image.fromarray(np.full((40, 50), 9999, np.uint16)).save(folder / "x.png")
    (folder / "x.png").rename(folder / "deep.jpg")
    told = run("apply", "deep.jpg", "-k", "gaussian:sigma=1", "--method", "wiener").err
    assert "deep.jpg: its bytes are those of a PNG file, and so will be those of deep.deblurred.jpg" in told
    assert Image.open(folder / "deep.deblurred.jpg").mode == "I;16"


def test_what_an_output_does_not_hold_is_told_before_the_work(folder: Path, run: Any) -> None:
    Image.fromarray(np.full((40, 50), 9999, np.uint16)).save(folder / "x.png")
    assert "x.png: 16 bits become 8 in a JPEG" in run("apply", "x.png", "-k", "gaussian:sigma=1", "-o", "x.jpg").err


def test_the_size_that_an_output_does_not_hold_is_refused_before_the_work(folder: Path, refuse: Any) -> None:
    Image.fromarray(np.zeros((4, 16384), np.uint8)).save(folder / "wide.png")
    words = ["apply", "wide.png", "-k", "gaussian:sigma=1", "-o", "wide.webp"]
    refuse(*words, message="expected at most 16383 pixels a side for WebP, got 16384")


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes are those of Linux")
def test_names_of_any_bytes_are_read_and_written(folder: Path, run: Any) -> None:
    Image.fromarray(np.full((40, 50), 99, np.uint8)).save(folder / "x.png")
    name = os.fsdecode(b"caf\xe9 \xff.png")
    (folder / "x.png").rename(folder / name)
    assert run("apply", name, "-k", "gaussian:sigma=1", "--method", "wiener").code == 0
    assert (folder / os.fsdecode(b"caf\xe9 \xff.deblurred.png")).exists()


def test_what_is_read_only_comes_out_in_another_format_under_another_suffix(folder: Path, run: Any) -> None:
    heif = pytest.importorskip("pillow_heif")
    samples = np.full((40, 50, 3), 99, np.uint8)
    heif.from_bytes("RGB", (50, 40), samples.tobytes()).save(folder / "IMG_2.HEIC")
    run("apply", "IMG_2.HEIC", "-k", "gaussian:sigma=1", "--method", "wiener")
    assert Image.open(folder / "IMG_2.deblurred.jpg").format == "JPEG"
    run("apply", "IMG_2.HEIC", "-k", "gaussian:sigma=1", "--method", "wiener", "-o", "out/")
    assert Image.open(folder / "out" / "IMG_2.jpg").format == "JPEG"
    assert "name the output .jpg" in run("apply", "IMG_2.HEIC", "-k", "gaussian:sigma=1", "-o", "x.heic").error


@pytest.mark.parametrize(
    "words",
    [
        ("blur", "x.png", "-k", "gaussian:sigma=1", "-o", "x.jpg"),
        ("fit", "x.png", "--parametric", "gaussian", "-o", "found.npy", "--restore", "x.jpg"),
    ],
)
def test_what_any_output_does_not_hold_is_told_before_the_work(
    folder: Path, run: Any, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    Image.fromarray(np.full((60, 64), 9999, np.uint16)).save(folder / "x.png")

    def fail(*_: object, **__: object) -> None:
        raise OptionError("the work")

    monkeypatch.setattr("deblur.fitting.estimate", fail)
    monkeypatch.setattr("deblur.cli.jobs.blur.expose", fail)
    told = run(*words).err
    assert told.index("x.png: 16 bits become 8 in a JPEG") < told.index("the work")
