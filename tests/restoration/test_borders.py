"""Where the frame's outside is made up, no kernel draws one border to the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pictures import picture, psnr

from deblur import psf as psfs
from deblur.psf.operator import Blur, blur
from deblur.restoration import RESTORERS, Problem


def moved(down: int, right: int) -> np.ndarray:
    """A round blur whose light lies off its origin."""
    taps = np.pad(np.asarray(psfs.make("gaussian:sigma=1.5")), 6)
    return np.roll(taps, (down, right), (0, 1))


@pytest.mark.parametrize("boundary", ["replicate", "reflect"])
@pytest.mark.parametrize("method", ["wiener", "tv", "hyperlaplacian", "rl"])
def test_a_kernel_off_its_centre_costs_little(method: str, boundary: str) -> None:
    truth = picture(72, 80)
    found = []
    for kernel in (moved(0, 0), moved(0, 5), moved(3, -4)):
        wiggle = 0.004 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
        frame = blur(truth, kernel, boundary) + wiggle
        result = RESTORERS[method](Problem(blurred=frame, kernel=kernel, sigma=0.004, boundary=boundary))
        seen = (..., slice(8, -8), slice(8, -8))  # what such a kernel moves out of the frame is lost
        found.append(psnr(result.image[seen], truth[seen]))
    assert min(found[1:]) > found[0] - 1.5


@pytest.mark.parametrize("boundary", ["unknown", "zero", "circular", "reflect", "replicate"])
def test_fold_is_the_adjoint_of_unfold(boundary: str) -> None:
    operator = Blur(psfs.make("motion:length=5,angle=30"), (9, 12), boundary, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    scene = torch.rand(1, *operator.scene, dtype=torch.float64, generator=generator)
    grown = torch.rand(1, *operator.period, dtype=torch.float64, generator=generator)
    mirrored = boundary in ("reflect", "replicate")  # there `fold` is the mean of four images
    inner = float((operator.unfold(scene) * grown).sum()) / (4 if mirrored else 1)
    assert inner == pytest.approx(float((scene * operator.fold(grown)).sum()))
