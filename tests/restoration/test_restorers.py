"""What holds for every restorer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from pictures import picture, psnr
from torch import Tensor

from deblur import psf as psfs
from deblur.errors import OptionError
from deblur.progress import Step
from deblur.psf.operator import BOUNDARIES, blur
from deblur.restoration import PRECONDITIONERS, RESTORERS, Problem
from deblur.restoration.auto import DEFAULT_METHOD, configured
from deblur.restoration.restorer import Iterate, Restorer

SPLITTINGS = ["tv", "hyperlaplacian", "flow"]
WITH_PRIOR = [name for name in RESTORERS if name != "exact"]


@pytest.mark.parametrize("method", WITH_PRIOR)
def test_restores_an_unknown_border(method: str, case: tuple[Problem, Tensor]) -> None:
    problem, truth = case
    result = RESTORERS[method](problem)
    gain = psnr(result.image, truth) - psnr(problem.blurred, truth)
    rim = torch.ones_like(truth, dtype=torch.bool)
    rim[:, 6:-6, 6:-6] = False
    assert gain > 3.5, f"{gain:.2f} dB"
    assert psnr(result.image[rim], truth[rim]) - psnr(problem.blurred[rim], truth[rim]) > 1.5
    assert result.image.shape == problem.blurred.shape


@pytest.mark.parametrize("boundary", BOUNDARIES[1:])
@pytest.mark.parametrize("method", WITH_PRIOR)
def test_restores_a_known_boundary(method: str, boundary: str, kernel: np.ndarray) -> None:
    truth = picture(48, 56)
    frame = blur(truth, kernel, boundary)
    frame = frame + 0.01 * torch.randn(frame.shape, generator=torch.Generator().manual_seed(0))
    result = RESTORERS[method](Problem(blurred=frame, kernel=kernel, sigma=0.012, boundary=boundary))
    assert psnr(result.image, truth) > psnr(frame, truth) + 2.5


@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("method", WITH_PRIOR)
def test_constant_frame_stays_constant(method: str, level: float, kernel: np.ndarray) -> None:
    result = RESTORERS[method](Problem(blurred=torch.full((3, 24, 30), level), kernel=kernel))
    error = (result.image - level).abs()
    if method == "flow":  # what is learnt is nearly so
        assert float(error.mean()) < 0.5 / 255
    else:
        assert float(error.max()) < 2e-4


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 6, 9), (2, 8, 21), (4, 7, 10)])
@pytest.mark.parametrize("method", WITH_PRIOR)
def test_small_frames_and_any_number_of_channels_stay_finite(
    method: str, shape: tuple[int, int, int], kernel: np.ndarray
) -> None:
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    result = RESTORERS[method](Problem(blurred=0.5 + 0.1 * noise, kernel=kernel, sigma=0.1))
    assert result.image.shape == shape
    assert bool(result.image.isfinite().all())


@pytest.mark.parametrize("sigma", [0.08, 0.5])
@pytest.mark.parametrize("method", WITH_PRIOR)
def test_noise_alone_is_not_amplified(method: str, sigma: float, kernel: np.ndarray) -> None:
    noise = sigma * torch.randn(1, 40, 44, generator=torch.Generator().manual_seed(0))
    result = RESTORERS[method](Problem(blurred=0.5 + noise, kernel=kernel, sigma=sigma))
    assert float((result.image - 0.5).square().mean().sqrt()) < (4 if method == "rl" else 1) * sigma


@pytest.mark.parametrize("method", ["wiener", "tv", "hyperlaplacian", pytest.param("flow", marks=pytest.mark.slow)])
def test_same_for_both_preconditioners(method: str, case: tuple[Problem, Tensor]) -> None:
    problem, truth = case
    restorer = configured(method, {"inner": 30} if method in SPLITTINGS else {})
    images = [restorer(dataclasses.replace(problem, preconditioner=name)).image for name in sorted(PRECONDITIONERS)]
    assert psnr(*images) > psnr(images[0], truth) + 10


@pytest.mark.parametrize("method", WITH_PRIOR)
def test_masked_pixels_do_not_matter(method: str, case: tuple[Problem, Tensor]) -> None:
    problem, _ = case
    mask = torch.ones_like(problem.blurred, dtype=torch.bool)
    mask[:, 20:24, 30:36] = False
    spoilt = torch.where(mask, problem.blurred, 1.0)
    closely = {"inner": 60} if method in SPLITTINGS else {}
    closely |= {"tolerance": 1e-6} if method == "wiener" else {}
    restorer = configured(method, closely)
    one = restorer(dataclasses.replace(problem, mask=mask))
    other = restorer(dataclasses.replace(problem, blurred=spoilt, mask=mask))
    far_away = (one.image - other.image).abs()[:, :, :12].max()  # only the start differs, inside the hole
    assert far_away < (1e-2 if method == "rl" else 2e-3)


@pytest.mark.parametrize("method", ["wiener", "rl"])
def test_one_kernel_per_channel_equals_each_channel_alone(method: str) -> None:
    kernels = np.stack([psfs.make(f"motion:length=7,angle={angle},size=9") for angle in (0, 60, 120)])
    frame = blur(picture(40, 44).expand(3, -1, -1), kernels)
    together = RESTORERS[method](Problem(blurred=frame, kernel=kernels)).image
    alone = torch.cat(
        [RESTORERS[method](Problem(blurred=f[None], kernel=k)).image for f, k in zip(frame, kernels, strict=True)]
    )
    rim = 8  # the grid of three kernels is larger than that of one
    torch.testing.assert_close(together[:, rim:-rim, rim:-rim], alone[:, rim:-rim, rim:-rim], atol=5e-3, rtol=0)


@pytest.mark.parametrize("method", list(RESTORERS))
def test_progress_is_told_after_every_step(method: str, case: tuple[Problem, Tensor]) -> None:
    problem = case[0]
    if method == "exact":
        problem = dataclasses.replace(problem, kernel=psfs.make("exponential:decay=1,angle=0"), sigma=1e-4)
    told: list[Step] = []
    result = RESTORERS[method](problem, told.append)
    assert [step.index for step in told] == list(range(1, result.steps + 1))
    assert all(step.index <= step.total for step in told)
    assert result.status in ("converged", "limit")
    assert math.isfinite(result.residual)


@dataclass(frozen=True, kw_only=True)
class _Exploding(Restorer):
    limit: int = 9
    tolerance: float = 0.0

    def estimates(self, problem: Problem) -> Iterator[Iterate]:
        scene = problem.blur.extend(problem.blurred)
        yield Iterate(scene + 1, 0.5)
        yield Iterate(scene * math.inf, 0.5)


def test_a_step_that_is_not_finite_is_a_status_and_keeps_the_last_good_one(case: tuple[Problem, Tensor]) -> None:
    problem, _ = case
    result = _Exploding()(problem)
    assert result.status == "diverged"
    torch.testing.assert_close(result.image, problem.blurred + 1)


def test_limit_and_tolerance_end_the_loop(case: tuple[Problem, Tensor]) -> None:
    short = configured("wiener", {"limit": 3, "tolerance": 1e-9})(case[0])
    assert (short.steps, short.status) == (3, "limit")
    done = configured("wiener", {"tolerance": 0.5})(case[0])
    assert done.status == "converged"
    assert done.residual <= 0.5


def test_auto_is_the_default_method() -> None:
    assert configured("auto") == RESTORERS[DEFAULT_METHOD]


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("winer", {}, "unknown method 'winer', did you mean 'wiener'?"),
        ("wiener", {"wieght": 1}, "unknown setting of wiener 'wieght', did you mean 'weight'?"),
        ("wiener", {"weight": "much"}, "expected wiener.weight to be a float like 65.0, got 'much'"),
        ("wiener", {"weight": -1}, "expected weight to be a finite number above 0, got -1.0"),
        ("tv", {"prior": {"powr": 1.0}}, "unknown setting of tv.prior 'powr', did you mean 'power'?"),
        ("tv", {"prior": {"power": 2}}, r"expected power in \(0, 1\], got 2.0"),
        ("tv", {"inner": 0}, "expected inner and limit of at least 1, got 0"),
        ("rl", {"tv": -0.5}, r"expected tv in \[0, 10\), got -0.5"),
        ("exact", {"max_gain": 0}, "expected max_gain to be a finite number above 0, got 0.0"),
    ],
)
def test_bad_settings_are_refused(method: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        configured(method, settings)
