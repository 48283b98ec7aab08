from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from deblur.estimation.blind import taps
from deblur.estimation.blind.kernel_step import KernelEquations, select, threshold
from deblur.estimation.blind.periodic import Array, differences


def strong(scene: Array, count: int) -> tuple[Array, Array]:
    gradients = [differences(scene)]
    return select(gradients, threshold(gradients, count))[0]


def test_the_true_gradients_give_the_kernel(scene: Array, kernel: NDArray[np.float64]) -> None:
    """Selected and Toeplitz, as in use: the strong gradients of the truth, not all of them."""
    pixels = np.asarray(fftconvolve(scene, kernel, "same"), np.float32)
    equations = KernelEquations([differences(scene)], [differences(pixels)], 13)
    found = taps.normalised(np.maximum(equations.solve(ridge=0.01, smooth=0, steps=200), 0))
    assert np.abs(found - kernel).sum() < 0.08


def test_the_kernel_solves_the_normal_equations_of_the_convolution(scene: Array) -> None:
    """By their gradient, with the convolution written out."""
    across, down = differences(scene[:40, :50])
    blurred = tuple(np.roll(g, 1, 0) for g in (across, down))
    k = KernelEquations([(across, down)], [blurred], 7).solve(ridge=0.5, smooth=0.3, steps=300)  # type: ignore[list-item]

    def cost(kernel: NDArray[np.float64]) -> float:
        padded = np.pad(kernel, 1)
        rough = sum(float((np.diff(padded, axis=axis) ** 2).sum()) for axis in (0, 1))
        misses = 0.0
        for g, d in zip((across, down), blurred, strict=True):
            error = fftconvolve(np.pad(g, 7), kernel, "same") - np.pad(d, 7)
            misses += float((error**2).sum())
        return misses + 0.5 * float((kernel**2).sum()) + 0.3 * rough

    best = cost(k.astype(np.float64))
    generator = np.random.default_rng(0)
    for _ in range(5):
        other = k + 0.02 * generator.normal(size=k.shape)
        assert cost(other) > best


def test_two_frames_determine_more_than_one(scene: Array, kernel: NDArray[np.float64]) -> None:
    pixels = np.asarray(fftconvolve(scene, kernel, "same"), np.float32)
    halves = [(differences(scene[rows]), differences(pixels[rows])) for rows in (slice(0, 60), slice(60, None))]

    def wrong(some: list[tuple[tuple[Array, Array], tuple[Array, Array]]]) -> float:
        equations = KernelEquations([scene for scene, _ in some], [frame for _, frame in some], 13)
        return float(np.abs(equations.solve(ridge=1.0, smooth=0, steps=200) - kernel).sum())

    assert wrong(halves) < min(wrong(halves[:1]), wrong(halves[1:]))


def test_taps_that_are_not_free_stay_zero(scene: Array) -> None:
    gradients, free = differences(scene), np.zeros((9, 9), bool)
    free[4] = True
    found = KernelEquations([gradients], [gradients], 9).solve(ridge=1, smooth=1, free=free)
    assert not found[~free].any()
    assert found[free].any()


def test_every_orientation_is_selected(scene: Array) -> None:
    across, down = strong(scene, 100)
    quarter = np.arctan2(down, across)[(across != 0) | (down != 0)] % np.pi // (np.pi / 4)
    assert all((quarter == q).sum() >= 100 for q in range(4))


def test_selecting_more_than_there_is_leaves_the_strongest() -> None:
    across = np.zeros((8, 8), np.float32)
    across[4, 4] = 0.5
    assert select([(across, np.zeros_like(across))], least=9.0)[0][0][4, 4] == 0.5
