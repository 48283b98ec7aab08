"""Every law of `laws` for every case, orientation and way to compute."""

from __future__ import annotations

import laws
import pytest
import torch
from laws import CASES, ORIENTATIONS, Case

pytestmark = pytest.mark.usefixtures("backend")

each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_orientation = pytest.mark.parametrize("orientation", ORIENTATIONS)
either_way = pytest.mark.parametrize("transpose", [False, True], ids=["plain", "transpose"])


@each_case
@each_orientation
@either_way
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_inverse_undoes_the_convolution(case: Case, orientation: str, transpose: bool, dtype: torch.dtype) -> None:
    laws.inverse_undoes_the_convolution(case, dtype, orientation=orientation, transpose=transpose, **case.options)


@each_case
@each_orientation
@either_way
def test_the_dense_matrix_says_the_same(case: Case, orientation: str, transpose: bool) -> None:
    laws.agrees_with_the_dense_matrix(case, orientation=orientation, transpose=transpose, **case.options)


@each_case
@each_orientation
def test_transpose_is_the_adjoint(case: Case, orientation: str) -> None:
    laws.transpose_is_the_adjoint(case, orientation=orientation, **case.options)


@each_case
@each_orientation
def test_the_log_determinant_is_that_of_the_matrix(case: Case, orientation: str) -> None:
    laws.log_det_is_that_of_the_matrix(case, orientation=orientation, **case.options)


@each_case
@each_orientation
@either_way
def test_an_orientation_is_a_flip_of_the_image(case: Case, orientation: str, transpose: bool) -> None:
    laws.orientation_is_a_flip_of_the_image(case, orientation, transpose=transpose, **case.options)
