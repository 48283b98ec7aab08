"""The parts that restorers are made of: conjugate gradients, normal equations, shrinkage, tiles, noise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from pictures import picture

from deblur import psf as psfs
from deblur.errors import OptionError
from deblur.noise import effective_sigma, estimate_sigma, span
from deblur.psf.kernel import MISFIT
from deblur.psf.operator import BOUNDARIES, blur
from deblur.restoration import PRECONDITIONERS, RESTORERS, Problem
from deblur.restoration.chebyshev import chebyshev
from deblur.restoration.conjugate_gradients import solve
from deblur.restoration.normal_equations import NormalEquations
from deblur.restoration.priors.derivatives import RAMP, SparseDerivatives, shrink
from deblur.restoration.priors.splitting import Level
from deblur.restoration.restorer import Iterate
from deblur.restoration.symbols import curvature, gradients, on_grid
from deblur.restoration.tiles import cut, cut_axis


def test_conjugate_gradients_solve_in_as_many_steps_as_unknowns() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(2, 6, 6, dtype=torch.float64, generator=generator)
    matrix = root @ root.mT + torch.eye(6, dtype=torch.float64)
    truth = torch.randn(2, 6, 1, dtype=torch.float64, generator=generator)
    steps = solve(lambda x: matrix @ x, matrix @ truth, torch.zeros_like(truth), lambda r: r)
    last = next(itertools.islice(steps, 5, None))
    torch.testing.assert_close(last.scene, truth)
    assert last.residual < 1e-10


def test_channels_are_solved_independently() -> None:
    right = torch.tensor([[[1.0]], [[1e6]]], dtype=torch.float64)
    scale = torch.tensor([[[2.0]], [[5.0]]], dtype=torch.float64)
    first = next(solve(lambda x: scale * x, right, torch.zeros_like(right), lambda r: r))
    torch.testing.assert_close(first.scene, right / scale)


def _equations(boundary: str, preconditioner: str = "circulant", q: float = 0.01) -> NormalEquations:
    psf = psfs.make("motion:length=5,angle=20")
    mask = torch.rand(2, 20, 22, generator=torch.Generator().manual_seed(3)) > 0.1
    problem = Problem(
        blurred=torch.rand(2, 20, 22, dtype=torch.float64, generator=torch.Generator().manual_seed(4)),
        kernel=psf, boundary=boundary, mask=mask, preconditioner=preconditioner,
    )  # fmt: skip
    return NormalEquations(problem, gradients, q)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_normal_equations_are_those_of_the_blur(boundary: str) -> None:
    equations = _equations(boundary, q=0.0)
    blur, mask = equations.problem.blur, equations.problem.mask
    assert mask is not None
    x = torch.rand(2, *blur.scene, dtype=torch.float64)
    torch.testing.assert_close(equations(x), blur.adjoint(mask * blur(x)))
    torch.testing.assert_close(equations.problem.right_hand_side, blur.adjoint(mask * equations.problem.blurred))


@pytest.mark.parametrize("preconditioner", PRECONDITIONERS)
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_system_and_preconditioner_are_symmetric_and_positive(boundary: str, preconditioner: str) -> None:
    equations = _equations(boundary, preconditioner)
    generator = torch.Generator().manual_seed(0)
    u, v = torch.randn(2, 2, *equations.problem.blur.scene, dtype=torch.float64, generator=generator)
    inverse = PRECONDITIONERS[preconditioner](equations.problem.blur, gradients, equations.q)
    for operator in (equations, inverse):
        torch.testing.assert_close((operator(u) * v).sum(), (u * operator(v)).sum(), rtol=1e-8, atol=1e-8)
        assert float((operator(u) * u).sum()) > 0


def test_gradient_symbol_is_that_of_the_differences() -> None:
    delta = torch.zeros(6, 7, dtype=torch.float64)
    delta[0, 0] = 1
    dx, dy = (torch.roll(delta, 1, axis) - delta for axis in (0, 1))
    expected = torch.fft.rfft2(dx).abs().square() + torch.fft.rfft2(dy).abs().square()
    torch.testing.assert_close(on_grid(gradients, (6, 7), delta), expected)
    torch.testing.assert_close(on_grid(curvature, (6, 7), delta), expected.square())


@pytest.mark.parametrize("power", [1.0, 0.8, 0.5])
@pytest.mark.parametrize("beta", [1.0, 16.0, 256.0])
def test_shrink_is_the_minimiser(power: float, beta: float) -> None:
    magnitude = torch.linspace(0, 2, 41, dtype=torch.float64)
    w = torch.linspace(0, 2, 20_001, dtype=torch.float64)[:, None]
    energy = w**power + beta / 2 * (w - magnitude) ** 2
    best, reached = energy.min(0), shrink(magnitude, beta, power)
    excess = reached**power + beta / 2 * (reached - magnitude) ** 2 - best.values
    threshold = magnitude[best.indices > 0].min()
    ramp = (magnitude - threshold).abs() < RAMP * threshold  # between two minima, a little worse than either
    assert float(excess[~ramp].max()) < 2e-3
    assert float((excess / best.values.clamp_min(1e-9))[ramp].max()) < 0.1


@pytest.mark.parametrize("power", [1.0, 0.8, 0.5])
def test_shrink_has_no_jump_for_a_rounding_error_to_decide_about(power: float) -> None:
    shrunk = shrink(torch.linspace(0, 4, 400_001, dtype=torch.float64), 1.0, power)
    assert float(shrunk.diff().abs().max()) < 1e-3  # it would be half the threshold


@pytest.mark.parametrize("second", [0.0, 0.4])
@pytest.mark.parametrize("isotropic", [True, False])
def test_pull_of_a_strong_penalty_is_minus_the_symbol(isotropic: bool, second: float) -> None:
    prior = SparseDerivatives(power=1.0, isotropic=isotropic, second=second)
    image = picture(20, 24).double()
    pulled = prior.pull(image, Level(q=1.0, penalty=1e-4))
    expected = torch.fft.irfft2(torch.fft.rfft2(image) * on_grid(prior.symbol, (20, 24), image), s=(20, 24))
    torch.testing.assert_close(pulled, -expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("second", [0.0, 0.4])
def test_pull_of_a_weak_penalty_is_zero(second: float) -> None:
    pulled = SparseDerivatives(power=1.0, second=second).pull(picture(20, 24).double(), Level(q=1.0, penalty=1e12))
    assert float(pulled.abs().max()) < 1e-9


@pytest.mark.parametrize("isotropic", [True, False])
@pytest.mark.parametrize("height", [5, 6, 9, 40])
def test_pull_in_bands_is_that_in_one_piece(height: int, isotropic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    prior, level = SparseDerivatives(isotropic=isotropic), Level(q=1.0, penalty=16.0)
    image = torch.rand(3, height, 24, generator=torch.Generator().manual_seed(0))
    whole = prior.pull(image, level)
    monkeypatch.setattr("deblur.restoration.priors.derivatives.BAND", 24)
    torch.testing.assert_close(prior.pull(image, level), whole, rtol=0, atol=1e-6)


def test_equal_priors_share_one_symbol() -> None:
    assert SparseDerivatives(second=0.3).symbol is SparseDerivatives(second=0.3, weight=2).symbol


def test_schedule_grows_and_repeats() -> None:
    levels = SparseDerivatives(first=1, last=16, factor=4, repeats=2).schedule(0.01)
    assert [level.penalty for level in levels] == [1, 1, 4, 4, 16, 16]
    assert levels[2].q == pytest.approx(4 * levels[0].q)


@pytest.mark.parametrize(("length", "size", "overlap"), [(100, 40, 8), (41, 40, 10), (1000, 64, 32), (7, 40, 8)])
def test_weights_of_tiles_sum_to_one(length: int, size: int, overlap: int) -> None:
    total = torch.zeros(length, dtype=torch.float64)
    for span_ in cut_axis(length, size, overlap):
        total[span_.start : span_.stop] += span_.weight
    torch.testing.assert_close(total, torch.ones(length, dtype=torch.float64))


def test_pixels_at_an_inner_border_of_a_tile_count_for_nothing() -> None:
    first, second, *_ = cut_axis(100, 40, 8)
    assert bool((first.weight[-4:] == 0).all())
    assert bool((second.weight[:4] == 0).all())
    assert first.weight[0] == 1


def test_tiles_put_a_frame_together_again() -> None:
    frame = torch.rand(3, 130, 170, dtype=torch.float64)
    together = torch.zeros_like(frame)
    for tile in cut((130, 170), 50, 12):
        tile.add(together, tile.take(frame).clone())
    torch.testing.assert_close(together, frame)


@pytest.mark.parametrize("sigma", [0.003, 0.01, 0.04])
def test_noise_is_found_under_a_blurred_picture(sigma: float) -> None:
    smooth = torch.nn.functional.avg_pool2d(picture(160, 160), 7, stride=1, padding=3)
    noise = torch.randn(3, *smooth.shape[-2:], generator=torch.Generator().manual_seed(0))
    assert estimate_sigma(smooth + sigma * noise) == pytest.approx(sigma, rel=0.15)


@pytest.mark.parametrize("sigma", [0.01, 0.04, 0.1])
def test_noise_is_found_in_a_sharp_frame_with_a_smooth_part(sigma: float) -> None:
    generator = torch.Generator().manual_seed(0)
    frame = 0.5 + 0.2 * torch.randn(3, 260, 260, generator=generator)  # texture that looks like noise
    frame[:, :90] = torch.linspace(0, 0.8, 90)[:, None]
    frame[:, -40:] = 1.0
    noisy = (frame + sigma * torch.randn(frame.shape, generator=generator)).clamp(0, 1)
    assert estimate_sigma(noisy, sharp=True) == pytest.approx(sigma, rel=0.15)
    assert estimate_sigma(noisy) > 1.2 * sigma  # which takes the texture for noise


def test_noise_of_a_small_sharp_frame_is_that_of_the_whole() -> None:
    frame = torch.rand(1, 40, 90, generator=torch.Generator().manual_seed(0))
    assert estimate_sigma(frame, sharp=True) == estimate_sigma(frame)


def test_noise_estimate_leaves_out_what_is_masked_or_clipped() -> None:
    noise = 0.01 * torch.randn(1, 200, 200, generator=torch.Generator().manual_seed(0))
    frame = (noise + 0.5).clone()
    frame[:, :, :120] = 1.0
    assert estimate_sigma(frame) == pytest.approx(0.01, rel=0.1)
    frame[:, :, :120] += torch.rand(1, 200, 120)
    mask = torch.ones_like(frame)
    mask[:, :, :120] = 0
    assert estimate_sigma(frame, mask) == pytest.approx(0.01, rel=0.1)


def test_noise_of_a_constant_or_tiny_frame_is_zero() -> None:
    assert estimate_sigma(torch.full((3, 40, 40), 0.3)) == 0
    assert estimate_sigma(torch.rand(1, 2, 50)) == 0


def test_misfit_follows_the_exposure() -> None:
    frame = picture()
    assert span(3 * frame) == pytest.approx(3 * span(frame))
    assert effective_sigma(0.0, span(frame), MISFIT) == pytest.approx(MISFIT * span(frame))
    assert effective_sigma(0.01, 0.5, MISFIT, strength=2) == pytest.approx(2 * math.hypot(0.01, MISFIT * 0.5))
    assert effective_sigma(0.01, 0.5, MISFIT, caution=3.0) == pytest.approx(math.hypot(0.01, 3 * MISFIT * 0.5))
    assert span(frame, torch.zeros_like(frame)) == 0


@pytest.mark.parametrize("strength", [0.0, -1.0, math.nan, math.inf])
def test_strength_must_be_positive(strength: float) -> None:
    with pytest.raises(OptionError, match="expected a strength above 0"):
        effective_sigma(0.01, 1.0, MISFIT, strength=strength)


def test_problem_without_a_mask_believes_every_pixel() -> None:
    frame = torch.rand(1, 6, 6)
    problem = Problem(blurred=frame, kernel=np.ones((1, 1)))
    assert problem.masked(frame) is frame


def _diagonal(*eigenvalues: float) -> torch.Tensor:
    return torch.tensor(eigenvalues, dtype=torch.float64).reshape(1, 1, -1)


def test_residuals_are_relative_to_what_is_asked_for() -> None:
    right = torch.tensor([[[3.0, 4.0]], [[6.0, 8.0]]])
    scale = torch.tensor([10.0, 200.0])
    first = next(chebyshev(lambda x: x, right, None, lambda r: r, scale=scale))
    assert first.residual == pytest.approx(0.5)
    start = torch.zeros_like(right)
    shares = torch.tensor([[[1.0, 0.5]], [[1.0, 0.5]]])
    plain, scaled = (
        next(solve(lambda x: shares * x, right, start, lambda r: r, scale=s)).residual
        for s in (None, scale[:, None, None])
    )
    assert scaled == pytest.approx(plain / 2)


def test_chebyshev_steps_keep_their_promise() -> None:
    lowest, steps = 0.01, 30
    eigenvalues = _diagonal(*np.linspace(lowest, 1, 200), 0.001)
    right = torch.zeros_like(eigenvalues)
    start = torch.ones_like(right)
    iterate = chebyshev(lambda x: eigenvalues * x, right, start, lambda r: r, lowest)
    error = next(itertools.islice(iterate, steps - 1, None)).scene.abs()
    fall = math.cosh((steps - 1) * math.acosh((1 + lowest) / (1 - lowest)))
    assert float(error[..., :-1].max()) <= 1 / fall
    assert float(error[..., 199]) < 1e-12  # eigenvalue 1 ends with the first step
    assert float(error[..., -1]) <= 1


def _after(iterate: Iterator[Iterate], steps: int) -> torch.Tensor:
    *_, last = itertools.islice(iterate, steps)  # conjugate gradients may end before
    return last.scene


@pytest.mark.parametrize("preconditioner", ["circulant", "four-quadrant"])
@pytest.mark.parametrize("boundary", ["unknown", "circular", "reflect"])
def test_a_correction_is_what_the_solver_adds(boundary: str, preconditioner: str) -> None:
    equations = _equations(boundary, preconditioner, q=0.05)
    problem, operator = equations.problem, equations.problem.blur
    generator, period = torch.Generator().manual_seed(0), operator.period
    scene, target = torch.rand(2, 2, *operator.scene, dtype=torch.float64, generator=generator)
    misfit = problem.masked(problem.blurred - operator(scene))
    symbol = on_grid(gradients, period, scene)
    wanted, off = (torch.fft.irfft2(symbol * torch.fft.rfft2(operator.unfold(x)), s=period) for x in (target, scene))
    right = problem.right_hand_side + equations.q * operator.fold(wanted)
    expected = _after(equations.solve(right, scene), 5)
    found = equations.refine(scene, misfit, wanted - off, 5)
    torch.testing.assert_close(found.scene, expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(misfit, problem.masked(problem.blurred - operator(expected)), rtol=0, atol=1e-9)
    assert 0 < found.residual < 1


def test_corrections_keep_single_precision() -> None:
    frame = blur(picture(200, 200).double(), psfs.make("shake:size=13,seed=1"))
    wiggle = 0.003 * torch.randn(frame.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact, rough = (
        RESTORERS["tv"](
            Problem(blurred=(frame + wiggle).to(dtype), kernel=psfs.make("shake:size=13,seed=1"), sigma=0.005)
        )
        for dtype in (torch.float64, torch.float32)
    )
    assert float((rough.image - exact.image).abs().max()) < 2e-6


@pytest.mark.parametrize("preconditioner", ["circulant", "four-quadrant"])
@pytest.mark.parametrize("boundary", ["unknown", "circular"])
def test_both_solvers_reach_the_same_scene(boundary: str, preconditioner: str) -> None:
    equations = _equations(boundary, preconditioner, q=0.05)
    problem = equations.problem
    start = problem.blur.extend(problem.blurred)
    scene = _after(equations.solve(problem.right_hand_side, start), 400)
    residual = equations(scene) - problem.right_hand_side
    assert float(residual.norm() / problem.right_hand_side.norm()) < 1e-4  # the unseen outside comes last


def test_a_pixel_depends_on_its_surroundings_alone() -> None:
    frame = picture(64, 400).double()
    other = frame.clone()
    other[..., 250:] = 1 - other[..., 250:]
    scenes = []
    for blurred in (frame, other):
        problem = Problem(blurred=blurred, kernel=psfs.make("gaussian:sigma=1"))
        equations = NormalEquations(problem, gradients, 0.05)
        steps = equations.solve(problem.right_hand_side, problem.blur.extend(blurred))
        scenes.append(problem.blur.crop(_after(steps, 4)))
    torch.testing.assert_close(scenes[0][..., 50:100], scenes[1][..., 50:100], rtol=0, atol=1e-9)
