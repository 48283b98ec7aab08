"""What is read: every usable picture, in order, in the right numbers; the others named; some of them held out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data

from deblur import images
from deblur.errors import FileError, OptionError
from deblur.training.pictures import Stack, read
from deblur.training.recipe import Data

ALL = {"validation": 0.0}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def photo(path: str, array: Any) -> Any:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(path, array)
    return array


def scaled(stack: Stack) -> Any:
    return stack.array.astype(np.float64) / np.iinfo(stack.array.dtype).max


def test_folders_are_searched_to_any_depth_in_sorted_order() -> None:
    for name in ("b.png", "a/z.PNG", "a/c/d.tif", "e/.hidden.png"):
        photo(f"p/{name}", np.zeros((20, 20), np.uint8))
    Path("p/notes.txt").write_text("no picture")
    (stacks,) = read(["p"], Data(crop=8, **ALL)).training
    assert [stack.name for stack in stacks] == ["p/a/c/d.tif", "p/a/z.PNG", "p/b.png"]


@pytest.mark.parametrize(("dtype", "full"), [(np.uint8, 255), (np.uint16, 65535)])
def test_gray_pictures_are_kept_as_they_were_stored(dtype: Any, full: int) -> None:
    stored = photo("a.png", np.random.default_rng(0).integers(0, full + 1, (20, 30)).astype(dtype))
    ((stack,),) = read(["a.png"], Data(crop=8, **ALL)).training
    assert stack.array.dtype == dtype
    np.testing.assert_array_equal(stack.array[0, 0], stored)
    assert stack.scale == np.float32(1 / full)


def test_float_pictures_are_limited_and_kept_in_16_bits() -> None:
    photo("a.tif", np.linspace(-0.5, 1.5, 400, dtype=np.float32).reshape(20, 20))
    ((stack,),) = read(["a.tif"], Data(crop=8, **ALL)).training
    np.testing.assert_allclose(scaled(stack)[0, 0].ravel(), np.linspace(-0.5, 1.5, 400).clip(0, 1), atol=1e-5)


def test_colour_becomes_gray_by_its_luma_and_stays_colour_where_asked() -> None:
    stored = photo("a.png", data.astronaut()[:40, :50, ::-1])  # OpenCV stores blue first
    ((gray,),) = read(["a.png"], Data(crop=8, **ALL)).training
    rgb = stored[..., ::-1] / 255
    np.testing.assert_allclose(scaled(gray)[0, 0], rgb @ [0.299, 0.587, 0.114], atol=1e-5)
    ((colour,),) = read(["a.png"], Data(crop=8, channels=3, **ALL)).training
    np.testing.assert_array_equal(colour.array[0].transpose(1, 2, 0), stored[..., ::-1])


def test_a_smaller_size_is_the_mean_over_areas() -> None:
    stored = photo("a.png", np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8))
    whole, third, fourth = read(["a.png"], Data(crop=8, factors=(1.0, 3.0, 4.0), **ALL)).training
    assert [stack.array.shape[2:] for (stack,) in (whole, third, fourth)] == [(40, 60), (13, 20), (10, 15)]
    expected = stored.reshape(10, 4, 15, 4).mean((1, 3)) / 255
    np.testing.assert_allclose(scaled(fourth[0])[0, 0], expected, atol=1e-5)


def test_what_cannot_be_used_is_named_and_left_out() -> None:
    photo("p/good.png", data.astronaut()[:40, :50])
    photo("p/gray.png", np.zeros((40, 40), np.uint8))
    photo("p/small.png", np.zeros((4, 40, 3), np.uint8))
    Path("p/broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    said: list[str] = []
    ((stack,),) = read(["p"], Data(crop=8, channels=3, **ALL), said.append).training
    assert stack.name == "p/good.png"
    assert [line.split(":")[0] for line in said] == ["p/broken.jpg", "p/gray.png", "p/small.png"]
    assert said[1] == "p/gray.png: is gray, expected colour; left out"
    with pytest.raises(FileError, match="got none that can be used"):
        read(["p/gray.png", "p/small.png"], Data(crop=8, channels=3))


def test_every_page_is_a_picture() -> None:
    frames = images.read_frames(_png(np.full((20, 20), 9, np.uint8)))
    images.write_frames("a.tif", frames * 3)
    assert len(read(["a.tif"], Data(crop=8, **ALL)).training[0]) == 3


def _png(array: Any) -> bytes:
    return bytes(cv2.imencode(".png", array)[1])


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.05, 1), (0.25, 3), (0.5, 5)])
def test_a_share_of_the_files_is_held_out_and_not_trained_on(share: float, count: int) -> None:
    for i in range(10):
        photo(f"p/{i}.png", np.full((20, 20), i, np.uint8))
    found = read(["p"], Data(crop=8, factors=(1.0, 2.0), validation=share))
    (whole, half), out = found.training, found.held_out
    assert [len(whole), len(half), len(out)] == [10 - count, 10 - count, 2 * count]
    assert not {stack.name for stack in out} & {stack.name for stack in whole + half}


def test_the_end_of_an_array_is_held_out() -> None:
    np.savez("a.npz", x=np.arange(40, dtype=np.uint8)[:, None, None] * np.ones((8, 8), np.uint8))
    found = read(["a.npz"], Data(crop=8, validation=0.1))
    assert found.training[0][0].array[:, 0, 0, 0].tolist() == list(range(36))
    assert found.held_out[0].array[:, 0, 0, 0].tolist() == list(range(36, 40))


def test_named_files_are_held_out() -> None:
    for name in ("a/x.png", "b/x.png", "c.png"):
        photo(f"p/{name}", np.zeros((20, 20), np.uint8))
    found = read(["p"], Data(crop=8, validation=("b/x.png",)))
    assert [stack.name for stack in found.held_out] == ["p/b/x.png"]
    assert len(read(["p"], Data(crop=8, validation=("x.png",))).held_out) == 2
    with pytest.raises(OptionError, match=r"there is no picture 'd\.png' to hold out"):
        read(["p"], Data(crop=8, validation=("d.png",)))
    with pytest.raises(OptionError, match="expected pictures to train on, got none; hold out less"):
        read(["p/c.png"], Data(crop=8, validation=("c.png",)))


def test_arrays_of_colour_and_of_gray() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (5, 9, 10, 3), np.uint8)
    np.savez("a.npz", x=colour)
    ((stack,),) = read(["a.npz"], Data(crop=8, channels=3, **ALL)).training
    np.testing.assert_array_equal(stack.array, colour.transpose(0, 3, 1, 2))
    ((gray,),) = read(["a.npz"], Data(crop=8, **ALL)).training
    np.testing.assert_allclose(scaled(gray)[:, 0], colour / 255 @ [0.299, 0.587, 0.114], atol=1e-5)
    np.savez("b.npz", x=colour[..., 0])
    with pytest.raises(FileError, match=r"b\.npz: expected pictures of 3 channel\(s\), got 1"):
        read(["b.npz"], Data(crop=8, channels=3, **ALL))


def test_other_pictures_have_another_fingerprint() -> None:
    array = np.random.default_rng(0).integers(0, 256, (10, 9, 10), np.uint8)
    prints = set()
    for change in (0, 0, 1):
        array[3, 4, 5] += change
        np.savez("a.npz", x=array)
        prints |= {read(["a.npz"], Data(crop=8, validation=share)).fingerprint() for share in (0.1, 0.3)}
    assert len(prints) == 4
