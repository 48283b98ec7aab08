"""No order of threads or blocks, and no number of blocks that fit together, changes a bit of the result."""

from __future__ import annotations

import pytest
import torch
from emulated import Case, toolkit

CASES = [
    Case(shape=(1, 1, 100, 120), taps=(15, 15), dtype=torch.float32),
    Case(shape=(2, 2, 66, 40), taps=(4, 5), groups=2, dilation=(1, 2)),
    Case(shape=(1, 1, 130, 131), taps=(40, 3), transpose=True, dtype=torch.float32),
    Case(shape=(3, 6, 12, 9), taps=(3, 3), groups=2, dtype=torch.float32),
    Case(shape=(2, 13, 7, 10), taps=(2, 4)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_any_order_and_any_number_of_resident_blocks_give_the_same_bits(case: Case) -> None:
    expected = case.check(toolkit())
    for seed in range(1, 9):
        for resident in (1, 2, 64):
            assert torch.equal(case.solved(toolkit(seed=seed, resident=resident)), expected)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_many_orders_give_the_same_bits(case: Case) -> None:
    expected = case.check(toolkit())
    for seed in range(9, 200):
        assert torch.equal(case.solved(toolkit(seed=seed, resident=1 + seed % 7)), expected)
