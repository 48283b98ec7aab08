"""The part of a picture that tells most of its blur."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import skimage.data

from deblur.estimation.region import best

Picture = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def scene() -> Picture:
    """A part of a photograph, (172, 172) in [0, 1]."""
    return np.asarray(skimage.data.camera()[60:232, 150:322] / 255, dtype=np.float32)


def test_the_region_is_where_edges_of_all_directions_are(scene: Picture) -> None:
    image = np.full((400, 600), 0.5, np.float32)
    image[:, 100:110] = 1  # one direction only
    image[200:372, 400:572] = scene
    x, y, width, height = best(image, (160, 160))[0]
    assert (width, height) == (160, 160)
    assert 370 <= x <= 440
    assert 170 <= y <= 240


def test_regions_do_not_overlap_nor_lie_on_what_is_not_believed(scene: Picture) -> None:
    image = np.tile(scene, (3, 3))
    believed = np.ones_like(image)
    believed[:, :300] = 0
    found = best(image, (128, 128), 3, believed=believed)
    assert len(found) == 3
    assert all(x + 128 > 300 for x, *_ in found)
    for i, (x, y, *_) in enumerate(found):
        assert all(abs(x - u) >= 128 or abs(y - v) >= 128 for u, v, *_ in found[:i])


@pytest.mark.parametrize("shift", [0, 16, 48, 144])
def test_a_region_moves_with_the_scene(scene: Picture, shift: int) -> None:
    image = np.full((400, 320), 0.5, np.float32)
    image[64 + shift : 192 + shift, 96:224] = scene[:128, :128]
    assert best(image, (128, 128))[0] == (96, 64 + shift, 128, 128)


def test_grain_below_the_noise_is_no_texture() -> None:
    image = np.random.default_rng(0).normal(0.5, 0.1, (256, 512)).astype(np.float32)
    image[:, 256:] = 0.35
    image[96:160, 352:416] = 0.65
    assert best(image, (128, 128), sigma=0.05)[0][0] >= 256
    assert best(image, (128, 128))[0][0] < 256
