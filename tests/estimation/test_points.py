"""A kernel read off points of light: near the truth for stars of any shape, and refused where there are none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import fourier_shift
from skimage import data

from deblur import psf
from deblur.errors import KernelError
from deblur.estimation.points import Points


def _moffat(width: float, beta: float, stretch: float = 1.0) -> np.ndarray:
    at = np.arange(31) - 15
    a = width / 2 / np.sqrt(2 ** (1 / beta) - 1)
    kernel: np.ndarray = (1 + (at**2 * stretch + (at**2)[:, None] / stretch) / a**2) ** -beta
    return kernel / kernel.sum()


def _stars(kernel: np.ndarray, count: int, seed: int) -> torch.Tensor:
    """Stars of many magnitudes at fractions of a pixel over a dark sky, (1, 320, 320)."""
    g, side, half = np.random.default_rng(seed), 320, kernel.shape[0] // 2
    sky = np.zeros((side + 80, side + 80))
    padded = np.pad(kernel, 4)
    for _ in range(count):
        place = g.uniform(half + 5, side + 80 - half - 6, 2)
        whole = np.floor(place).astype(int)
        star = np.fft.ifft2(fourier_shift(np.fft.fft2(padded), place - whole)).real
        top, left = whole - half - 4
        sky[top : top + len(star), left : left + len(star)] += np.exp(g.normal(-0.5, 1)) * star
    frame = 0.03 + 0.3 / kernel.max() * sky[40:-40, 40:-40] + 0.004 * g.normal(size=(side, side))
    return torch.from_numpy(frame.clip(0, 1)).float()[None]


def _likeness(a: np.ndarray, b: np.ndarray) -> float:
    f = [np.fft.fft2(k, (96, 96)) for k in (a, b)]
    return float(np.fft.ifft2(f[0] * f[1].conj()).real.max() / np.sqrt((a**2).sum() * (b**2).sum()))


@pytest.mark.parametrize(
    "kernel",
    [_moffat(3, 2.5), _moffat(5, 3, 1.3), psf.make("gaussian:sigma=2"), psf.make("defocus:radius=5")],
    ids=["moffat", "elliptic", "gaussian", "disc"],
)
def test_the_kernel_of_a_star_field_is_that_of_its_stars(kernel: np.ndarray) -> None:
    frame = _stars(kernel, 60, 1)
    found = Points()([frame], masks=[frame < 0.98], sigma=0.004)
    assert _likeness(found.kernel.taps, kernel) > 0.99
    assert found.kernel.source == "points"


def test_trails_are_read_off_too() -> None:
    kernel = psf.make("shake:size=15,seed=4")
    frame = _stars(kernel, 60, 2)
    assert _likeness(Points()([frame], masks=[frame < 0.98], sigma=0.004).kernel.taps, kernel) > 0.97


def test_a_round_star_becomes_a_function_without_noise() -> None:
    frame = _stars(_moffat(3, 2.5), 60, 1)
    found = Points()([frame], masks=[frame < 0.98], sigma=0.004)
    assert found.details["moffat"]
    taps = found.kernel.taps
    assert np.abs(taps - taps[::-1, ::-1]).max() < 1e-6


def test_a_photograph_without_points_is_refused_in_a_line() -> None:
    frame = torch.from_numpy(data.astronaut().mean(-1) / 255).float()[None]
    with pytest.raises(KernelError, match="points that stand alone"):
        Points()([frame], sigma=0.004)
