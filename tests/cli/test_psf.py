"""`deblur psf make` and `deblur psf show`."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer import BadParameter

from deblur import psf
from deblur.cli.psf_make import spec

EXAMPLES = [maker.example for maker in psf.SHAPES.values()]  # type: ignore[attr-defined]


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_shape_with_options_is_the_shape_by_name(run: Any, folder: Path, example: str) -> None:
    shape, _, rest = example.partition(":")
    options = [word for pair in rest.split(",") for word in ("--" + pair.split("=")[0], pair.split("=")[1])]
    result = run("psf", "make", shape, *options, "-o", "k.npy")
    assert result.code == 0, result.err
    assert np.array_equal(np.load(folder / "k.npy"), psf.make(example))
    assert result.out.startswith(f"k.npy: {example}, ")


def test_the_help_names_every_shape(run: Any) -> None:
    text = " ".join(run("psf", "make", "--help").out.split())
    *most, last = sorted(psf.SHAPES)
    assert f"{', '.join(most)} or {last}" in text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["motion", "--length", "15", "--angle", "-30"], "motion:length=15,angle=-30"),
        (["--length=15", "motion"], "motion:length=15"),
        (["motion:length=15", "--angle", "3"], "motion:length=15,angle=3"),
        (["gaussian", "--sigma-x", "2", "--sigma-y", "1"], "gaussian:sigma_x=2,sigma_y=1"),
        (["box"], "box"),
    ],
)
def test_options_become_a_spec(words: list[str], text: str) -> None:
    assert spec(words) == text


@pytest.mark.parametrize(
    "words", [["motion", "--length"], ["motion", "--length", "--angle", "3"], ["motion", "box"], ["--length", "15"]]
)
def test_options_that_make_no_spec(words: list[str]) -> None:
    with pytest.raises(BadParameter):
        spec(words)


def test_misuse_of_make_writes_nothing(misuse: Any) -> None:
    misuse("psf", "make", "motion", "--length", "-o", "k.npy", message="expected a value after --length")
    misuse("psf", "make", "motion", "box", "-o", "k.npy", message="expected one shape")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["moton", "--length", "15"], "did you mean 'motion'"),
        (["motion", "--lenght", "15"], "did you mean 'length'"),
        (["motion"], "motion needs length"),
        (["motion", "--length", "long"], "length"),
        (["motion", "--length", "-3"], "expected length in 0 to 500 px"),
        (["motion", "--length", "nan"], "length"),
        (["motion", "--length", "3", "--length", "4"], "given twice"),
        (["box", "--size", "100000"], "expected size in 0.1 to 500 px"),
    ],
)
def test_a_bad_shape_is_refused(refuse: Any, words: list[str], message: str) -> None:
    refuse("psf", "make", *words, "-o", "k.npy", message=message)


def test_make_refuses_other_files_and_existing_ones(refuse: Any, run: Any, folder: Path) -> None:
    refuse("psf", "make", "box", "--size", "3", "-o", "k.png", message="expected a file name in .npy")
    refuse("psf", "make", "box", "--size", "3", "-o", "none/k.npy", message="there is no folder none")
    assert run("psf", "make", "box", "--size", "3", "-o", "k.npy").code == 0
    refuse("psf", "make", "box", "--size", "5", "-o", "k.npy", message="k.npy: already exists")
    assert run("psf", "make", "box", "--size", "5", "-o", "k.npy", "--force").code == 0
    assert np.load(folder / "k.npy").shape == (5, 5)


def test_show_prints_what_is_known_of_a_kernel(run: Any) -> None:
    result = run("psf", "show", "motion:length=15,angle=30")
    assert result.code == 0, result.err
    for word in ("centroid", "sum", "support"):
        assert word in result.out


def test_show_speaks_json(run: Any) -> None:
    result = run("psf", "show", "box:size=3", "--json")
    assert result.code == 0, result.err
    (line,) = result.out.splitlines()
    assert isinstance(json.loads(line), dict)


def test_show_says_how_the_file_was_read(run: Any, folder: Path) -> None:
    taps = np.pad(psf.make("gaussian:sigma=2"), 6)
    assert cv2.imwrite(str(folder / "k.png"), np.rint(2 + taps / taps.max() * 253).astype(np.uint8))
    np.save(folder / "k.npy", np.fft.ifftshift(taps))
    shown = run("psf", "show", "k.png")
    assert "note: the kernel stands on a background of 2" in shown.err
    assert "--kernel-transfer srgb" in shown.err
    notes = json.loads(run("psf", "show", "k.npy", "--json").out)["notes"]
    assert "--kernel-origin centre" in notes[0]
    told = run("psf", "show", "k.png", "--kernel-background", "2", "--kernel-transfer", "linear")
    assert not told.err
    kept = json.loads(run("psf", "show", "k.npy", "--kernel-origin", "centre", "--json").out)
    assert kept["centroid"] != [0, 0]


def test_show_draws_the_kernel(run: Any, refuse: Any, folder: Path) -> None:
    assert run("psf", "show", "box:size=3", "-o", "k.png").code == 0
    drawn = cv2.imread(str(folder / "k.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(drawn, psf.draw(psf.make("box:size=3")))
    refuse("psf", "show", "box:size=3", "-o", "k.png", message="k.png: already exists")
    refuse("psf", "show", "box:size=3", "-o", "k.xyz", message="k.xyz: expected a suffix like .png .tif")


def test_flip_turns_the_kernel(run: Any, folder: Path) -> None:
    np.save(folder / "k.npy", np.array([[0.75, 0.25, 0.0]]))
    plain = json.loads(run("psf", "show", "k.npy", "--json").out)
    turned = json.loads(run("psf", "show", "k.npy", "--flip-kernel", "--json").out)
    assert plain["centroid"] != turned["centroid"]


def _npy(array: Any) -> Any:
    return lambda path: np.save(path, np.asarray(array))


def _pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps([1, 2, 3]))


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("k.npy", _npy([[np.nan, 1.0]]), "expected finite taps"),
        ("k.npy", _npy([[np.inf, 1.0]]), "expected finite taps"),
        ("k.npy", _npy(np.zeros((3, 3))), "all zero"),
        ("k.npy", _npy([[-1.0, 0.5]]), "expected a kernel with a positive sum"),
        ("k.npy", _npy(np.zeros((0, 3))), "at least one tap"),
        ("k.npy", _npy([1.0, 2.0]), "(rows, columns)"),
        ("k.npy", _npy(np.ones((2, 2, 2, 2))), "(rows, columns)"),
        ("k.npy", _npy(np.array([[1j]])), "complex"),
        ("k.npy", _npy(np.array([[{}]], dtype=object)), "pickled objects"),
        ("k.npy", _pickled, "pickles are never read"),
        ("k.npy", lambda path: path.write_bytes(b""), "the kernel file is empty"),
        ("k.npy", lambda path: path.write_bytes(b"\x93NUMPY\x01\x00"), "damaged or cut short"),
        ("k.npz", lambda path: path.write_bytes(b"PK\x03\x04no"), "damaged or cut short"),
        ("k.csv", lambda path: path.write_text("1,2\n3\n"), "line 2"),
        ("k.csv", lambda path: path.write_text("1,a\n"), "line 1"),
        ("k.mat", lambda path: path.write_bytes(b"MATLAB 7.3 MAT-file" + bytes(600)), "MATLAB 7.3"),
        ("k.png", lambda path: path.write_bytes(b"no picture"), "no readable PNG"),
        ("k.bin", lambda path: path.write_bytes(b"x"), "expected a kernel file that ends in"),
    ],
)
@pytest.mark.parametrize("command", ["show", "apply", "blur"])
def test_a_bad_kernel_file_is_refused_everywhere(
    refuse: Any, folder: Path, command: str, name: str, write: Any, message: str
) -> None:
    write(folder / name)
    cv2.imwrite("a.png", np.full((32, 32), 99, np.uint8))
    words = {
        "show": ["psf", "show", name, "-o", "new.png"],
        "apply": ["apply", "a.png", "--kernel", name, "-o", "out/"],
        "blur": ["blur", "a.png", "--kernel", name, "-o", "new.png"],
    }[command]
    refuse(*words, message=message)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ("none.npy", "none.npy: no such kernel file"),
        ("nothing", "unknown kernel 'nothing'"),
        ("motion:lenght=3", "did you mean 'length'"),
        (".", ""),
    ],
)
def test_a_kernel_that_is_not_there(refuse: Any, kernel: str, message: str) -> None:
    cv2.imwrite("a.png", np.full((32, 32), 99, np.uint8))
    refuse("apply", "a.png", "--kernel", kernel, message=message)
    refuse("psf", "show", kernel, message=message)
