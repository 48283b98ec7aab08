"""How far the pixels of a JPEG are off, from its own tables: near the truth, wherever its blocks lie, of use."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.fft import dctn
from skimage import data

import deblur
from deblur import images
from deblur.arrays import picture_of
from deblur.jpeg_error import jpeg_sigma
from deblur.lattice import blocks_of
from deblur.metrics import psnr
from deblur.noise import estimate_sigma
from deblur.options import ApplyOptions
from deblur.picture import Picture

KERNEL = "defocus:radius=3"


def _coded(stored: np.ndarray, quality: int, **options: int) -> images.Frame:
    """Stored values in [0, 1] as they come back from a JPEG."""
    file = io.BytesIO()
    Image.fromarray(np.round(255 * stored).astype(np.uint8)).save(file, "JPEG", quality=quality, **options)
    (frame,) = images.read_frames(file.getvalue())
    return frame


@pytest.fixture(scope="module")
def blurred() -> np.ndarray:
    """A photograph out of focus with some noise, stored values (H, W, 3)."""
    sharp = data.astronaut()[40:300, 60:320] / 255
    blurry: np.ndarray = deblur.blur(sharp, KERNEL, noise=0.005)
    return blurry.clip(0, 1)


@pytest.mark.parametrize("quality", [60, 75, 92])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_it_is_near_the_true_error_which_the_usual_estimate_misses(
    blurred: np.ndarray, quality: int, subsampling: int
) -> None:
    frame = _coded(blurred, quality, subsampling=subsampling)
    error = (frame.pixels.movedim(0, -1).numpy() - blurred) @ np.array([0.299, 0.587, 0.114])
    assert 0.6 < jpeg_sigma(frame) / error.std() < 1.7
    assert estimate_sigma(frame.pixels) < jpeg_sigma(frame)


def test_the_blocks_are_found_in_a_part_of_a_picture(blurred: np.ndarray) -> None:
    """There the coefficients are multiples of the table's, but for the rounding of pixels."""
    frame = _coded(blurred.mean(-1), 60)
    part = frame.window(slice(3, 203), slice(5, 209))
    assert jpeg_sigma(part) == pytest.approx(jpeg_sigma(frame), rel=0.15)
    off = []
    for coding in (part.coding, frame.coding):
        assert coding is not None
        blocks = blocks_of(part.pixels, (coding.offset[0] % 8, coding.offset[1] % 8))
        multiples = dctn(blocks, axes=(1, 2), norm="ortho") / coding.tables[0]
        off.append(float(np.abs(multiples - np.rint(multiples)).mean()))
    assert off[0] < 0.05 < off[1]


def test_worse_coding_has_a_larger_error(blurred: np.ndarray) -> None:
    errors = [jpeg_sigma(_coded(blurred, quality)) for quality in (95, 85, 70, 50)]
    assert errors == sorted(errors)
    assert errors[-1] > 3 * errors[0] > 0


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 30, 12), (1, 64, 64)])
def test_other_pictures_have_none_and_tiny_or_flat_ones_break_nothing(shape: tuple[int, ...]) -> None:
    assert jpeg_sigma(Picture(pixels=torch.rand(shape))) == 0
    for level in (0.0, 0.4, 1.0):
        flat = _coded(np.full((*shape[1:], 3), level), 80)
        assert 0 <= jpeg_sigma(flat) < 2 / 255


def test_a_jpeg_is_restored_for_the_error_that_it_has(blurred: np.ndarray) -> None:
    sharp = torch.from_numpy(data.astronaut()[40:300, 60:320] / 255).movedim(-1, 0)[:, 3:-3, 3:-3]
    frame = _coded(blurred, 80)
    as_png = picture_of((255 * frame.pixels.movedim(0, -1).numpy()).round().astype(np.uint8))
    aware = ApplyOptions(method="hyperlaplacian")
    naive = ApplyOptions(method="hyperlaplacian", noise=estimate_sigma(frame.pixels))
    records = [
        deblur.restore(*one) for one in ((frame, KERNEL, aware), (as_png, KERNEL, aware), (frame, KERNEL, naive))
    ]
    told, kept, missed = (psnr(record.image.clamp(0, 1), sharp.float()) for record in records)
    assert records[0].sigma > 1.5 * records[2].sigma
    assert told > missed + 0.4
    assert kept == pytest.approx(told, abs=0.1)  # and where a PNG was made of it
