"""The lattice of an earlier save: found with its quality and place, in nothing that was never a JPEG, of use."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

import deblur
from deblur import images
from deblur.arrays import picture_of
from deblur.jpeg_error import jpeg_sigma
from deblur.lattice import earlier_save, scaled
from deblur.measuring import measure
from deblur.options import ApplyOptions
from deblur.psf import Kernel


def _coded(levels: np.ndarray, quality: int) -> images.Frame:
    """Levels of 255 as they come back from a JPEG."""
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "JPEG", quality=quality)
    (frame,) = images.read_frames(file.getvalue())
    return frame


def _levels(frame: images.Frame) -> np.ndarray:
    levels: np.ndarray = np.round(255 * frame.pixels.movedim(0, -1).numpy()).astype(np.uint8)
    return levels


@pytest.fixture(scope="module")
def blurred() -> np.ndarray:
    """A photograph out of focus with some noise, levels of 255 (H, W, 3)."""
    sharp = data.astronaut()[40:360, 60:380] / 255
    blurry: np.ndarray = deblur.blur(sharp, "defocus:radius=3", noise=0.005)
    return np.round(255 * blurry.clip(0, 1)).astype(np.uint8)


@pytest.mark.parametrize("quality", [50, 70, 85])
def test_what_was_a_jpeg_before_shows_its_quality_and_its_blocks(blurred: np.ndarray, quality: int) -> None:
    once = _levels(_coded(blurred, quality))
    part = once[3:, 5:]
    for picture, offset in ((picture_of(once), (0, 0)), (picture_of(part), (3, 5)), (_coded(once, 95), (0, 0))):
        found = earlier_save(picture)
        assert found is not None
        assert abs(found.quality - quality) <= 2
        assert found.offset == offset


def test_what_was_saved_once_or_never_shows_none(blurred: np.ndarray) -> None:
    assert earlier_save(picture_of(blurred)) is None
    assert earlier_save(picture_of(data.camera())) is None
    for quality in (60, 75, 92):
        assert earlier_save(_coded(blurred, quality)) is None


def test_the_error_of_the_earlier_save_is_told(blurred: np.ndarray) -> None:
    once = _levels(_coded(blurred, 60))
    error = ((once - blurred.astype(float)) @ np.array([0.299, 0.587, 0.114])).std() / 255
    for picture in (picture_of(once), _coded(once, 95)):
        assert 0.6 < jpeg_sigma(picture, earlier_save(picture)) / error < 2
        record = measure(picture, Kernel(np.ones((5, 5))), ApplyOptions())
        assert record.coding > 2 * jpeg_sigma(picture)
        assert any("JPEG of a quality of about 60" in note for note in record.notes)


def test_the_tables_are_those_that_files_have() -> None:
    for quality in (30, 50, 75, 95):
        coding = _coded(np.zeros((16, 16), np.uint8), quality).coding
        assert coding is not None
        np.testing.assert_array_equal(coding.tables[0], scaled(quality))
