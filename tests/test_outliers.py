"""Pixels that no noise explains: found by what the blur cannot do, in no clean frame, wherever the frame is cut."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from skimage import data

import deblur
from deblur.arrays import picture_of
from deblur.foretold import _medians, cells, each_of
from deblur.measuring import measure
from deblur.metrics import psnr
from deblur.options import ApplyOptions
from deblur.outliers import Outliers, outliers, without_outliers
from deblur.picture import Picture
from deblur.psf import Kernel, resolve
from deblur.restoring import restore

KERNEL = "defocus:radius=4"


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return resolve(KERNEL)


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    """A photograph out of focus with some noise, levels of 255 (H, W, 3)."""
    sharp = data.astronaut()[40:300, 60:320] / 255
    blurry: np.ndarray = deblur.blur(sharp, KERNEL, noise=0.01)
    return np.round(255 * blurry.clip(0, 1)).astype(np.uint8)


def _found(levels: np.ndarray, kernel: Kernel) -> Outliers | None:
    picture, options = picture_of(levels), ApplyOptions()
    return outliers(picture, kernel, measure(picture, kernel, options), options)


def _hot(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """With hot and dead pixels, and where they are."""
    generator = np.random.default_rng(0)
    where = np.zeros(levels.shape[:2], bool)
    where[generator.integers(8, len(levels) - 8, 40), generator.integers(8, levels.shape[1] - 8, 40)] = True
    return np.where(where[..., None], np.where(levels > 128, 0, 255), levels).astype(np.uint8), where


def test_a_clean_frame_has_none(clean: np.ndarray, kernel: Kernel) -> None:
    assert _found(clean, kernel) is None


def test_hot_and_dead_pixels_are_found_and_nothing_else(clean: np.ndarray, kernel: Kernel) -> None:
    levels, where = _hot(clean)
    found = _found(levels, kernel)
    assert found is not None
    np.testing.assert_array_equal(found.where[0].numpy(), where)


def test_a_column_is_found_whole_and_named(clean: np.ndarray, kernel: Kernel) -> None:
    levels = clean.copy()
    levels[:, 77] = np.clip(levels[:, 77].astype(int) + 40, 0, 255)
    found = _found(levels, kernel)
    assert found is not None
    assert found.columns == 1
    assert bool(found.where[0, :, 77].all())
    assert "1 column among them" in found.words


def test_a_scratch_is_found(clean: np.ndarray, kernel: Kernel) -> None:
    levels, at = clean.copy(), np.arange(30)
    levels[60 + at, 90 + at] = 255
    found = _found(levels, kernel)
    assert found is not None
    assert float(found.where[0, 60 + at, 90 + at].float().mean()) > 0.8
    assert int(found.where.sum()) < 60


def test_a_sharp_picture_a_small_kernel_and_none_recognise_nothing(clean: np.ndarray, kernel: Kernel) -> None:
    assert _found(data.astronaut()[40:300, 60:320], kernel) is None
    assert _found(_hot(clean)[0], Kernel([[0.1, 0.8, 0.1]])) is None
    picture = picture_of(_hot(clean)[0])
    record = measure(picture, kernel, ApplyOptions())
    assert without_outliers(picture, picture, kernel, record, ApplyOptions(outliers="none"))[1] == ()


def test_what_is_masked_already_is_not_counted(clean: np.ndarray, kernel: Kernel) -> None:
    levels, where = _hot(clean)
    picture = dataclasses.replace(picture_of(levels), mask=torch.from_numpy(~where)[None]).filled()
    options = ApplyOptions()
    assert outliers(picture, kernel, measure(picture, kernel, options), options) is None


def test_a_part_takes_those_of_the_whole_frame(clean: np.ndarray, kernel: Kernel) -> None:
    frame, options = picture_of(_hot(clean)[0]), ApplyOptions()
    record = measure(frame, kernel, options)
    whole, notes = without_outliers(frame, frame, kernel, record, options)
    part, same = without_outliers(frame.window(slice(20, 90), slice(31, 130)), frame, kernel, record, options)
    assert notes == same
    assert whole.mask is not None
    assert part.mask is not None
    assert torch.equal(part.mask, whole.mask[:, 20:90, 31:130])


def test_a_restoration_has_an_estimate_in_their_place(clean: np.ndarray) -> None:
    levels, _ = _hot(clean)
    best, with_them, without = (
        restore(picture_of(frame), KERNEL, ApplyOptions(method="wiener", outliers=word))
        for frame, word in ((clean, "auto"), (levels, "none"), (levels, "auto"))
    )
    assert psnr(without.image, best.image) > psnr(with_them.image, best.image) + 6
    assert any("40 pixels that no noise explains" in note for note in without.notes)


def test_a_mask_keeps_what_it_had() -> None:
    gray = Picture(pixels=torch.full((1, 64, 64), 0.5), mask=torch.ones(1, 64, 64, dtype=torch.bool))
    record = measure(gray, Kernel(np.ones((5, 5))), ApplyOptions(noise=0.01))
    assert without_outliers(gray, gray, Kernel(np.ones((5, 5))), record, ApplyOptions()) == (gray, ())


def test_medians_along_a_line_leave_out_what_is_bad() -> None:
    z = np.random.default_rng(0).normal(size=(9, 7)).astype(np.float32)
    bad = np.zeros(z.shape, bool)
    for axis in (0, 1):
        np.testing.assert_array_equal(_medians(z, bad, axis), np.median(z, axis))
    bad[2, 3], bad[5] = True, True
    assert _medians(z, bad, 1)[5] == 0
    assert _medians(z, bad, 0)[3] == np.median(np.delete(z[:, 3], [2, 5]))


def test_every_cell_comes_with_what_was_made_of_it() -> None:
    todo = list(cells((1000, 700), 200, 16))
    assert [(cell, made) for cell, made in each_of(lambda cell: cell[1], todo)] == [(c, c[1]) for c in todo]
