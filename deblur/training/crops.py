"""Crops of pictures: random ones to train on, the same for the same seed and step; and fixed ones to validate on.

Every example of every step has a random generator of its own, seeded by (seed, step, place in the batch). So a run that
was interrupted draws what it would have drawn, and processes that share a batch draw what one alone would.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deblur.training.objectives.objective import Objective
from deblur.training.pictures import Stack
from deblur.training.recipe import Data
from deblur.transfer import TRANSFERS

__all__ = ["Crops", "Tiles", "tiles_batch"]

Array: TypeAlias = npt.NDArray[Any]


class Crops:
    """Random crops of pictures in several sizes.

    Args:
        pictures: for every factor the pictures in that size, each at least as large as a crop.
        data: the crop and what is done with it.
        objective: draws the random numbers that go with a crop.
        seed: the seed of everything that is drawn.

    Example:
        >>> from deblur.training.objectives import OBJECTIVES
        >>> stack = Stack("ramp", np.arange(64, dtype=np.uint8).reshape(1, 1, 8, 8))
        >>> crops = Crops([[stack]], Data(crop=4), OBJECTIVES["likelihood"](), seed=0)
        >>> batch = crops.batch(step=3, places=range(2))
        >>> batch["clean"].shape, batch["uniform"].shape
        (torch.Size([2, 1, 4, 4]), torch.Size([2, 1, 4, 4]))
        >>> bool((batch["clean"][1] == crops.batch(step=3, places=range(1, 2))["clean"][0]).all())
        True
    """

    def __init__(self, pictures: Sequence[Sequence[Stack]], data: Data, objective: Objective, seed: int) -> None:
        self._pictures, self._data, self._objective, self._seed = pictures, data, objective, seed
        self._bounds = [list(itertools.accumulate(_weight(stack, data) for stack in stacks)) for stacks in pictures]

    def batch(self, step: int, places: range) -> dict[str, Tensor]:
        """The examples at these places of a step's batch: `clean` (B, C, crop, crop), and the objective's draws."""
        shape = (self._data.channels, self._data.crop, self._data.crop)
        clean = np.empty((len(places), *shape), np.float32)
        draws = []
        for row, place in zip(clean, places, strict=True):
            generator = np.random.default_rng((self._seed, step, place))
            self._crop(generator, row)
            draws.append(self._objective.draw(shape, generator))
        return _batch(clean, draws)

    def _crop(self, generator: np.random.Generator, out: Array) -> None:
        """Put a random crop into `out`. One call for six numbers in [0, 1) is cheaper than six calls for integers."""
        data, size = self._data, self._data.crop
        which, place, index, top, left, turn = generator.random(6).tolist()
        group = int(which * len(self._pictures))
        at = bisect.bisect_right(self._bounds[group], place * self._bounds[group][-1])
        stack = self._pictures[group][min(at, len(self._bounds[group]) - 1)]
        count, _, height, width = stack.array.shape
        row, column = int(top * (height - size + 1)), int(left * (width - size + 1))
        crop = stack.array[int(index * count), :, row : row + size, column : column + size]
        np.multiply(_turned(crop, int(turn * 8), data.flips, data.rotations), stack.scale, out=out)
        if data.light and generator.random() < data.light:
            out[:] = TRANSFERS["srgb"].decode(torch.from_numpy(out)).numpy()


def _turned(crop: Array, which: int, flips: bool, rotations: bool) -> Array:
    """One of the eight symmetries of the square, as views; of fewer where not all are asked for.

    The group of four rotations and the mirror: a half turn flips both axes, a quarter turn flips one and swaps them.
    """
    mirror, quarter, half = bool(which & 1) and flips, bool(which & 2) and rotations, bool(which & 4) and rotations
    if quarter:
        crop = crop.swapaxes(1, 2)
    down, across = -1 if half else 1, -1 if half != (mirror != quarter) else 1
    return crop[:, ::down, ::across]


class Tiles:
    """Crops that do not overlap, from a grid over each picture: a sequence of (C, size, size) in [0, 1].

    Args:
        pictures: each at least `size` pixels a side.
        size: pixels a side.
        count: the largest number of crops, which are then spread evenly; None for all.

    Example:
        >>> stack = Stack("two", np.zeros((2, 1, 9, 13), np.uint8))
        >>> len(Tiles([stack], 4)), Tiles([stack], 4, count=5)[:3].shape
        (12, (3, 1, 4, 4))
    """

    def __init__(self, pictures: Sequence[Stack], size: int, count: int | None = None) -> None:
        self._pictures, self._size = pictures, size
        self._grids = [
            (len(stack.array), stack.array.shape[2] // size, stack.array.shape[3] // size) for stack in pictures
        ]
        self._ends = list(itertools.accumulate(number * rows * columns for number, rows, columns in self._grids))
        total = self._ends[-1]
        count = total if count is None else min(count, total)
        self._chosen = [(i * total + total // 2) // count for i in range(count)]

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, which: slice) -> npt.NDArray[np.float32]:
        """The crops (n, C, size, size)."""
        return np.stack([self._tile(tile) for tile in self._chosen[which]])

    def _tile(self, tile: int) -> Array:
        at = bisect.bisect_right(self._ends, tile)
        number, rows, columns = self._grids[at]
        index, cell = divmod(tile - self._ends[at] + number * rows * columns, rows * columns)
        row, column = (side * self._size for side in divmod(cell, columns))
        stack = self._pictures[at]
        crop: Array = stack.array[index, :, row : row + self._size, column : column + self._size] * stack.scale
        return crop


def tiles_batch(clean: Array, objective: Objective, first: int = 0) -> dict[str, Tensor]:
    """Held-out crops with the objective's draws, always the same for the same place `first`, `first` + 1, ..."""
    generators = [np.random.default_rng(np.random.SeedSequence(0, spawn_key=(first + i,))) for i in range(len(clean))]
    return _batch(clean, [objective.draw(clean.shape[1:], generator) for generator in generators])


def _batch(clean: Array, draws: Sequence[dict[str, Array | float]]) -> dict[str, Tensor]:
    drawn = {name: np.stack([np.asarray(draw[name], np.float32) for draw in draws]) for name in draws[0]}
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in {"clean": clean, **drawn}.items()}


def _weight(stack: Stack, data: Data) -> int:
    """How often a stack is drawn: by its pictures, or by the places for a crop in them."""
    count, height, width = len(stack.array), *stack.array.shape[2:]
    places = (height - data.crop + 1) * (width - data.crop + 1)
    each: int = {"pixels": places, "sides": math.isqrt(places), "pictures": 1}[data.balance]
    return count * each
