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


def test_the_matrix_is_that_of_the_convolution(scene: Array) -> None:
    gradients = differences(scene[:40, :50])
    equations = KernelEquations([gradients], [gradients], 7)
    k = np.random.default_rng(0).random((7, 7)).astype(np.float32)
    energy = sum(float((fftconvolve(g, k) ** 2).sum()) for g in gradients)
    assert np.isclose(float(np.vdot(k, equations.apply(k))), energy, rtol=1e-3)


def test_two_frames_add_up(scene: Array) -> None:
    first, second = differences(scene[:60]), differences(scene[60:])
    k = np.random.default_rng(0).random((5, 5)).astype(np.float32)
    alone = [KernelEquations([g], [g], 5).apply(k) for g in (first, second)]
    together = KernelEquations([first, second], [first, second], 5).apply(k)
    assert np.allclose(together, alone[0] + alone[1], rtol=1e-4, atol=1e-3)


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
