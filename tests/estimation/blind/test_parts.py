from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from deblur import psf
from deblur.estimation.blind import taps
from deblur.estimation.blind.candidates import Judge
from deblur.estimation.blind.periodic import Array
from deblur.estimation.blind.planes import colour_weights, plane
from deblur.estimation.blind.pyramid import climb, levels
from deblur.estimation.blind.starts import AGAIN, SCOUT


def test_the_energy_prefers_the_true_kernel_to_one_that_is_mirrored_narrower_or_wider(
    frame: Tensor, kernel: NDArray[np.float64]
) -> None:
    judge = Judge([plane(frame)], 21)
    true = judge.energy(taps.normalised(kernel))
    for wrong in (kernel[::-1], psf.make("shake:size=9,seed=3"), psf.make("shake:size=19,seed=3")):
        assert true < 0.98 * judge.energy(taps.normalised(wrong))


def test_the_energy_prefers_the_true_kernel_to_no_blur(frame: Tensor, kernel: NDArray[np.float64]) -> None:
    judge = Judge([plane(frame)], 13)
    assert judge.energy(taps.normalised(kernel)) < judge.energy(np.ones((1, 1), np.float32))


def test_the_energy_hardly_sees_a_shift(frame: Tensor, kernel: NDArray[np.float64]) -> None:
    judge = Judge([plane(frame)], 17)
    moved = np.roll(np.pad(kernel, 2), (2, -2), (0, 1))
    assert abs(judge.energy(taps.normalised(moved)) / judge.energy(taps.normalised(kernel)) - 1) < 0.02


def test_the_pyramid_climbs_to_the_kernel(frame: Tensor, kernel: NDArray[np.float64]) -> None:
    found = climb([plane(frame)], 13, SCOUT)
    assert taps.similarity(found[-1], kernel) > 0.9
    assert [k.shape[0] for k in found] == sorted(k.shape[0] for k in found)


@pytest.mark.parametrize("finest", [1, 3])
def test_a_climb_begins_with_the_outlines_of_a_kernel(frame: Tensor, kernel: NDArray[np.float64], finest: int) -> None:
    still = replace(AGAIN, finest=finest, repeats=0)
    found = climb([plane(frame)], 13, still, begin=taps.normalised(kernel))
    assert [k.shape[0] for k in found] == [9, 13, 17][-finest:]
    assert taps.similarity(found[-1], kernel, 1.5) > 0.94
    assert taps.similarity(found[-1], kernel[::-1, ::-1], 1.5) < 0.9


def test_a_climb_from_outlines_ends_nearer_to_the_truth(frame: Tensor, kernel: NDArray[np.float64]) -> None:
    rough = taps.normalised(ndimage.gaussian_filter(kernel, 2.0))
    found = climb([plane(frame)], 13, AGAIN, begin=rough)
    assert taps.similarity(found[-1], kernel, 0.5) > taps.similarity(rough, kernel, 0.5) + 0.1


def test_no_climb_has_more_scales_than_there_are(frame: Tensor) -> None:
    dot = np.ones((3, 3), np.float32) / 9
    assert len(climb([plane(frame)], 3, AGAIN, begin=dot)) == levels(3 + AGAIN.margin) < 3


def test_colours_weigh_by_what_stands_out_from_the_noise(scene: Array) -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.as_tensor(scene)
    frame = torch.stack([clean, 0.5 * clean, clean])
    frame += torch.tensor([0.01, 0.01, 0.05])[:, None, None] * torch.randn(frame.shape, generator=generator)
    weights = colour_weights(frame)
    assert abs(float(weights.sum()) - 1) < 1e-6
    assert weights[0] > 1.3 * weights[1] > 2 * weights[2]


def test_a_plane_does_not_depend_on_the_exposure(frame: Tensor) -> None:
    one, two = plane(frame), plane(0.3 * frame)
    assert np.allclose(one.values, two.values, atol=1e-5)
    assert np.isclose(one.sigma, two.sigma, rtol=1e-3)
