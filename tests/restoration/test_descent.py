"""Restoration in light with a prior on stored values: the data term, its gradient, half the size, and the whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pictures import picture, psnr

from deblur import psf
from deblur.progress import Step
from deblur.psf.operator import blur
from deblur.restoration import RESTORERS, Problem, coarse, opponent
from deblur.restoration.data_term import DataTerm
from deblur.restoration.descent import Descent
from deblur.restoration.hqs import HalfQuadraticSplitting
from deblur.restoration.priors.derivatives import SparseDerivatives
from deblur.restoration.priors.ridge import Ridge
from deblur.transfer import TRANSFERS

SRGB = TRANSFERS["srgb"]
KERNEL = psf.make("shake:size=9,seed=2")


def scene(side: int = 120) -> torch.Tensor:
    """A photograph (3, side, side) in light."""
    gray = picture(side, side)[0]
    return SRGB.decode(torch.stack([gray, 0.8 * gray, gray.flip(0)]).clamp(0.02, 1).double())


def problem_of(light: torch.Tensor, sigma: float = 0.01, **known: object) -> Problem:
    seen = blur(light, KERNEL)
    noise = torch.randn(seen.shape, generator=torch.Generator().manual_seed(0), dtype=seen.dtype)
    stored = SRGB.encode(seen) + sigma * noise
    return Problem(blurred=SRGB.decode(stored), kernel=KERNEL, sigma=sigma, curve=SRGB, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize("chroma", [None, 1.5])
def test_the_gradient_of_the_data_term_is_that_of_its_definition(chroma: float | None) -> None:
    light = scene(40)
    deviation = torch.linspace(0.5, 2, light.numel(), dtype=light.dtype).reshape(light.shape)[:, 4:-4, 4:-4]
    problem = problem_of(light, chroma=0.25, deviation=deviation)
    term = DataTerm(problem, chroma)
    v = term.unknown(problem.blur.extend(problem.blurred)).requires_grad_()
    matrix = (
        torch.eye(3, dtype=v.dtype) if chroma is None else opponent.rotation(v) * v.new_tensor([1, 1.5, 1.5])[:, None]
    )
    stored = opponent.turned(torch.linalg.inv(matrix), v)
    x = torch.where(stored <= 0.04045, stored / 12.92, ((stored.clamp_min(0.04) + 0.055) / 1.055) ** 2.4)
    observed = problem.blurred
    slope = SRGB.slope(SRGB.encode(observed), observed)
    miss = (observed - problem.blur(x)) / slope / deviation
    energy = (miss * opponent.turned(opponent.metric(miss, 0.25), miss)).sum() / 2
    energy.backward()
    with torch.no_grad():
        lit, steepness = torch.empty_like(v), torch.empty_like(v)
        term.follow(v.detach(), lit, steepness)
        _, seen = term.misfit(lit)
        force = term.gradient(seen, steepness)
    torch.testing.assert_close(force, -v.grad, atol=1e-9, rtol=1e-6)


def test_a_clipped_pixel_counts_only_where_the_scene_is_too_dark() -> None:
    light = scene(40)
    problem = problem_of(light)
    clipped = torch.zeros_like(problem.blurred, dtype=torch.bool)
    clipped[:, 5, 5] = clipped[:, 20, 20] = True
    told = problem.blurred.clone()
    told[:, 5, 5], told[:, 20, 20] = 0.0, 9.0  # far below, and far above, what the scene gives
    term = DataTerm(replace(problem, blurred=told, clipped=clipped), None)
    weight = torch.empty_like(told)
    term.misfit(problem.blur.extend(problem.blurred), weight)
    assert (weight[:, 5, 5] == 0).all()
    assert (weight[:, 20, 20] > 0).all()


def test_the_scaling_at_half_the_size_is_nearly_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(scene(128))
    term = DataTerm(problem, 1.5)
    v = term.unknown(problem.blur.extend(problem.blurred))
    lit, slope, omega = torch.empty_like(v), torch.empty_like(v), torch.empty_like(term.weight)
    term.follow(v, lit, slope)
    term.misfit(lit, omega)
    assert coarse.worthwhile(problem)
    half = term.scaling(slope, omega)
    monkeypatch.setattr(coarse, "worthwhile", lambda problem: False)
    whole = term.scaling(slope, omega)
    assert float((half / whole - 1).abs().median()) < 0.04
    assert float((half / whole - 1).abs().quantile(0.95)) < 0.15


def test_a_scene_shrunk_and_doubled_stays_where_it_was() -> None:
    problem = problem_of(scene(128))
    fine, small = problem.blur, coarse.halved(problem).blur
    rows = torch.arange(fine.scene[0], dtype=torch.float64)[:, None] / fine.scene[0]
    ramp = (rows + torch.arange(fine.scene[1], dtype=torch.float64) / fine.scene[1])[None]
    again = coarse.doubled(coarse.shrunk(ramp, small, fine), small, fine)
    seen = (slice(None), *(slice(o + 2, o + n - 2) for o, n in zip(fine.offset, fine.frame, strict=True)))
    torch.testing.assert_close(again[seen], ramp[seen], atol=1e-9, rtol=0)


def test_half_the_size_is_the_same_scene_blurred_alike() -> None:
    problem = problem_of(scene(128), sigma=0.0)
    smaller = coarse.halved(problem)
    light = scene(128)
    halves = torch.nn.functional.avg_pool2d(light[None], 2)[0]
    predicted = blur(halves, smaller.kernel)
    top, left = ((a - b) // 2 for a, b in zip(smaller.blurred.shape[1:], predicted.shape[1:], strict=True))
    inner = smaller.blurred[:, top : top + predicted.shape[1], left : left + predicted.shape[2]]
    assert float((inner - predicted).square().mean().sqrt()) < 0.01
    grown = coarse.doubled(smaller.blur.extend(smaller.blurred), smaller.blur, problem.blur)
    assert psnr(problem.blur.crop(grown), problem.blurred) > 25


@pytest.mark.parametrize("method", ["hyperlaplacian", "tv", "wiener", "rl"])
def test_every_method_restores_in_light(method: str) -> None:
    light = scene().float()
    problem = problem_of(light)
    truth = SRGB.encode(light[:, 4:-4, 4:-4])
    result = RESTORERS[method](problem)
    assert result.status == "converged"
    assert psnr(SRGB.encode(result.image), truth) > psnr(SRGB.encode(problem.blurred), truth) + 3


def test_steps_that_are_too_long_are_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    light = scene().float()
    problem = problem_of(light)
    good = RESTORERS["hyperlaplacian"](problem).image
    monkeypatch.setattr("deblur.restoration.descent.HIGHEST", 0.4)  # eigenvalues are larger: it would diverge
    saved = RESTORERS["hyperlaplacian"](problem).image
    assert psnr(SRGB.encode(saved), SRGB.encode(good)) > 28


def test_a_lamp_stays_a_lamp() -> None:
    light = 0.1 * scene()
    rows, columns = np.mgrid[:120, :120]
    lamp = torch.from_numpy(np.hypot(rows - 60, columns - 60) <= 3)
    light[:, lamp] = 20.0
    seen = blur(light, psf.make("defocus:radius=4")).float()
    problem = Problem(
        blurred=seen.clamp_max(1), kernel=psf.make("defocus:radius=4"), sigma=0.004, curve=SRGB, clipped=seen >= 1
    )
    restored = RESTORERS["hyperlaplacian"](problem).image
    assert (restored[:, lamp[4:-4, 4:-4]] > 0.9).all()


def test_a_plain_problem_takes_the_quadratic_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Problem] = []
    monkeypatch.setattr(Descent, "__call__", lambda self, problem, prior: asked.append(problem) or iter(()))
    frame = torch.rand(1, 40, 40)
    HalfQuadraticSplitting(prior=SparseDerivatives())(Problem(blurred=frame, kernel=KERNEL))
    assert not asked
    HalfQuadraticSplitting(prior=SparseDerivatives())(Problem(blurred=frame, kernel=KERNEL, curve=SRGB))
    assert len(asked) == 1


@pytest.mark.parametrize("method", ["hyperlaplacian", "tv", "wiener", "rl"])
def test_progress_ends_at_its_total(method: str) -> None:
    told: list[Step] = []
    RESTORERS[method](problem_of(scene().float()), told.append)
    assert told[-1].index == told[-1].total


def test_the_ridge_pulls_by_circular_differences() -> None:
    image = torch.rand(2, 6, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ridge = Ridge()
    expected = sum(image.roll(shift, axis) for axis in (-2, -1) for shift in (1, -1)) - 4 * image
    torch.testing.assert_close(ridge.pull(image, ridge.schedule(0.01)[0]), expected)
