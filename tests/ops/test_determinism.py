"""The same bits from run to run, and for any number of threads."""

from __future__ import annotations

import pytest
import torch
from laws import Case

from deblur.ops import _native, masked_conv2d_solve

pytestmark = pytest.mark.skipif(not _native.available(), reason=str(_native.why_not()))

CASES = [
    Case(batch=1, size=(130, 150), taps=(9, 7)),
    Case(batch=2, channels=3, groups=3, size=(70, 65), taps=(5, 5)),
    Case(batch=3, channels=12, size=(16, 17)),
]


def solve_and_gradients(case: Case) -> tuple[torch.Tensor, ...]:
    y, weight = case.image(dtype=torch.float32).requires_grad_(), case.weight(torch.float32).requires_grad_()
    x = masked_conv2d_solve(y, weight, groups=case.groups)
    back = masked_conv2d_solve(y, weight, groups=case.groups, transpose=True)
    return (x, back, *torch.autograd.grad((x * back).sum(), (y, weight)))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_any_number_of_threads_gives_the_same_bits(case: Case) -> None:
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3, 5, 2):
            torch.set_num_threads(count)
            results.append(solve_and_gradients(case))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        for mine, theirs in zip(results[0], other, strict=True):
            assert torch.equal(mine, theirs)
