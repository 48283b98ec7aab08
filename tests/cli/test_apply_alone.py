"""`deblur apply` without a kernel: a photograph goes in, the best comes out."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from skimage import data

from deblur import fitting, images, psf
from deblur.cli import main
from deblur.errors import FileError
from deblur.estimation import Estimate
from deblur.psf import Kernel

BLUR = "defocus:radius=3"
TAPS = np.random.default_rng(3).random((5, 7)) ** 4


def _pictures() -> None:
    """b.png (8-bit gray) and c.jpg (colour), out of focus."""
    cv2.imwrite("sharp.png", data.camera()[100:250, 120:280])
    cv2.imwrite("sharp_c.png", data.astronaut()[60:200, 180:330, ::-1])
    for sharp, name in (("sharp.png", "b.png"), ("sharp_c.png", "c.jpg")):
        assert main(["blur", sharp, "--kernel", BLUR, "--noise", "0.005", "-o", name]) == 0
    for name in ("sharp.png", "sharp_c.png"):
        Path(name).unlink()


@pytest.fixture(autouse=True)
def pictures(folder: Path, stock: Any) -> None:
    stock(_pictures)


@dataclass(frozen=True, kw_only=True)
class Guess:
    """Says of every picture that a shake blurred it, a larger one where its left half is the brighter."""

    size: int | None = None

    def __call__(self, frames: Any, **_: Any) -> Estimate:
        SEEN.append(tuple(frames[0].shape))
        left, right = (float(half.mean()) for half in frames[0].tensor_split(2, -1))
        taps = TAPS if left < right else np.pad(TAPS, 2, mode="wrap")
        kernel = Kernel(taps, confidence=0.731, misfit=0.0041, source="one picture alone")
        return Estimate(kernel=kernel, method="guess", warnings=("a guess",))


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """Says that there is nothing to remove."""

    size: int | None = None

    def __call__(self, frames: Any, **_: Any) -> Estimate:
        return Estimate(kernel=Kernel([[1.0]], confidence=0.93), method="blind")


SEEN: list[tuple[int, ...]] = []


@pytest.fixture
def guess(monkeypatch: pytest.MonkeyPatch) -> None:
    SEEN.clear()
    monkeypatch.setattr(fitting, "find", lambda picture, *_: Guess()([picture.pixels]))


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "find", lambda picture, *_: Nothing()([picture.pixels]))


def _read(name: str) -> np.ndarray:
    image = cv2.imread(name, cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


def _alike(run: Any, fit: list[str], apply: list[str]) -> None:
    """Both ways give the same picture and the same kernel, to the bit."""
    for name, suffix in (("b.png", ".png"), ("c.jpg", ".jpg")):
        at_once = run("apply", name, *apply, "-o", f"once{suffix}", "--kernel-out", "once.npy", "--force", "--json")
        assert at_once.code == 0, at_once.err
        words = [*fit, "-o", "k.npy", "--restore", f"beside{suffix}", "--force"]
        assert run("fit", name, *words).code == 0
        apart = run("apply", name, "-k", "k.npy", "-o", f"apart{suffix}", "--force", "--json")
        assert Path(f"once{suffix}").read_bytes() == Path(f"apart{suffix}").read_bytes()
        assert Path("once.npy").read_bytes() == Path("k.npy").read_bytes()
        kernels = [json.loads(Path(name).read_text()) for name in ("once.json", "k.json")]
        for record in kernels:
            del record["seconds"]
        assert kernels[0] == kernels[1]
        found, given = (json.loads(result.out) for result in (at_once, apart))
        if found["trusted"] > 0:  # else the file was copied
            assert Path(f"beside{suffix}").read_bytes() == Path(f"apart{suffix}").read_bytes()
        kernel = psf.read("k.npy")
        assert (found["confidence"], found["misfit"]) == (kernel.confidence, kernel.misfit)
        for key in ("method", "sigma", "status", "residual", "steps"):
            assert found[key] == given[key], key
        told = [*kernels[0]["notes"], *kernels[0]["warnings"], *given["notes"]]
        assert found["notes"] == list(dict.fromkeys(told))


@pytest.mark.parametrize("kernel", ["defocus", "motion"])
def test_a_blur_with_a_name_gives_what_fit_and_apply_give_one_after_the_other(run: Any, kernel: str) -> None:
    _alike(run, ["--parametric", kernel], ["--kernel", kernel])


def test_free_taps_give_what_fit_and_apply_give_one_after_the_other(run: Any, guess: None) -> None:
    _alike(run, [], [])


@pytest.mark.slow
def test_a_photograph_alone_gives_what_fit_and_apply_give_one_after_the_other(run: Any) -> None:
    _alike(run, [], [])


def test_the_line_says_what_was_found_how_sure_it_is_and_what_was_done(run: Any, guess: None) -> None:
    result = run("apply", "b.png", "--trust", "none")
    assert result.code == 0, result.err
    before, _, seconds = result.out.rstrip("\n").rpartition("; ")
    assert before == "b.png -> b.deblurred.png: camera shake, about 7 pixels; quite sure (0.73); restored"
    assert seconds.endswith(" s")
    assert result.err == "deblur: note: b.png: a guess\n"
    (record,) = [json.loads(run("apply", "b.png", "--trust", "none", "--json", "-o", "r.png").out)]
    assert record["found"] == "camera shake, about 7 pixels"
    assert record["size"] == [5, 7]
    assert (record["confidence"], record["misfit"], record["source"]) == (0.731, 0.0041, "one picture alone")
    assert (record["done"], record["trusted"]) == ("restored", 1.0)
    assert record["seconds_in_all"] >= record["seconds"] > 0


def test_a_kernel_that_the_picture_does_not_bear_out_is_said_to_have_changed_nothing(run: Any, guess: None) -> None:
    result = run("apply", "b.png", "--json")
    record = json.loads(result.out)
    assert record["trusted"] <= 0.05
    assert record["done"] == "left as it was"


def test_every_picture_has_its_own_blur(run: Any, guess: None, folder: Path) -> None:
    cv2.imwrite("mirrored.png", _read("b.png")[:, ::-1])
    (folder / "bad.png").write_text("no picture")
    result = run("apply", "b.png", "bad.png", "mirrored.png", "-o", "out/", "--kernel-out", "kernels/")
    assert result.code == 1
    assert result.error.startswith("bad.png: ")
    assert len(result.out.splitlines()) == 2
    assert sorted(path.name for path in Path("out").iterdir()) == ["b.png", "mirrored.png"]
    assert [psf.read(f"kernels/{name}.kernel.npy").shape for name in ("b", "mirrored")] == [(5, 7), (9, 11)]


def test_every_page_has_its_own_blur(run: Any, refuse: Any, guess: None) -> None:
    page = _read("b.png")
    tifffile.imwrite("pages.tif", np.stack([page, page[:, ::-1]]), photometric="minisblack")
    result = run("apply", "pages.tif", "--json")
    assert [json.loads(line)["size"] for line in result.out.splitlines()] == [[5, 7], [9, 11]]
    words = ["apply", "pages.tif", "-o", "r.tif"]
    refuse(*words, "--kernel-out", "k.npy", message="a kernel file shows one picture, this file has 2 pages")
    refuse(*words, "--report", "r.png", message="a report shows one picture, this file has 2 pages")


def test_the_blur_of_a_part_is_looked_for_in_the_whole(run: Any, guess: None) -> None:
    part = ["--region", "60,50,40,30"]
    assert run("apply", "b.png", *part, "-o", "part.png").code == 0
    assert [(1, *_read("b.png").shape)] == SEEN
    words = ["apply", "b.png", "-k", "defocus", "--method", "tv", "--noise", "0.005"]
    records = [json.loads(run(*words, *more, "--json").out) for more in (["-o", "w.png"], ["-o", "p.png", *part])]
    assert records[0]["source"] == records[1]["source"]
    assert np.abs(_read("p.png").astype(int) - _read("w.png")[50:80, 60:100]).mean() < 0.5


def test_a_file_is_read_once(run: Any, guess: None, monkeypatch: pytest.MonkeyPatch) -> None:
    read, load = [], Path.read_bytes

    def count(path: Path) -> bytes:
        read.append(path.name)
        return load(path)

    monkeypatch.setattr(Path, "read_bytes", count)
    assert run("apply", "b.png").code == 0
    assert read.count("b.png") == 1


def test_a_pipe_needs_no_kernel(capfdbinary: Any, guess: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["apply", "b.png", "-o", "r.png"]) == 0
    capfdbinary.readouterr()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path("b.png").read_bytes())))
    assert main(["apply", "-", "--kernel-out", "k.npy"]) == 0
    out, err = capfdbinary.readouterr()
    assert np.array_equal(cv2.imdecode(np.frombuffer(out, np.uint8), cv2.IMREAD_UNCHANGED), _read("r.png"))
    assert err.startswith(b"- -> -: camera shake, ")
    assert psf.read("k.npy").shape == (5, 7)


def test_the_report_shows_kernel_blurred_restored_and_residual(run: Any, guess: None) -> None:
    assert run("apply", "c.jpg", "--report", "report.png", "--region", "10,10,80,70").code == 0
    height, width = _read("report.png").shape[:2]
    assert height == 70
    assert width > 3 * 80


def test_nothing_is_written_where_one_of_the_files_cannot_be(
    run: Any, folder: Path, guess: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(folder.rglob("*"))
    write = images.write_frames

    def failing(path: Any, *given: Any, **options: Any) -> None:
        if str(path).endswith("b.png"):
            raise FileError(f"{path}: the disk is full")
        write(path, *given, **options)

    monkeypatch.setattr(images, "write_frames", failing)
    words = ["--kernel-out", "kernels/", "--report", "report.png", "--compare", "-o", "out/", "--trust", "none"]
    result = run("apply", "b.png", *words)
    assert (result.code, result.error) == (1, "out/b.png: the disk is full")
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["b.png", "--kernel-out", "k.mat"], "expected a file name in .npy for a kernel, got '.mat'"),
        (["b.png", "--kernel-out", "there.npy"], "there.npy: already exists"),
        (["b.png", "--kernel-out", "new.npy"], "new.json: already exists"),
        (["b.png", "--report", "there.png"], "there.png: already exists"),
        (["b.png", "--report", "r.npy"], "r.npy: expected a suffix like .png"),
        (["b.png", "--report", "r.png", "-o", "r.png"], "r.png: would be written twice"),
        (["b.png", "--kernel-out", "none/deep/"], "none/deep/: can't be made"),
        (["b.png", "c.jpg", "--kernel-out", "k.npy"], "2 kernels can't go to the one file k.npy"),
        (["b.png", "c.jpg", "--report", "r.png"], "--report shows one picture"),
        (["b.png", "--kernel-out", "k.npy", "-k", BLUR], "--kernel-out writes a kernel that is found"),
        (["b.png", "--flip-kernel"], "--flip-kernel turns a kernel that is read"),
        (["b.png", "--region", "0,0,999,9"], "leaves the frame"),
        (["b.png", "-k", "moton"], "unknown kernel 'moton', did you mean 'motion'?"),
        (["flat.png"], "flat.png: the picture is flat"),
        (["-", "--kernel-out", "kernels/", "-o", "r.png"], "a picture from stdin has no name to give to its kernel"),
    ],
)
def test_what_is_refused(refuse: Any, guess: None, words: list[str], message: str) -> None:
    for name in ("there.npy", "there.png", "new.json"):
        Path(name).write_bytes(b"old")
    cv2.imwrite("flat.png", np.full((80, 90), 128, np.uint8))
    refuse("apply", *words, message=message)
    assert not SEEN


@pytest.mark.parametrize("given", [False, True], ids=["found", "from a file"])
def test_a_picture_without_a_blur_is_left_as_it_was(run: Any, nothing: None, given: bool) -> None:
    kernel = []
    if given:
        assert run("fit", "b.png", "-o", "k.npy").code == 0
        assert psf.read("k.npy").shape == (1, 1)
        kernel = ["-k", "k.npy"]
    tifffile.imwrite("float.tif", (_read("b.png") / 255).astype(np.float32))
    for name in ("b.png", "c.jpg", "float.tif"):
        result = run("apply", name, *kernel)
        assert result.code == 0, result.err
        assert "left as it was" in result.out
        assert ("no blur that could be removed" in result.out) is not given
        assert "sure" not in result.out
        path = Path(name)
        assert path.with_name(f"{path.stem}.deblurred{path.suffix}").read_bytes() == path.read_bytes()


def test_the_pixels_of_a_picture_without_a_blur_stay_in_another_format_and_in_a_part(run: Any, nothing: None) -> None:
    values = _read("c.jpg").astype(np.uint16) * 257 - np.random.default_rng(0).integers(0, 99, dtype=np.uint16)
    cv2.imwrite("deep.png", values)
    assert run("apply", "deep.png", "-o", "deep.tif").code == 0
    assert run("apply", "deep.png", "--region", "5,6,20,30", "-o", "part.png").code == 0
    assert run("apply", "c.jpg", "-o", "c.png").code == 0
    np.testing.assert_array_equal(_read("deep.tif"), values)
    np.testing.assert_array_equal(_read("part.png"), values[6:36, 5:25])
    np.testing.assert_array_equal(_read("c.png"), _read("c.jpg"))
    assert run("apply", "c.jpg", "--quality", "30", "-o", "small.jpg").code == 0
    assert Path("small.jpg").stat().st_size < Path("c.jpg").stat().st_size


def test_a_picture_without_a_blur_goes_through_a_pipe_as_it_is(
    capfdbinary: Any, nothing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path("c.jpg").read_bytes())))
    assert main(["apply", "-"]) == 0
    assert capfdbinary.readouterr().out == Path("c.jpg").read_bytes()
