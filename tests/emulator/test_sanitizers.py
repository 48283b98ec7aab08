"""The kernels under the sanitizers: no race, no overrun, no undefined behaviour, and the right values.

To ThreadSanitizer every CUDA thread is a thread, ordered by barriers and by acquire and release alone; AddressSanitizer
knows the end of shared memory and of every buffer. tests/emulator/test_mutations.py shows what they find.
"""

from __future__ import annotations

import pytest
import torch
from emulated import Case, toolkit

FEW = [
    Case(shape=(1, 1, 66, 70), taps=(5, 4)),
    Case(shape=(2, 4, 6, 9), taps=(3, 2), groups=2, transpose=True),
]
MANY = [
    Case(shape=(1, 1, 1, 1), taps=(1, 1)),
    Case(shape=(1, 1, 33, 8), taps=(9, 1), dtype=torch.float32),
    Case(shape=(1, 1, 8, 70), taps=(1, 9)),
    Case(shape=(1, 1, 140, 150), taps=(15, 15), dtype=torch.float32),
    Case(shape=(1, 1, 110, 120), taps=(70, 4)),
    Case(shape=(2, 2, 40, 50), taps=(4, 3), groups=2, dilation=(2, 1), transpose=True),
    Case(shape=(1, 1, 35, 40), taps=(50, 60), orientation="top_right"),
    Case(shape=(2, 12, 10, 9), taps=(3, 3), dtype=torch.float32),
    Case(shape=(1, 40, 4, 5), taps=(2, 2)),
    Case(shape=(1, 3, 40, 12), taps=(4, 7), dilation=(1, 2), orientation="bottom_left"),
    Case(shape=(1, 5, 1, 9), taps=(3, 3)),
]


@pytest.mark.parametrize("case", FEW, ids=str)
@pytest.mark.parametrize("sanitizer", ["thread", "address"])
def test_no_race_and_no_overrun(sanitizer: str, case: Case) -> None:
    case.check(toolkit(sanitizer=sanitizer, seed=1, resident=3))


@pytest.mark.parametrize("sanitizer", ["thread", "address"])
def test_the_weight_gradient_has_no_race_and_no_overrun(sanitizer: str) -> None:
    case = Case(shape=(1, 1, 20, 70), taps=(9, 10), dtype=torch.float32)
    case.check_weight_grad(toolkit(sanitizer=sanitizer, seed=1))


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in MANY if case.shape[1] == case.groups], ids=str)
@pytest.mark.parametrize("sanitizer", ["thread", "address", "undefined"])
def test_weight_gradients_have_no_race_and_no_overrun_in_many_cases(sanitizer: str, case: Case) -> None:
    case.check_weight_grad(toolkit(sanitizer=sanitizer, seed=1))


@pytest.mark.slow
@pytest.mark.parametrize("case", MANY, ids=str)
@pytest.mark.parametrize("sanitizer", ["thread", "address", "undefined"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_race_and_no_overrun_in_many_cases(seed: int, sanitizer: str, case: Case) -> None:
    case.check(toolkit(sanitizer=sanitizer, seed=seed, resident=1 + 4 * seed))


@pytest.mark.slow
@pytest.mark.parametrize("limit", [4_000, 10_000])
@pytest.mark.parametrize("sanitizer", ["thread", "address", "undefined"])
def test_with_the_ring_or_the_taps_in_global_memory(sanitizer: str, limit: int) -> None:
    device = toolkit(sanitizer=sanitizer, seed=1, shared_limit=limit)
    Case(shape=(2, 14, 7, 9), taps=(3, 3), dtype=torch.float32).check(device)
