"""`deblur apply` from file to file."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import yaml
from skimage import data

from deblur import images, restoring
from deblur.cli import main
from deblur.restoration import RESTORERS
from deblur.restoration.auto import DEFAULT_METHOD, SMALL_METHOD

KERNEL = "motion:length=5,angle=30"


def _pictures() -> None:
    """truth.png (16-bit gray, 96 x 80) and what a camera made of it, blurred.png; b.png is in colour with 8 bits."""
    sharp = data.camera()[200:280, 200:296]
    cv2.imwrite("truth.png", sharp.astype(np.uint16) * 257)
    cv2.imwrite("truth_b.png", data.astronaut()[60:140, 180:270, ::-1])
    for truth, name in (("truth.png", "blurred.png"), ("truth_b.png", "b.png")):
        words = ["--kernel", KERNEL, "--noise", "0.005", "--transfer", "linear", "-o", name]
        assert main(["blur", truth, *words]) == 0


@pytest.fixture(autouse=True)
def pictures(folder: Path, stock: Any) -> None:
    stock(_pictures)


def _read(name: str) -> np.ndarray:
    image = cv2.imread(name, cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


def _json(result: Any) -> list[dict[str, Any]]:
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


def test_a_blurred_picture_becomes_sharper_and_keeps_its_form(run: Any) -> None:
    words = ["blurred.png", "--kernel", KERNEL, "--transfer", "linear", "--truth", "truth.png", "--json"]
    (record,) = _json(run("apply", *words))
    assert record["psnr"] > record["psnr_blurred"] + 2
    assert record["ssim"] > record["ssim_blurred"]
    assert record["method"] == SMALL_METHOD
    assert record["output"] == "blurred.deblurred.png"
    assert (_read("blurred.deblurred.png").shape, _read("blurred.deblurred.png").dtype) == (
        _read("blurred.png").shape,
        np.uint16,
    )
    evaluated = json.loads(run("evaluate", "blurred.deblurred.png", "truth.png", "--json").out)
    assert evaluated["psnr"] == pytest.approx(record["psnr"], abs=0.01)


def test_the_summary_is_one_line(run: Any) -> None:
    result = run("apply", "blurred.png", "--kernel", KERNEL, "--truth", "truth.png", "--method", "wiener")
    assert result.code == 0, result.err
    (line,) = result.out.splitlines()
    assert line.startswith("blurred.png -> blurred.deblurred.png: wiener, sigma 0.")
    for word in ("steps, ", " s, ", "PSNR ", "SSIM "):
        assert word in line


@pytest.mark.parametrize("method", [name for name in RESTORERS if name != "exact"])
def test_every_method_restores_colour(run: Any, method: str) -> None:
    words = ["apply", "b.png", "--kernel", KERNEL, "--truth", "truth_b.png", "--transfer", "linear", "--json"]
    (record,) = _json(run(*words, "--method", method))
    assert record["method"] == method
    assert record["psnr"] > record["psnr_blurred"]
    assert _read("b.deblurred.png").shape == _read("b.png").shape
    assert _read("b.deblurred.png").dtype == np.uint8


def test_the_help_names_every_method(run: Any) -> None:
    text = " ".join(run("apply", "--help").out.split())
    for method in ("auto", *RESTORERS):
        assert method in text.partition("--method NAME")[2].partition("--noise")[0]


def test_several_pictures_go_to_a_folder_that_is_made(run: Any, folder: Path) -> None:
    result = run("apply", "blurred.png", "b.png", "--kernel", KERNEL, "--method", "wiener", "-o", "out/")
    assert result.code == 0, result.err
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["b.png", "blurred.png"]
    assert [line.split()[0] for line in result.out.splitlines()] == ["blurred.png", "b.png"]


def test_one_bad_picture_does_not_stop_the_others(run: Any, folder: Path) -> None:
    (folder / "bad.png").write_text("no picture")
    words = ["bad.png", "blurred.png", "none.png", "notes.txt", "b.png"]
    (folder / "notes.txt").write_text("no picture either")
    result = run("apply", *words, "--kernel", KERNEL, "--method", "wiener")
    assert result.code == 1
    errors = [line for line in result.err.splitlines() if line.startswith("deblur: error: ")]
    assert [line.split()[2].rstrip(":") for line in errors] == ["bad.png", "none.png", "notes.txt"]
    assert len(result.out.splitlines()) == 2
    written = sorted(path.name for path in folder.glob("*.deblurred.*"))
    assert written == ["b.deblurred.png", "blurred.deblurred.png"]


def test_a_failure_is_a_json_line_too(run: Any, folder: Path) -> None:
    result = run("apply", "none.png", "blurred.png", "--kernel", KERNEL, "--method", "wiener", "--json")
    assert result.code == 1
    first, second = (json.loads(line) for line in result.out.splitlines())
    assert set(first) == {"image", "error"}
    assert second["image"] == "blurred.png"
    assert "none.png" in result.error


def test_a_region_is_restored_as_the_whole_would_be_there(run: Any) -> None:
    words = ["apply", "blurred.png", "--kernel", KERNEL, "--transfer", "linear", "--noise", "0.005", "--method", "tv"]
    assert run(*words, "-o", "whole.png").code == 0
    (record,) = _json(run(*words, "-o", "part.png", "--region", "20,30,24,16", "--truth", "truth.png", "--json"))
    part, whole = _read("part.png").astype(float), _read("whole.png").astype(float)
    assert part.shape == (16, 24)
    assert np.abs(part - whole[30:46, 20:44]).max() < 2 * 257
    assert record["psnr"] > record["psnr_blurred"]


@pytest.mark.parametrize(("side", "method"), [(80, SMALL_METHOD), (260, DEFAULT_METHOD)])
def test_a_region_takes_the_method_of_the_whole(side: int, method: str, run: Any) -> None:
    cv2.imwrite("frame.png", data.camera()[:side, :side])
    words = [
        "apply",
        "frame.png",
        "--kernel",
        KERNEL,
        "--transfer",
        "linear",
        "--region",
        "0,0,64,64" if side > 80 else "8,8,16,16",
    ]
    assert _json(run(*words, "-o", "part.png", "--json"))[0]["method"] == method


def test_the_truth_of_a_region_may_be_that_part_alone(run: Any) -> None:
    cv2.imwrite("part_truth.png", _read("truth.png")[2 + 30 : 2 + 46, 3 + 20 : 3 + 44])
    words = ["apply", "blurred.png", "--kernel", KERNEL, "--transfer", "linear", "--method", "wiener", "--json"]
    both = [
        _json(run(*words, "--region", "20,30,24,16", "--truth", truth, "-o", f"to_{truth}"))[0]["psnr"]
        for truth in ("truth.png", "part_truth.png")
    ]
    shrunk = [a - b for a, b in zip(_read("truth.png").shape, _read("blurred.png").shape, strict=True)]
    assert shrunk == [4, 6]  # half of it on each side
    assert both[0] == pytest.approx(both[1], abs=1e-6)


def test_compare_shows_before_after_and_the_kernel(run: Any, folder: Path) -> None:
    assert run("apply", "blurred.png", "--kernel", KERNEL, "--method", "wiener", "--compare", "-o", "r.png").code == 0
    shown, blurred = _read("blurred.compare.png"), _read("blurred.png")
    height, width = blurred.shape
    assert shown.shape == (height, 2 * width + 4)
    assert np.abs(shown[: height // 2, :width] - blurred[: height // 2] / 257).max() <= 1
    assert np.abs(shown[:, width + 4 :] - _read("r.png") / 257).max() <= 1
    assert (shown[height // 2 :, : width // 2] == 255).any(axis=0).sum() > 5  # the inset's white frame
    assert sorted(path.name for path in folder.glob("*compare*")) == ["blurred.compare.png"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_carries_the_picture_and_stderr_the_report(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path("blurred.png").read_bytes())))
    assert main(["apply", "-", "--kernel", KERNEL, "--method", "wiener", "--compare", "-o", "r.png"]) == 0
    capfdbinary.readouterr()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path("blurred.png").read_bytes())))
    assert main(["apply", "-", "--kernel", KERNEL, "--method", "wiener", "--json"]) == 0
    out, err = capfdbinary.readouterr()
    assert np.array_equal(cv2.imdecode(np.frombuffer(out, np.uint8), cv2.IMREAD_UNCHANGED), _read("r.png"))
    assert json.loads(err)["output"] == "-"


def test_pages_are_restored_one_by_one_and_all_or_none(run: Any, refuse: Any) -> None:
    page = _read("blurred.png")
    tifffile.imwrite("pages.tif", np.stack([page, page[::-1]]), photometric="minisblack")
    result = run("apply", "pages.tif", "--kernel", KERNEL, "--method", "wiener")
    assert result.code == 0, result.err
    assert [line.split(" ->")[0] for line in result.out.splitlines()] == ["pages.tif page 1", "pages.tif page 2"]
    assert tifffile.imread("pages.deblurred.tif").shape == (2, *page.shape)
    refuse(
        "apply", "pages.tif", "--kernel", KERNEL, "-o", "one.png", message="expected one picture for PNG, got 2 pages"
    )
    refuse("apply", "pages.tif", "--kernel", KERNEL, "-o", "x.tif", "--compare", message="leave --compare out")
    refuse("apply", "pages.tif", "--kernel", KERNEL, "-o", "x.tif", "--truth", "truth.png", message="a truth of 2 page")


def test_black_and_white_set_the_range(run: Any) -> None:
    image = _read("blurred.png").astype(float) / 65535
    cv2.imwrite("twelve.png", np.round(256 + image * (4095 - 256)).astype(np.uint16))
    words = ["--kernel", KERNEL, "--transfer", "linear", "--noise", "0.005", "--method", "wiener"]
    assert run("apply", "twelve.png", *words, "--black", "256", "--white", "4095", "-o", "r12.png").code == 0
    assert run("apply", "blurred.png", *words, "-o", "r16.png").code == 0
    twelve = (_read("r12.png").astype(float) - 256) / (4095 - 256)
    inner = np.clip(_read("r16.png") / 65535, 0.02, 0.98)
    assert np.abs(np.clip(twelve, 0.02, 0.98) - inner).max() < 0.005


def test_options_come_from_a_file_and_flags_come_before_it(run: Any, folder: Path) -> None:
    Path("x.yaml").write_text(yaml.safe_dump({"method": "tv", "compare": True, "region": [0, 0, 40, 30]}))
    words = ["apply", "blurred.png", "--kernel", KERNEL, "--config", "x.yaml", "--json"]
    (record,) = _json(run(*words, "-o", "a.png"))
    assert record["method"] == "tv"
    assert _read("a.png").shape == (30, 40)
    assert (folder / "blurred.compare.png").exists()
    (record,) = _json(run(*words, "--method", "wiener", "--no-compare", "--region", "0,0,32,32", "-o", "b2.png"))
    assert record["method"] == "wiener"
    assert _read("b2.png").shape == (32, 32)


def test_notes_are_lines_of_their_own(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    restore = restoring.restore
    monkeypatch.setattr(
        restoring, "restore", lambda *a, **k: dataclasses.replace(restore(*a, **k), notes=("mind the border",))
    )
    result = run("apply", "blurred.png", "--kernel", KERNEL, "--method", "wiener")
    assert result.err == "deblur: note: blurred.png: mind the border\n"
    (record,) = _json(run("apply", "blurred.png", "--kernel", KERNEL, "--method", "wiener", "--json", "--force"))
    assert record["notes"] == ["mind the border"]


def test_a_bar_is_drawn_on_a_terminal_only(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["apply", "blurred.png", "--kernel", KERNEL, "--method", "tv", "--force"]
    assert main(words) == 0
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(words) == 0
    assert "blurred.png:" in terminal.getvalue()
    assert "%|" in terminal.getvalue()
    monkeypatch.undo()


def test_an_interrupt_leaves_nothing(run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(folder.rglob("*"))

    def interrupted(*_: Any, on_step: Any, **__: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(restoring, "restore", interrupted)
    result = run("apply", "blurred.png", "b.png", "--kernel", KERNEL, "-o", "out/", "--compare")
    assert (result.code, result.out, result.err) == (130, "", "")
    assert sorted(folder.rglob("*")) == before


def test_an_interrupt_while_writing_leaves_no_half_file(
    run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(folder.rglob("*"))

    def write(file: Any, *_: Any) -> None:
        file.write(b"half")
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setitem(images.FORMATS, "PNG", images.FORMATS["PNG"]._replace(write=write))
    assert run("apply", "blurred.png", "--kernel", KERNEL, "--method", "wiener").code == 130
    assert sorted(folder.rglob("*")) == before


def test_a_restoration_that_diverged_is_not_written(refuse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    restore = restoring.restore
    monkeypatch.setattr(restoring, "restore", lambda *a, **k: dataclasses.replace(restore(*a, **k), status="diverged"))
    refuse("apply", "blurred.png", "--kernel", KERNEL, "--method", "wiener", message="blurred.png: wiener diverged")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "weiner"], "unknown method 'weiner', did you mean 'wiener'?"),
        (["--noise", "2.5"], "expected noise as a fraction of full scale in [0, 1), got 2.5; for 2.5 of 255 levels"),
        (["--noise", "-0.1"], "expected noise as a fraction of full scale"),
        (["--strength", "0"], "expected a strength above 0, got 0"),
        (["--strength", "-1"], "expected a strength above 0, got -1"),
        (["--saturation", "-1"], "expected saturation as a fraction of full scale, above 0"),
        (["--black", "9", "--white", "3"], "expected --black below --white"),
        (["--region", "90,0,8,8"], "region 90,0,8,8 (x,y,w,h) leaves the frame of 90 x 76 pixels"),
        (["--region", "0,70,8,8"], "leaves the frame of 90 x 76 pixels"),
        (["--truth", "none.png"], "none.png: there is no such file"),
        (["--truth", "tiny.png"], "do not belong together"),
        (["--truth", "truth_b.png"], "expected a truth of 1 channel(s) like the picture, got 3"),
        (["--config", "none.yaml"], "none.yaml: there is no such configuration file"),
        (["--config", "bad.yaml"], "bad.yaml: unknown key 'metod', did you mean 'method'?"),
        (["--config", "steps.yaml"], "steps.yaml: unknown setting of wiener 'weigt', did you mean 'weight'?"),
        (["--config", "quality.yaml"], "quality.yaml: expected a quality of 1 to 100, got 101"),
        (["--kernel", "box:size=79"], "79 x 79 taps for 76 x 90 pixels"),
        (["--kernel", "three.npy"], "3 kernels for 1 channel(s)"),
        (["--method", "exact"], ""),
        (["-o", "blurred.png"], "blurred.png: is read and would be written too"),
        (["-o", "truth.png", "--truth", "truth.png", "--force"], "truth.png: is read and would be written too"),
        (["-o", "b.png"], "b.png: already exists"),
        (["-o", "none/x.png"], "there is no folder none"),
        (["-o", "x.gif"], "expected a suffix like .png .tif .jpg .webp .bmp .fits, got '.gif'"),
    ],
)
def test_what_is_refused(refuse: Any, folder: Path, words: list[str], message: str) -> None:
    cv2.imwrite("tiny.png", np.zeros((20, 20), np.uint8))
    np.save("three.npy", np.ones((3, 3, 3)))
    Path("bad.yaml").write_text("metod: tv\n")
    Path("steps.yaml").write_text("method: wiener\nsettings: {weigt: 3}\n")
    Path("quality.yaml").write_text("quality: 101\n")
    kernel = [] if "--kernel" in words else ["--kernel", KERNEL]
    refuse("apply", "blurred.png", *kernel, *words, message=message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--noise", "loud"], "expected a number like 0.01 or 2.5/255 or auto, got 'loud'"),
        (["--saturation", "much"], "expected a number like 0.01 or 2.5/255 or auto or none"),
        (["--strength", "1/0"], "expected a number like 0.01 or 2.5/255, got '1/0'"),
        (["--region", "1,2,3"], "expected x,y,w,h in whole pixels"),
        (["--region", "1,2,0,3"], "expected x,y,w,h in whole pixels"),
        (["--region", "-1,2,3,3"], "expected x,y,w,h in whole pixels"),
        (["--quality", "0"], "--quality"),
        (["--quality", "101"], "--quality"),
        (["--threads", "0"], "--threads"),
        (["--boundary", "mirror"], "'mirror' is not one of"),
        (["--transfer", "log"], "'log' is not one of"),
        (["--device", "tpu"], "'tpu' is not one of"),
        (["--black", "x"], "expected a number like"),
    ],
)
def test_what_is_misused(misuse: Any, words: list[str], message: str) -> None:
    misuse("apply", "blurred.png", "--kernel", KERNEL, *words, message=message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.png", "expected integer samples for PNG, got float values; name the output .tif"),
        ("x.jpg", "expected integer samples for JPEG, got float values"),
    ],
)
def test_a_format_that_cant_hold_the_picture_is_refused_before_the_work(
    refuse: Any, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    tifffile.imwrite("float.tif", _read("blurred.png").astype(np.float32) / 65535)
    monkeypatch.setattr(restoring, "restore", lambda *_, **__: pytest.fail("the work began"))
    refuse("apply", "float.tif", "--kernel", KERNEL, "-o", name, message=f"float.tif: {message}")


def test_a_picture_is_not_typed(refuse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    refuse("apply", "-", "--kernel", KERNEL, "-o", "x.png", message="a picture can't be typed")


def test_several_pictures_for_one_file_are_refused(refuse: Any) -> None:
    words = ["apply", "blurred.png", "b.png", "--kernel", KERNEL]
    refuse(*words, "-o", "one.png", message="2 images can't go to the one file one.png")
    refuse(*words, "-o", "-", message="2 images can't go to stdout")


def test_an_output_that_is_there_stops_the_batch_before_it_starts(refuse: Any) -> None:
    cv2.imwrite("b.deblurred.png", np.zeros((3, 3), np.uint8))
    words = ["blurred.png", "b.png", "--kernel", KERNEL, "--on-exists", "error"]
    refuse("apply", *words, message="b.deblurred.png: already exists")


def test_of_several_pictures_one_whose_output_is_there_is_skipped_with_a_line(run: Any, folder: Path) -> None:
    (folder / "b.deblurred.png").write_bytes(b"mine")
    out = run("apply", "blurred.png", "b.png", "--kernel", KERNEL, "--method", "wiener").out
    assert (folder / "blurred.deblurred.png").exists()
    assert (folder / "b.deblurred.png").read_bytes() == b"mine"
    assert "b.png: skipped, b.deblurred.png exists already" in out


def test_a_second_run_over_a_folder_restores_nothing_twice(run: Any, folder: Path) -> None:
    words = ["--kernel", KERNEL, "--method", "wiener"]
    run("apply", "blurred.png", *words)
    before = {path.name for path in folder.iterdir()}
    out = run("apply", "blurred.png", "blurred.deblurred.png", *words).out
    assert "blurred.deblurred.png: skipped, it is what became of blurred.png" in out
    assert {path.name for path in folder.iterdir()} == before


def test_a_disk_that_is_full_at_the_last_of_several_files_leaves_all_old_ones(
    run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["out.png", "report.png", "blurred.compare.png"]
    for name in names:
        (folder / name).write_bytes(b"old")
    sync, done = os.fsync, []

    def written(number: int) -> None:
        done.append(number)
        if len(done) == len(names):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(number)

    monkeypatch.setattr(os, "fsync", written)
    words = ["--kernel", KERNEL, "--method", "wiener", "-o", "out.png", "--report", "report.png"]
    assert (
        "out.png: could not be written (No space left on device)"
        in run("apply", "blurred.png", *words, "--compare", "-f").error
    )
    assert [(folder / name).read_bytes() for name in names] == [b"old"] * 3
    assert not list(folder.glob(".deblur*"))


def test_force_beside_another_wish_is_refused(refuse: Any) -> None:
    words = ["blurred.png", "--kernel", KERNEL, "--force", "--on-exists", "skip"]
    refuse("apply", *words, message="--force overwrites what exists, --on-exists skip does not")


def test_a_picture_is_not_shown_on_a_terminal(refuse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout.__class__, "isatty", lambda _: True)
    refuse("apply", "blurred.png", "--kernel", KERNEL, "-o", "-", message="a picture can't be shown on the terminal")


def test_a_missing_gpu_is_one_line(refuse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refuse(
        "apply", "blurred.png", "--kernel", KERNEL, "--device", "cuda", message="blurred.png: expected a CUDA device"
    )


def test_quality_is_that_of_the_written_file(run: Any, folder: Path) -> None:
    cv2.imwrite("photo.jpg", _read("b.png"))
    words = ["apply", "photo.jpg", "--kernel", KERNEL, "--method", "wiener"]
    for quality in (30, 95):
        assert run(*words, "--quality", quality, "-o", f"q{quality}.jpg").code == 0
    assert run(*words).code == 0
    low, high, default = ((folder / name).stat().st_size for name in ("q30.jpg", "q95.jpg", "photo.deblurred.jpg"))
    assert low < high / 2
    assert default >= high / 2
    assert run(*words, "-o", "photo.png").code == 0
    assert np.abs(_read("q95.jpg").astype(int) - _read("photo.png")).mean() < 3
