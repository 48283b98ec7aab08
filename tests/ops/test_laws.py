"""Every law of `laws` for every case, orientation and way to compute."""

from __future__ import annotations

import laws
import pytest
import torch
from laws import CASES, ORIENTATIONS, Case
from looped import BOTH, looped

pytestmark = pytest.mark.usefixtures("backend")

each_case = pytest.mark.parametrize("case", CASES, ids=str)


@each_case
@looped(orientation=ORIENTATIONS, transpose=BOTH, dtype=(torch.float32, torch.float64))
def test_the_inverse_undoes_the_convolution(case: Case, orientation: str, transpose: bool, dtype: torch.dtype) -> None:
    laws.inverse_undoes_the_convolution(case, dtype, orientation=orientation, transpose=transpose, **case.options)


@each_case
@looped(orientation=ORIENTATIONS, transpose=BOTH)
def test_the_dense_matrix_says_the_same(case: Case, orientation: str, transpose: bool) -> None:
    laws.agrees_with_the_dense_matrix(case, orientation=orientation, transpose=transpose, **case.options)


@each_case
@looped(orientation=ORIENTATIONS)
def test_transpose_is_the_adjoint(case: Case, orientation: str) -> None:
    laws.transpose_is_the_adjoint(case, orientation=orientation, **case.options)


@each_case
@looped(orientation=ORIENTATIONS)
def test_the_log_determinant_is_that_of_the_matrix(case: Case, orientation: str) -> None:
    laws.log_det_is_that_of_the_matrix(case, orientation=orientation, **case.options)


@each_case
@looped(orientation=ORIENTATIONS, transpose=BOTH)
def test_an_orientation_is_a_flip_of_the_image(case: Case, orientation: str, transpose: bool) -> None:
    laws.orientation_is_a_flip_of_the_image(case, orientation, transpose=transpose, **case.options)
