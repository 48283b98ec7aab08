from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from deblur import psf
from deblur.estimation.blind import taps
from deblur.estimation.blind.pyramid import levels


def width(kernel: np.ndarray) -> float:
    """The standard deviation of a kernel along its rows, in pixels."""
    mass, at = kernel.sum(0), np.arange(len(kernel))
    return float(np.sqrt((mass * (at - (mass * at).sum()) ** 2).sum()))


@pytest.mark.parametrize("seed", range(4))
def test_centring_puts_the_centroid_within_half_a_pixel_of_the_origin(seed: int) -> None:
    kernel = np.roll(np.pad(psf.make(f"shake:size=9,seed={seed}"), 6), (4, -5), (0, 1))
    moved = taps.centred(kernel)
    assert all(abs(c) <= 0.5 + 1e-5 for c in taps.centroid(moved))
    assert moved.shape == kernel.shape


def test_centring_grows_the_array_rather_than_cut_taps() -> None:
    kernel = np.zeros((5, 5))
    kernel[0], kernel[4, 0] = 0.18, 0.1
    grown = taps.centred(kernel, loss=0.01)
    assert grown.shape == (9, 9)
    assert np.count_nonzero(grown) == 6
    assert all(abs(c) <= 0.5 for c in taps.centroid(grown))
    assert taps.centred(kernel, loss=0.2).shape == (5, 5)


def test_pruning_drops_specks_and_islands_and_keeps_the_path() -> None:
    kernel = np.zeros((11, 11))
    kernel[5, 2:9], kernel[0, 0], kernel[10, 10] = 1, 0.1, 0.01
    kept = taps.prune(kernel, share=0.03)
    assert np.count_nonzero(kept) == 7
    assert kept.sum() == pytest.approx(1)


def test_enlarging_keeps_the_shape(kernel: NDArray[np.float64]) -> None:
    fine = taps.enlarge(taps.normalised(kernel), 19)
    assert fine.shape == (19, 19)
    assert fine.min() >= 0
    spread = [width(k) for k in (kernel, fine)]
    assert spread[1] / spread[0] == pytest.approx(2**0.5, rel=0.05)


def test_the_window_is_where_the_mass_is(kernel: NDArray[np.float64]) -> None:
    moved = np.pad(kernel, ((0, 8), (5, 3)))
    assert np.allclose(taps.window(moved, 13), kernel, atol=1e-6)
    assert taps.window(kernel, 17).shape == (17, 17)


def test_similarity_does_not_see_a_shift_and_sees_another_kernel(kernel: NDArray[np.float64]) -> None:
    moved = np.roll(np.pad(kernel, 4), (3, -2), (0, 1))
    assert taps.similarity(kernel, moved) == pytest.approx(1, abs=1e-6)
    assert taps.similarity(kernel, kernel[::-1]) < 0.95
    assert taps.similarity(kernel, np.eye(13)[::-1] / 13) < 0.8


def test_a_kernel_of_nothing_becomes_a_tap() -> None:
    assert taps.normalised(np.zeros((3, 3)))[1, 1] == 1


def test_levels_end_at_the_smallest_kernel() -> None:
    assert [levels(size) for size in (3, 5, 7, 15, 41)] == [1, 1, 1, 4, 7]
