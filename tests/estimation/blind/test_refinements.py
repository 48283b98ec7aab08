"""What the refinements make of a kernel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from deblur.estimation.blind import taps
from deblur.estimation.blind.learned import Learned
from deblur.estimation.blind.periodic import Array
from deblur.estimation.blind.pyramid import Plane
from deblur.estimation.blind.variational import Variational

Refinement = Variational | Learned

EACH = pytest.mark.parametrize("refinement", [Variational(), Learned()], ids=["variational", "learned"])


@EACH
def test_the_refinement_sharpens_a_kernel_that_is_too_smooth(
    refinement: Refinement, scene: Array, kernel: NDArray[np.float64]
) -> None:
    pixels = np.asarray(fftconvolve(scene, kernel, "valid"), np.float32)
    smooth = taps.normalised(gaussian_filter(kernel, 0.8))
    found = refinement([Plane(pixels)], smooth)
    assert np.abs(found - kernel).sum() < 0.9 * np.abs(smooth - kernel).sum()


@EACH
def test_the_refinement_moves_a_true_kernel_little(
    refinement: Refinement, scene: Array, kernel: NDArray[np.float64]
) -> None:
    pixels = np.asarray(fftconvolve(scene, kernel, "valid"), np.float32)
    assert taps.similarity(refinement([Plane(pixels)], taps.normalised(kernel)), kernel, 0.5) > 0.95


@EACH
def test_the_refinement_does_not_look_at_masked_pixels(
    refinement: Refinement, scene: Array, kernel: NDArray[np.float64]
) -> None:
    pixels = np.asarray(fftconvolve(scene, kernel, "valid"), np.float32)
    believed = np.ones_like(pixels)
    believed[40:60, 40:60] = 0
    results = []
    for value in (0.0, 5.0):
        pixels[40:60, 40:60] = value
        results.append(replace(refinement, passes=1)([Plane(pixels, believed)], taps.normalised(kernel)))
    assert np.allclose(results[0], results[1], atol=1e-6)


def test_no_pass_of_the_learned_refinement_changes_nothing(scene: Array, kernel: NDArray[np.float64]) -> None:
    taken = taps.normalised(kernel)
    assert np.array_equal(Learned(passes=0)([Plane(scene)], taken), taken)


def test_frames_that_share_a_blur_are_refined_together(scene: Array, kernel: NDArray[np.float64]) -> None:
    pixels = np.asarray(fftconvolve(scene, kernel, "valid"), np.float32)
    smooth = taps.normalised(gaussian_filter(kernel, 0.8))
    halves = [Plane(np.ascontiguousarray(pixels[:, :80])), Plane(np.ascontiguousarray(pixels[:, 80:]))]
    found = Learned()(halves, smooth)
    assert np.abs(found - kernel).sum() < 0.9 * np.abs(smooth - kernel).sum()
