"""Stored values, pixels and the ceiling."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch

from deblur.errors import DtypeError, FileError, ShapeError
from deblur.images import Frame, encode, read_frames
from deblur.images.scale import ceiling_level, frame_from_stored, stored_from_frame
from deblur.images.stored import Stored


def scene(shape: tuple[int, ...] = (200, 300), seed: int = 0) -> np.ndarray:
    """Values in [0, 1] whose upper end thins out, as a scene's do."""
    return np.random.default_rng(seed).beta(2, 5, shape)


def frame(array: np.ndarray, **limits) -> Frame:
    return frame_from_stored(Stored(array=array), "PNG", limits.get("black"), limits.get("white"))


def test_black_and_white_are_stored_units():
    array = np.array([[64, 2079, 4095, 0, 5000]], np.uint16)
    pixels = frame(array, black=64, white=4095).pixels
    np.testing.assert_allclose(pixels[0, 0], (array[0].astype(float) - 64) / (4095 - 64), rtol=1e-6)
    assert pixels.min() < 0 < 1 < pixels.max()


@pytest.mark.parametrize(("black", "white"), [(None, None), (64, 4095), (-10, 70000), (1000, 1010)])
def test_scaling_there_and_back_is_exact(black, white):
    array = np.random.default_rng(0).integers(0, 65536, (30, 40, 3), dtype=np.uint16)
    np.testing.assert_array_equal(stored_from_frame(frame(array, black=black, white=white)).array, array)


def test_floats_keep_their_scale_and_are_never_clipped():
    values = np.array([[-3.5, 0.0, 1e-20, 1.0, 250.75, 1e30]], np.float32)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values)
    (loaded,) = read_frames(buffer.getvalue())
    np.testing.assert_array_equal(loaded.pixels[0].numpy(), values)
    (again,) = read_frames(encode([loaded], ".tif"))
    np.testing.assert_array_equal(again.pixels[0].numpy(), values)
    (scaled,) = read_frames(buffer.getvalue(), white=250.75)
    assert float(scaled.pixels[0, 0, 4]) == 1.0


@pytest.mark.parametrize("format", ["uint8", "uint16"])
def test_the_end_of_the_scale_is_the_ceiling(format):
    largest = np.iinfo(format).max
    array = (scene() * largest).astype(format)
    array[3, 4] = largest
    assert frame(array).ceiling == 1.0


def test_12_bit_data_in_16_bits_have_their_own_ceiling():
    array = np.minimum(scene() * 9000, 4095).astype(np.uint16)
    found = frame(array)
    assert found.ceiling == pytest.approx(4095 / 65535)
    assert int((found.pixels >= found.ceiling).sum()) == int((array == 4095).sum()) > 0
    assert frame(array, black=64, white=4095).ceiling == 1.0
    assert frame(array * 16).ceiling == pytest.approx(4095 * 16 / 65535)


def test_a_pedestal_and_a_float_frame_have_their_own_ceiling():
    clipped = np.minimum(scene() * 1.8, 0.9).astype(np.float32)
    assert frame(clipped).ceiling == pytest.approx(0.9)
    assert frame(clipped * 300 + 10, black=10, white=310).ceiling == pytest.approx(0.9)
    assert int((frame(clipped).pixels >= frame(clipped).ceiling).sum()) == int((clipped == clipped.max()).sum())


@pytest.mark.parametrize("scale", [255, 4095, 65535, 16 * 4095])
def test_a_scene_that_thins_out_has_none(scale):
    array = np.round(scene() * scale * 0.9).astype(np.uint8 if scale == 255 else np.uint16)
    assert frame(array).ceiling is None


def test_flat_pictures_are_not_taken_for_saturated():
    assert frame(np.full((30, 30), 128, np.uint8)).ceiling is None
    assert frame(np.zeros((30, 30), np.uint8)).ceiling is None
    assert frame(np.full((30, 30), -2.0, np.float32)).ceiling is None
    page = np.full((100, 100), 200, np.uint8)
    page[40:60, 20:80] = 30
    assert frame(page).ceiling is None


@pytest.mark.parametrize(
    ("at_the_top", "below", "piled"), [(15, 0, False), (16, 0, True), (79, 20, False), (80, 20, True)]
)
def test_a_pile_has_16_samples_and_four_times_those_of_any_level_near_it(at_the_top, below, piled):
    array = np.zeros(1000, np.uint16)
    array[:at_the_top], array[at_the_top : at_the_top + below] = 4000, 3990
    assert (ceiling_level(array.reshape(10, 100), 65535.0) == 4000) == piled


def test_the_ceiling_is_found_in_colour_too():
    array = np.minimum(scene((200, 300, 3)) * 5000, [4095, 4095, 3500]).astype(np.uint16)
    assert ceiling_level(array, 65535.0) == 4095


def test_alpha_is_a_fraction_whatever_black_and_white():
    stored = Stored(array=np.full((2, 3), 1000, np.uint16), alpha=np.array([[0, 65535, 13107]] * 2, np.uint16))
    made = frame_from_stored(stored, "PNG", 100, 5000)
    np.testing.assert_allclose(made.alpha, [[0, 1, 0.2]] * 2)
    np.testing.assert_array_equal(stored_from_frame(made).alpha, stored.alpha)


def test_writing_checks_what_it_is_given():
    good = Frame(pixels=torch.zeros(3, 4, 5))
    for pixels in (torch.zeros(4, 5), torch.zeros(1, 2, 4, 5), torch.zeros(3, 0, 5)):
        with pytest.raises(ShapeError, match=r"expected pixels \(C, H, W\) to write, got "):
            stored_from_frame(replace(good, pixels=pixels))
    with pytest.raises(ShapeError, match=r"expected alpha \(4, 5\) like the pixels, got \(5, 4\)"):
        stored_from_frame(replace(good, alpha=torch.zeros(5, 4)))
    with pytest.raises(DtypeError, match=r"floating-point pixels to write, got torch\.uint8"):
        stored_from_frame(replace(good, pixels=torch.zeros(3, 4, 5, dtype=torch.uint8)))
    for value in (float("nan"), float("inf")):
        with pytest.raises(FileError, match="NaN or infinite"):
            stored_from_frame(replace(good, pixels=torch.full((3, 4, 5), value)))


def test_writing_takes_any_layout_and_leaves_the_pixels_alone():
    pixels = torch.rand(5, 4, 3, dtype=torch.float64).permute(2, 1, 0).requires_grad_()
    before = pixels.detach().clone()
    stored = stored_from_frame(Frame(pixels=pixels))
    np.testing.assert_array_equal(stored.array, np.rint(np.moveaxis(before.numpy(), 0, 2).astype(np.float32) * 255))
    assert torch.equal(pixels, before)
