"""Eight bits: dithered where the restoration is smoother than a step, never where it equals the file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from deblur import conversion, images
from deblur.dithering import LARGEST, dithered, pattern
from deblur.picture import Picture

STEP = 1 / 255


def _slope(height: int = 60, width: int = 80) -> torch.Tensor:
    return (0.4 + 3 * STEP * torch.linspace(0, 1, width)).expand(3, height, width).contiguous()


def test_it_is_the_same_every_time() -> None:
    slope = _slope()
    assert torch.equal(dithered(slope, 0 * slope), dithered(slope, 0 * slope))


def test_it_depends_on_the_place_in_the_frame_alone() -> None:
    slope = _slope()
    whole, part = dithered(slope, 0 * slope), dithered(slope[:, 11:, 23:], 0 * slope[:, 11:, 23:], place=(11, 23))
    inside = (slice(None), slice(2, None), slice(2, None))  # at its border a part sees less of what varies
    assert torch.equal(part[inside], whole[:, 11:, 23:][inside])
    assert not torch.equal(dithered(slope, 0 * slope, place=(1, 0)), whole)


def test_a_large_picture_has_the_pattern_of_its_rows() -> None:
    slope = torch.linspace(0.5, 0.5 + 1 / 255, 600).expand(1, 200, 600)  # more rows than are worked on at a time
    whole, nothing = dithered(slope, torch.zeros_like(slope), place=(3, 5)), torch.zeros(1, 40, 600)
    torch.testing.assert_close(dithered(slope[:, 150:190], nothing, place=(153, 5)), whole[:, 150:190], rtol=0, atol=0)


def test_it_is_less_than_half_a_step() -> None:
    slope = _slope()
    assert (dithered(slope, 0 * slope) - slope).abs().max() <= LARGEST * STEP + 1e-7
    assert float(pattern(100, 100).mean().abs()) < 0.01


def test_what_equals_the_file_is_not_touched() -> None:
    slope = _slope()
    assert torch.equal(dithered(slope, slope), slope)
    levels = torch.full((1, 20, 20), 100 * STEP)
    assert torch.equal((255 * dithered(levels, 0 * levels)).round(), 255 * levels)


def test_structure_is_not_touched() -> None:
    bars = torch.where(torch.arange(80) % 4 < 2, 0.3, 0.5).expand(1, 60, 80)
    assert torch.equal(dithered(bars, 0 * bars), bars)


def test_means_of_a_slope_survive_the_rounding() -> None:
    slope = _slope()
    error = (255 * dithered(slope, 0 * slope)).round() - 255 * slope
    plain = (255 * slope).round() - 255 * slope
    means = [torch.nn.functional.avg_pool2d(e[None], 10).abs().max() for e in (error, plain)]
    assert means[0] < 0.15 < 0.25 < means[1]


@pytest.mark.parametrize(("dtype", "step"), [(np.uint8, STEP), (np.uint16, None), (np.float32, None)])
def test_only_eight_bits_are(dtype: type, step: float | None) -> None:
    array = np.zeros((40, 40), dtype)
    (picture,) = conversion.pictures_from(array)
    assert conversion.step_of(array, picture) == step
    assert conversion.step_of(picture, picture) is None


def test_files_of_eight_bits_are(tmp_path: Path) -> None:
    for name, step in (("a.png", STEP), ("b.tif", None)):
        cv2.imwrite(str(tmp_path / name), np.zeros((40, 40), np.uint8 if name == "a.png" else np.uint16))
        assert conversion.step_of(str(tmp_path / name), images.read_frames(tmp_path / name)[0]) == step
    assert Picture(pixels=torch.zeros(1, 4, 4)).place == (0, 0)
