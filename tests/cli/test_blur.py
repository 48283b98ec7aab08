"""`deblur blur`: a made exposure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.signal import convolve2d

from deblur import psf


@pytest.fixture
def sharp(folder: Path) -> np.ndarray:
    """A 16-bit colour picture, in RGB order here and in the file sharp.png."""
    image = np.random.default_rng(0).integers(0, 65536, (40, 50, 3)).astype(np.uint16)
    cv2.imwrite("sharp.png", image[..., ::-1])
    np.save("k.npy", np.random.default_rng(1).random((4, 7)))
    return image


def _read(name: str) -> np.ndarray:
    image = cv2.imread(name, cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image[..., ::-1] if image.ndim == 3 else image


def test_the_default_is_what_a_camera_sees(run: Any, sharp: np.ndarray) -> None:
    result = run("blur", "sharp.png", "--kernel", "k.npy", "--transfer", "linear", "-o", "blurred.png")
    assert result.code == 0, result.err
    kernel = psf.read("k.npy")
    expected = np.stack([convolve2d(sharp[..., c], kernel, "valid") for c in range(3)], -1)
    assert _read("blurred.png").shape == (37, 44, 3)
    assert np.abs(_read("blurred.png") - expected).max() <= 1


@pytest.mark.parametrize("boundary", ["zero", "reflect", "replicate", "circular"])
def test_other_boundaries_keep_the_size(run: Any, sharp: np.ndarray, boundary: str) -> None:
    words = ["blur", "sharp.png", "--kernel", "k.npy", "--transfer", "linear"]
    assert run(*words, "-o", "valid.png").code == 0
    assert run(*words, "--boundary", boundary, "-o", "full.png").code == 0
    whole = _read("full.png")
    assert whole.shape == sharp.shape
    inner = whole[1 : 1 + 37, 3 : 3 + 44].astype(int)  # (k - 1) // 2 from the edge
    assert np.abs(inner - _read("valid.png")).max() <= 1


def test_light_is_mixed_and_not_its_code(run: Any, folder: Path) -> None:
    """Half black, half white: the middle is half the light, 188 in sRGB's code and 128 in linear values."""
    image = np.zeros((8, 16), np.uint8)
    image[:, 8:] = 255
    cv2.imwrite("edge.png", image)
    np.save("pair.npy", np.ones((1, 2)))
    for transfer, middle in (("srgb", 188), ("linear", 128)):
        result = run("blur", "edge.png", "--kernel", "pair.npy", "--transfer", transfer, "-o", f"{transfer}.png")
        assert result.code == 0, result.err
        assert _read(f"{transfer}.png")[4].tolist() == [0] * 7 + [middle] + [255] * 7


def test_noise_has_its_sigma_and_follows_the_seed(run: Any, folder: Path) -> None:
    cv2.imwrite("flat.png", np.full((120, 120), 30000, np.uint16))
    words = ["blur", "flat.png", "--kernel", "box:size=1", "--noise", "2.55/255"]
    for seed, name in ((1, "a.png"), (1, "b.png"), (2, "c.png")):
        assert run(*words, "--seed", seed, "-o", name).code == 0
    a, b, c = (_read(name).astype(float) / 65535 for name in ("a.png", "b.png", "c.png"))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert a.std() == pytest.approx(0.01, rel=0.03)


@pytest.mark.parametrize(
    ("depth", "name", "dtype"), [("8", "x.png", "u1"), ("16", "x.png", "u2"), ("float", "x.tif", "f4")]
)
def test_depth(run: Any, sharp: np.ndarray, depth: str, name: str, dtype: str) -> None:
    import tifffile

    assert run("blur", "sharp.png", "--kernel", "box:size=1", "--depth", depth, "-o", name).code == 0
    image = tifffile.imread(name) if name.endswith(".tif") else _read(name)
    assert image.dtype == np.dtype(dtype)
    full = {"u1": 255, "u2": 65535, "f4": 1}[dtype]
    assert np.allclose(image / full, sharp / 65535, atol=0.51 / 255)


def test_hidden_colours_do_not_spread(run: Any, folder: Path) -> None:
    """Red under full transparency leaves no trace in the gray beside it, and the alpha is kept."""
    image = np.full((20, 20, 4), 128, np.uint8)
    image[..., 3] = 255
    image[:, :10] = (0, 0, 255, 0)  # BGRA
    cv2.imwrite("cut.png", image)
    assert run("blur", "cut.png", "--kernel", "box:size=5", "-o", "out.png").code == 0
    out = cv2.imread("out.png", cv2.IMREAD_UNCHANGED)
    assert np.array_equal(out[..., 3], image[2:-2, 2:-2, 3])
    assert np.abs(out[:, 8:, :3].astype(int) - 128).max() <= 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.png", "--kernel", "k.npy", "-o", "x.png"], "none.png: there is no such file"),
        (["sharp.png", "--kernel", "box:size=41", "-o", "x.png"], "taps for 40 x 50 pixels"),
        (["sharp.png", "--kernel", "box:size=51", "--boundary", "zero", "-o", "x.png"], "taps for 40 x 50 pixels"),
        (["sharp.png", "--kernel", "k4.npy", "-o", "x.png"], "one kernel per channel"),
        (
            ["sharp.png", "--kernel", "k.npy", "--sigma", "-1", "-o", "x.png"],
            "expected noise as a fraction of full scale in [0, 1), got -1",
        ),
        (["sharp.png", "--kernel", "k.npy", "-o", "sharp.png", "--force"], "sharp.png: is read and would be written"),
        (["sharp.png", "--kernel", "k.npy", "-o", "there.png"], "there.png: already exists"),
        (
            ["sharp.png", "--kernel", "k.npy", "-o", "x.doc"],
            "expected a suffix like .png .tif .jpg .webp .bmp .fits, got '.doc'",
        ),
        (
            ["sharp.png", "--kernel", "k.npy", "--depth", "float", "-o", "x.png"],
            "expected integer samples for PNG, got float values",
        ),
        (["k.npy", "--kernel", "k.npy", "-o", "x.png"], "k.npy"),
    ],
)
def test_what_is_refused(refuse: Any, sharp: np.ndarray, folder: Path, words: list[str], message: str) -> None:
    np.save("k4.npy", np.ones((4, 3, 3)))
    (folder / "there.png").write_bytes(b"x")
    refuse("blur", *words, message=message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--boundary", "mirror"], "'mirror' is not one of"),
        (["--noise", "loud"], "expected a number like 0.01 or 2.5/255"),
        (["--seed", "-1"], "--seed"),
        (["--depth", "12"], "'12' is not one of"),
        (["--transfer", "log"], "'log' is not one of"),
    ],
)
def test_what_is_misused(misuse: Any, sharp: np.ndarray, words: list[str], message: str) -> None:
    misuse("blur", "sharp.png", "--kernel", "k.npy", "-o", "x.png", *words, message=message)
