"""What is drawn: parts of the pictures, as often as asked for, the same for a seed and step whoever asks."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from deblur.training.crops import Crops, Tiles, tiles_batch
from deblur.training.objectives.denoising import Denoising
from deblur.training.pictures import Stack
from deblur.training.recipe import Data

SQUARE = np.arange(9, dtype=np.uint8).reshape(1, 1, 3, 3)


def crops(*arrays: Any, seed: int = 0, **data: Any) -> Crops:
    stacks = [Stack(str(i), array) for i, array in enumerate(arrays)]
    return Crops([stacks], Data(**data), Denoising(), seed)


def random(*shape: int, dtype: Any = np.uint8) -> Any:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def test_a_batch_is_the_same_however_it_is_shared_and_differs_from_every_other() -> None:
    drawn = crops(random(4, 3, 20, 30), crop=6, channels=3)
    whole = drawn.batch(5, range(8))
    parts = [crops(random(4, 3, 20, 30), crop=6, channels=3).batch(5, places) for places in (range(3), range(3, 8))]
    for name, tensor in whole.items():
        torch.testing.assert_close(torch.cat([part[name] for part in parts]), tensor, rtol=0, atol=0)
        assert len(np.unique(tensor.flatten(1).numpy(), axis=0)) == 8 if tensor.ndim > 1 else len(set(tensor)) == 8
    others = [drawn.batch(6, range(8)), crops(random(4, 3, 20, 30), crop=6, channels=3, seed=1).batch(5, range(8))]
    for other in others:
        assert all(not torch.equal(other[name], whole[name]) for name in whole)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_crop_is_a_part_of_a_picture_in_the_unit_interval(dtype: Any) -> None:
    array = random(1, 1, 12, 10, dtype=dtype)
    batch = crops(array, crop=5, flips=False, rotations=False).batch(0, range(50))
    parts = np.lib.stride_tricks.sliding_window_view(array[0, 0], (5, 5)).reshape(-1, 25)
    known = {part.tobytes() for part in parts}
    drawn = np.rint(batch["clean"].double().numpy() * np.iinfo(dtype).max).astype(dtype).reshape(50, 25)
    assert all(crop.tobytes() in known for crop in drawn)
    assert len({crop.tobytes() for crop in drawn}) > 25


@pytest.mark.parametrize(
    ("flips", "rotations", "count"), [(True, True, 8), (False, True, 4), (True, False, 2), (False, False, 1)]
)
def test_the_symmetries_are_those_asked_for_and_alike_often(flips: bool, rotations: bool, count: int) -> None:
    batch = crops(SQUARE, crop=3, flips=flips, rotations=rotations).batch(0, range(1600))
    drawn = Counter(crop.tobytes() for crop in np.rint(batch["clean"].numpy() * 255).astype(np.uint8)[:, 0])
    turns = [np.rot90(SQUARE[0, 0], turn) for turn in range(4)] if rotations else [SQUARE[0, 0]]
    expected = {np.ascontiguousarray(each).tobytes() for turn in turns for each in ([turn, turn[:, ::-1]][: 1 + flips])}
    assert set(drawn) == expected
    assert len(expected) == count
    assert all(abs(number - 1600 / count) < 5 * (1600 / count) ** 0.5 for number in drawn.values())


@pytest.mark.parametrize(("balance", "share"), [("pixels", 81 / 82), ("sides", 0.9), ("pictures", 0.5)])
def test_pictures_are_drawn_by_their_places_or_alike(balance: Any, share: float) -> None:
    flat = [np.full((1, 1, side, side), level, np.uint8) for side, level in ((12, 255), (4, 0))]
    mean = float(crops(*flat, crop=4, balance=balance).batch(0, range(2000))["clean"].mean())
    assert mean == pytest.approx(share, abs=0.05)


def test_every_place_is_reached_to_the_last_row_and_column() -> None:
    batch = crops(random(1, 1, 6, 7), crop=4, flips=False, rotations=False).batch(0, range(400))
    assert len(np.unique(batch["clean"].flatten(1).numpy(), axis=0)) == 3 * 4


def test_a_size_that_stands_twice_is_drawn_twice_as_often() -> None:
    stacks = [[Stack("a", np.full((1, 1, 8, 8), level, np.uint8))] for level in (255, 255, 0)]
    drawn = Crops(stacks, Data(crop=4, factors=(1.0, 1.0, 2.0)), Denoising(), 0).batch(0, range(1500))
    assert float(drawn["clean"].mean()) == pytest.approx(2 / 3, abs=0.05)


def test_the_noise_is_standard_normal_and_its_level_log_uniform() -> None:
    batch = crops(random(1, 1, 16, 16), crop=16).batch(0, range(1000))
    assert float(batch["noise"].mean()) == pytest.approx(0, abs=0.01)
    assert float(batch["noise"].var()) == pytest.approx(1, abs=0.01)
    logs = np.log(batch["sigma"].numpy() * 255) / np.log(60)
    assert np.quantile(logs, [0, 0.25, 0.5, 0.75, 1]) == pytest.approx([0, 0.25, 0.5, 0.75, 1], abs=0.05)
    assert float(batch["sigma"].max()) <= 60 / 255 + 1e-7


def test_tiles_are_all_of_a_grid_and_few_of_them_are_spread() -> None:
    arrays = [random(2, 1, 9, 13), random(3, 1, 4, 8)]
    tiles = Tiles([Stack(str(i), array) for i, array in enumerate(arrays)], 4)
    expected = [
        array[n, :, row : row + 4, column : column + 4] / 255
        for array in arrays
        for n in range(len(array))
        for row in range(0, array.shape[2] - 3, 4)
        for column in range(0, array.shape[3] - 3, 4)
    ]
    assert len(tiles) == len(expected) == 2 * 6 + 3 * 2
    np.testing.assert_allclose(tiles[:], expected, atol=1e-6)
    few = Tiles([Stack(str(i), array) for i, array in enumerate(arrays)], 4, count=3)
    np.testing.assert_allclose(few[:], [expected[i] for i in (3, 9, 15)], atol=1e-6)


def test_the_noise_of_a_tile_is_always_the_same_whatever_is_beside_it() -> None:
    clean = np.zeros((5, 1, 4, 4), np.float32)
    whole, part = tiles_batch(clean, Denoising()), tiles_batch(clean[2:], Denoising(), first=2)
    torch.testing.assert_close(part["noise"], whole["noise"][2:], rtol=0, atol=0)
    assert len(torch.unique(whole["noise"])) == 80


def test_a_share_of_the_crops_is_light() -> None:
    flat = np.full((1, 1, 8, 8), 128, np.uint8)
    batch = crops(flat, crop=4, light=0.25).batch(0, range(1000))["clean"]
    levels, counts = torch.unique(batch[:, 0, 0, 0], return_counts=True)
    torch.testing.assert_close(levels, torch.tensor([((128 / 255 + 0.055) / 1.055) ** 2.4, 128 / 255]))
    assert abs(int(counts[0]) - 250) < 60
