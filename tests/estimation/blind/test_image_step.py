from __future__ import annotations

import numpy as np
import pytest

from deblur import psf
from deblur.estimation.blind.l0 import FewEdges
from deblur.estimation.blind.periodic import Array, apply, differences, extend, laplacian, transfer


def test_the_extension_keeps_the_frame_and_meets_its_opposite_border(scene: Array) -> None:
    grown = extend(scene, 11)
    assert np.array_equal(grown[: scene.shape[0], : scene.shape[1]], scene)
    inside = np.abs(np.diff(scene, axis=0)).mean()
    assert np.abs(grown[-1] - grown[0]).mean() < 2 * inside
    assert np.abs(grown[scene.shape[0]] - grown[scene.shape[0] - 1]).mean() < 2 * inside


def test_the_laplacian_is_the_energy_of_the_differences() -> None:
    image = np.random.default_rng(0).normal(size=(12, 15)).astype(np.float32)
    around = sum(float(((np.roll(image, -1, axis) - image) ** 2).sum()) for axis in (0, 1))
    spectrum = np.fft.fft2(image)
    full = np.concatenate([laplacian((12, 15)), laplacian((12, 15))[(-np.arange(12)) % 12][:, 7:0:-1]], axis=1)
    assert (np.abs(spectrum) ** 2 * full).sum() / image.size == pytest.approx(around, rel=1e-5)


def test_a_kernel_at_its_origin_tap_does_not_move_the_image(scene: Array) -> None:
    image = extend(scene, 5)
    delta = np.zeros((5, 5))
    delta[2, 2] = 1
    assert np.allclose(apply(transfer(delta, image.shape), image), image, atol=1e-5)  # type: ignore[arg-type]


def test_the_scene_has_less_energy_than_the_frame_and_than_the_truth_has_edges(scene: Array) -> None:
    """Splitting does not find the global minimum, but it must beat what one would guess."""
    kernel, weight = psf.make("motion:length=7,angle=20"), 2e-3
    step = FewEdges.of(scene, 7)
    found = step.energy(kernel, weight)
    across, down = differences(scene)
    blurred = step.crop(apply(transfer(kernel, step.grown.shape), step.grown))  # type: ignore[arg-type]
    guess = float(((blurred - scene) ** 2).sum()) + weight * np.count_nonzero(across**2 + down**2 > 1e-4)
    assert found < 0.9 * guess


def test_a_larger_weight_leaves_fewer_edges(scene: Array) -> None:
    kernel, step, counts = psf.make("gaussian:sigma=1"), FewEdges.of(scene, 9), []
    for weight in (1e-4, 1e-3, 1e-2):
        across, down = differences(step.restore(kernel, weight))
        counts.append(np.count_nonzero(across**2 + down**2 > 1e-4))
    assert counts[0] > 1.5 * counts[1] > 2 * counts[2]


def test_a_blurred_step_becomes_a_step_again() -> None:
    edge = np.zeros((64, 64), np.float32)
    edge[:, 20:44] = 1
    kernel = np.full((1, 7), 1 / 7)
    grown = np.pad(edge, ((0, 0), (3, 3)), mode="wrap")
    blurred = sum(grown[:, i : i + 64] for i in range(7)) / np.float32(7)
    restored = FewEdges.of(np.asarray(blurred, np.float32), 7).restore(kernel, 1e-3)
    assert np.abs(restored - edge)[:, 5:-5].max() < 0.05
