"""P = A^T A B^T B: how well, how stably, as which matrix, and at which cost."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve

import deblur.psf as psf
from deblur.errors import OptionError, ShapeError, UnstableInverseError
from deblur.psf import cepstrum
from deblur.psf import factorization as module
from deblur.psf.factorization import Factors, factorize

SHAKE = psf.shake(size=15, seed=3)
KERNELS = {
    "shake": SHAKE,
    "motion, rectangular": psf.motion(length=9, angle=20),
    "even sizes": psf.gaussian(sigma=1.3, size=8)[:, :6],
    "one row": psf.motion(length=6),
    "negative taps": psf.check(np.array([[-1, -2, -1], [-2, 40, -2], [-1, -2, 5]])),
    "one tap": np.ones((1, 1)),
}


def symbol(kernel: np.ndarray, q: float, grid: int) -> np.ndarray:
    """P straight from its definition, on the whole grid."""
    w = 2 * np.pi * np.fft.fftfreq(grid)
    gradients = np.abs(1 - np.exp(-1j * w)) ** 2
    return np.abs(np.fft.fft2(kernel, (grid, grid))) ** 2 + q * (gradients[:, None] + gradients)


def product(factors: Factors, grid: int) -> np.ndarray:
    """The symbol of A^T A B^T B, on the whole grid: B reads rows above and columns to the right."""
    a = np.fft.fft2(factors.a.numpy(), (grid, grid))
    placed = np.zeros((grid, grid))
    rows, columns = np.indices(factors.b.shape)
    placed[rows, -columns] = factors.b.numpy()
    return np.abs(a) ** 2 * np.abs(np.fft.fft2(placed)) ** 2


def normal_matrix(kernel: np.ndarray, q: float, x: np.ndarray) -> np.ndarray:
    """K^T K x + q L^T L x for a frame that is zero near its border."""
    blurred = fftconvolve(fftconvolve(x, kernel), kernel[::-1, ::-1])
    rows, columns = kernel.shape[0] - 1, kernel.shape[1] - 1
    result = blurred[rows : rows + x.shape[0], columns : columns + x.shape[1]]
    for axis in (0, 1):
        result = result + q * (2 * x - np.roll(x, 1, axis) - np.roll(x, -1, axis))
    return result


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("q", [0.3, 0.01])
def test_factors_multiply_to_the_symbol(name: str, q: float) -> None:
    factors = factorize(KERNELS[name], q)
    exact = symbol(KERNELS[name], q, 1024)
    error = np.abs(product(factors, 1024) / exact - 1).max()
    assert factors.stable
    assert factors.error <= 1e-2
    assert error == pytest.approx(factors.error, rel=0.05, abs=1e-9)
    assert max(*factors.a.shape, *factors.b.shape) <= factors.size
    assert factors.a.dtype == torch.float64


def test_error_falls_with_the_taps_until_it_is_gone() -> None:
    errors = [factorize(SHAKE, 0.02, size=r).error for r in (11, 15, 21, 31, 45, 63)]
    assert all(later < earlier for earlier, later in pairwise(errors))
    assert errors[-1] < 1e-5


@pytest.mark.parametrize("tolerance", [0.5, 1e-2, 1e-4])
def test_automatic_taps_are_the_fewest_for_the_tolerance(tolerance: float) -> None:
    factors = factorize(SHAKE, 0.02, tolerance=tolerance)
    assert factors.error <= tolerance
    fewer = max(side for side in module._SIDES if side < factors.size)
    assert factorize(SHAKE, 0.02, size=fewer, grid=factors.grid).error > 0.9 * tolerance


def test_rows_that_change_nothing_are_left_out() -> None:
    factors = factorize(psf.motion(length=15), 0.01, size=63)
    for taps in (factors.a, factors.b):
        assert taps.shape[0] < 30
        assert taps.shape[1] > 50
    exact = symbol(psf.motion(length=15), 0.01, 1024)
    assert np.abs(product(factors, 1024) / exact - 1).max() == pytest.approx(factors.error, rel=0.01)
    whole = torch.zeros(1, 64, 64, dtype=torch.float64)
    whole[0, :5, :3] = 0.01 ** torch.arange(5)[:, None] * torch.tensor([1.0, 0.2, 0.1])
    assert cepstrum.trim(whole[:, :9, :9], whole, 1e-3).shape == (1, 2, 3)


def test_grid_grows_as_the_weight_falls() -> None:
    grids = [factorize(SHAKE, q).grid for q in (1, 0.02, 0.001)]
    assert grids[0] < grids[-1]
    assert grids == sorted(grids)
    assert factorize(psf.shake(size=25, seed=1), 0.01, size=45).grid == 1024  # the first guess, 512, still aliases


def test_coarse_grid_is_found_out_on_a_finer_one() -> None:
    disk = psf.defocus(radius=5)
    coarse = factorize(disk, 0.001, size=45, grid=128)
    own = np.abs(product(coarse, 128) / symbol(disk, 0.001, 128) - 1).max()
    assert own < 0.6 * coarse.error  # what the grid that made the factors would have claimed
    assert factorize(disk, 0.001, size=45).error < 0.7 * coarse.error


def test_missed_tolerance_says_what_was_reached() -> None:
    factors = factorize(SHAKE, 1e-5, tolerance=1e-3, max_size=21)
    assert factors.size <= 21
    assert factors.error > 1e-3
    assert factors.error == pytest.approx(factorize(SHAKE, 1e-5, size=factors.size, grid=factors.grid).error)


def test_solve_inverts_apply_in_both_dtypes_and_for_every_channel() -> None:
    factors = factorize(SHAKE, 0.02)
    x = torch.rand(2, 3, 40, 33, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(factors.solve(factors.apply(x)), x, atol=1e-11, rtol=0)
    single = factors.solve(factors.apply(x.float()))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, x.float(), atol=2e-3, rtol=0)
    torch.testing.assert_close(factors.solve(x[:, 1:2]), factors.solve(x)[:, 1:2])


def test_solve_is_the_inverse_of_a_symmetric_positive_definite_matrix() -> None:
    factors = factorize(KERNELS["motion, rectangular"], 0.02)
    eye = torch.eye(9 * 10, dtype=torch.float64).reshape(90, 1, 9, 10)
    matrix = factors.solve(eye).reshape(90, 90)
    torch.testing.assert_close(matrix, matrix.T, atol=1e-10, rtol=0)
    assert torch.linalg.eigvalsh(matrix).min() > 0
    generator = torch.Generator().manual_seed(1)
    u, v = (torch.rand(1, 1, 50, 61, dtype=torch.float64, generator=generator) for _ in range(2))
    assert float((u * factors.solve(v)).sum()) == pytest.approx(float((factors.solve(u) * v).sum()), rel=1e-12)
    assert float((u * factors.apply(v)).sum()) == pytest.approx(float((factors.apply(u) * v).sum()), rel=1e-12)


@pytest.mark.parametrize("name", ["shake", "motion, rectangular", "even sizes", "negative taps"])
def test_factors_are_the_normal_operator_away_from_the_border(name: str) -> None:
    kernel = KERNELS[name]
    factors = factorize(kernel, 0.05, tolerance=1e-4)
    x = np.zeros((160, 150))
    x[60:90, 70:95] = np.random.default_rng(2).random((30, 25))
    exact = normal_matrix(kernel, 0.05, x)
    ours = factors.apply(torch.from_numpy(x)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(ours, exact, atol=1e-3)
    back = factors.solve(torch.from_numpy(exact)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(back, x, atol=5e-3)


def test_impulse_response_of_a_proved_factor_never_grows() -> None:
    from deblur.ops import masked_conv2d_solve

    factors = factorize(SHAKE, 0.003, tolerance=0.1)
    assert factors.stable
    impulse = torch.zeros(1, 1, 300, 300, dtype=torch.float64)
    impulse[..., 0, 0] = 1
    for taps in (factors.a, factors.b):
        response = masked_conv2d_solve(impulse, taps[None, None]).abs()
        assert response.max() == response[..., 0, 0] == pytest.approx(1 / float(taps[0, 0]))
        assert response[..., 200:, :].max() < 1e-3 * response.max()


def test_cut_that_changes_the_spectrum_too_much_is_judged_by_its_margin() -> None:
    bad = factorize(psf.motion(length=11, angle=33), 1e-6, size=17, grid=128)
    assert not bad.stable
    assert "not minimum-phase (margin -0.0" in bad.reason
    saved = factorize(psf.shake(size=15, seed=2), 0.01, size=7, grid=128)
    assert saved.stable
    assert "by a margin of 0.2" in saved.reason
    good = factorize(SHAKE, 0.02)
    assert good.stable
    assert "less than 1" in good.reason


def test_change_of_the_spectrum_is_measured_at_the_torus() -> None:
    whole = torch.zeros(1, 64, 64, dtype=torch.float64)
    whole[0, 0, :2] = torch.tensor([1.0, 0.4])
    assert cepstrum.changed(whole[..., :1, :1], whole) == pytest.approx(0.4 / 0.6)  # at z = -1


def test_kernel_without_zeros_needs_no_regulariser() -> None:
    kernel = psf.laplace(decay=1)
    factors = factorize(kernel, 0, tolerance=1e-4)
    assert factors.stable
    x = np.zeros((120, 120))
    x[50:70, 50:70] = np.random.default_rng(3).random((20, 20))
    exact = normal_matrix(kernel, 0, x)
    np.testing.assert_allclose(factors.apply(torch.from_numpy(x)[None, None])[0, 0], exact, atol=1e-3)


def test_spectrum_with_zeros_and_no_regulariser_has_no_factors() -> None:
    with pytest.raises(UnstableInverseError, match="the blur's spectrum has zeros, which the regulariser's weight 0"):
        factorize(psf.check(np.ones((4, 4))), 0)


def test_where_the_origin_lies_does_not_matter() -> None:
    shifted = np.pad(SHAKE, [(2, 0), (0, 5)])
    a, b = factorize(SHAKE, 0.05, size=21), factorize(shifted, 0.05, size=21)
    torch.testing.assert_close(a.a, b.a, atol=1e-12, rtol=0)
    torch.testing.assert_close(a.b, b.b, atol=1e-12, rtol=0)


def test_other_regularisers_are_named_or_given() -> None:
    named = factorize(SHAKE, 0.1, regulariser="identity", size=21)
    given = factorize(SHAKE, 0.1, regulariser=lambda w1, w2: torch.ones_like(w1 * w2), size=21)
    torch.testing.assert_close(named.a, given.a)
    delta = factorize(np.ones((1, 1)), 3.0, regulariser="identity")
    assert delta.a.shape == delta.b.shape == (1, 1)
    assert float(delta.a[0, 0] * delta.b[0, 0]) == pytest.approx(math.sqrt(1 + 3))


def test_one_kernel_per_channel() -> None:
    kernels = np.stack([SHAKE, SHAKE.T, psf.gaussian(sigma=2, size=15)])
    factors = factorize(kernels, 0.05)
    assert factors.a.shape[0] == factors.b.shape[0] == 3
    x = torch.rand(1, 3, 30, 30, dtype=torch.float64)
    solved = factors.solve(x)
    for channel, kernel in enumerate(kernels):
        alone = factorize(kernel, 0.05, size=factors.size, grid=factors.grid).solve(x[:, channel : channel + 1])
        torch.testing.assert_close(solved[:, channel : channel + 1], alone, atol=1e-2, rtol=1e-2)
    with pytest.raises(ShapeError, match="C as many as the 3 kernels"):
        factors.solve(x[:, :2])
    with pytest.raises(ShapeError, match=r"expected an image \(B, C, H, W\)"):
        factorize(SHAKE, 0.05).solve(x[0])


def test_same_question_is_answered_from_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    first = factorize(SHAKE, 0.0301)
    monkeypatch.setattr(cepstrum, "factors", None)  # whoever computes anew fails
    assert factorize(SHAKE.copy(), 0.0301) is first
    for other in ({"q": 0.0302}, {"q": 0.0301, "taps": 9}, {"q": 0.0301, "regulariser": "identity"}):
        with pytest.raises(TypeError):
            factorize(SHAKE, **other)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        factorize(SHAKE.T.copy(), 0.0301)


def test_cache_forgets_the_oldest() -> None:
    first = factorize(np.ones((1, 1)), 100.0, size=3)
    for step in range(module._KEPT):
        factorize(np.ones((1, 1)), 101.0 + step, size=3)
    assert len(module._cache) <= module._KEPT
    assert factorize(np.ones((1, 1)), 100.0, size=3) is not first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"q": -1.0}, "expected the regulariser's weight q to be 0 or more, got -1.0"),
        ({"q": math.nan}, "expected the regulariser's weight q to be 0 or more, got nan"),
        ({"q": 1.0, "size": 0}, "expected a factor of one tap a side or more, got 0"),
        ({"q": 1.0, "max_size": 0}, "expected a factor of one tap a side or more, got 0"),
        ({"q": 1.0, "grid": 20}, "expected an even grid of at least 30, twice the kernel and the taps, got 20"),
        ({"q": 1.0, "grid": 33}, "expected an even grid of at least 30, twice the kernel and the taps, got 33"),
        ({"q": 1.0, "regulariser": "tv"}, "expected a regulariser out of gradient, identity, or a function, got 'tv'"),
    ],
)
def test_bad_setting_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        factorize(SHAKE, **options)  # type: ignore[arg-type]
    assert str(caught.value) == message
