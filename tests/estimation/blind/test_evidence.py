"""The evidence of a kernel, and its descent by gradients through the restoration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from deblur import psf
from deblur.estimation.blind import taps
from deblur.estimation.blind.descent import Descent, Scene
from deblur.estimation.blind.evidence import evidence, penalty
from deblur.estimation.blind.planes import plane
from deblur.estimation.blind.pyramid import Plane


@pytest.fixture(scope="module")
def seen(frame: Tensor) -> Plane:
    return plane(frame[:, :128, :128])


@pytest.mark.parametrize("rho", [1e-4, 1e-2, 1.0])
def test_the_penalty_is_the_least_over_all_variances_of_a_gradient(rho: float) -> None:
    gradients = np.array([1e-3, 0.05, 0.3, 1.0])
    variances = np.geomspace(1e-9, 10, 20001)
    least = (gradients[:, None] ** 2 / variances + np.log(variances + rho)).min(1)
    assert np.allclose(penalty(gradients.astype(np.float32), rho) - np.log(2), least, atol=1e-4)


def test_the_evidence_is_for_the_true_kernel(seen: Plane, kernel: NDArray[np.float64]) -> None:
    true = evidence([seen], taps.normalised(kernel))
    half = np.where(np.arange(13)[:, None] < 6, kernel, 0)
    for wrong in (np.eye(1), kernel[::-1], half, psf.make("shake:size=19,seed=3")):
        assert true < evidence([seen], taps.normalised(wrong)) - 0.005


def test_the_gradient_goes_through_the_restoration(seen: Plane, kernel: NDArray[np.float64]) -> None:
    scene = Scene(seen, taps.normalised(kernel), noise=2e-4, inner=4)
    point = torch.from_numpy(kernel + 1e-3).requires_grad_()
    scene.cost(point).backward()  # type: ignore[no-untyped-call]
    assert point.grad is not None
    direction = torch.randn(point.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ahead, behind = (scene.cost(point + sign * 1e-8 * direction) for sign in (1, -1))
    assert float((point.grad * direction).sum()) == pytest.approx(float(ahead - behind) / 2e-8, rel=1e-4)


def test_the_descent_betters_a_kernel_that_is_off(seen: Plane, kernel: NDArray[np.float64]) -> None:
    off = taps.normalised(0.7 * kernel + 0.3 * np.roll(kernel, 1, 1))
    found = Descent(steps=6)([seen], off)
    assert evidence([seen], found) < evidence([seen], off)
    assert found.sum() == pytest.approx(1, abs=1e-5)
    assert found.min() >= 0
