"""Least squares over non-negative taps."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize

from deblur.estimation.non_negative import free_inverse_diagonal, non_negative


@pytest.mark.parametrize("seed", range(6))
def test_it_finds_what_lawson_and_hanson_find(seed: int) -> None:
    generator = np.random.default_rng(seed)
    design, data = generator.normal(size=(60, 40)), generator.normal(size=60)
    expected = scipy.optimize.nnls(design, data)[0]
    found = non_negative(design.T @ design, design.T @ data)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert (found == 0).any()  # the bound matters, or this shows nothing
    warm = non_negative(design.T @ design, design.T @ data, start=generator.random(40))
    np.testing.assert_allclose(warm, expected, atol=1e-9)


def test_nothing_to_gain_gives_nothing() -> None:
    assert not non_negative(np.eye(3), -np.ones(3)).any()


def test_the_variance_of_a_tap_grows_where_others_may_explain_it() -> None:
    matrix = np.array([[2.0, 1.9], [1.9, 2.0]])
    alone = free_inverse_diagonal(matrix, np.array([True, False]))
    together = free_inverse_diagonal(matrix, np.array([True, True]))
    assert alone[0] == pytest.approx(0.5)
    np.testing.assert_allclose(together, np.diag(np.linalg.inv(matrix)))
    assert alone[1] == pytest.approx(1 / (2 - 1.9**2 / 2))
