"""The CUDA benchmark: its peer computes the same, and without a device it says so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from deblur.ops import _cuda, reference
from deblur.ops.geometry import Geometry


@pytest.fixture
def solve_cuda(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "benchmarks")
    return __import__("solve_cuda")


def test_the_peer_solves_the_same_system_every_time_it_runs(solve_cuda) -> None:
    y, weight = torch.randn(2, 3, 7, 9), 0.1 * torch.randn(3, 3, 3, 2)
    weight[:, :, 0, 0] += torch.eye(3)
    peer = solve_cuda.LaunchPerDiagonal(y, weight)
    expected = reference.solve(y, weight, Geometry())
    for _ in range(2):
        torch.testing.assert_close(peer(), expected)


@pytest.mark.skipif(_cuda.available(), reason="a CUDA device is here")
def test_without_a_device_it_says_so(solve_cuda, capsys: pytest.CaptureFixture[str]) -> None:
    assert solve_cuda.run_cuda() == 0
    assert capsys.readouterr().out == f"nothing to measure: {_cuda.why_not()}\n"


@pytest.mark.needs_cuda
@pytest.mark.skipif(not _cuda.available(), reason=f"needs a CUDA device: {_cuda.why_not()}")
def test_with_a_device_it_prints_a_row_for_every_case(solve_cuda, monkeypatch, capsys) -> None:
    monkeypatch.setattr(solve_cuda, "CASES", [(1, 1, 64, 3), (2, 4, 16, 3)])
    assert solve_cuda.run_cuda(rounds=1) == 0
    assert "B=2 C=4 16x16, 3x3" in capsys.readouterr().out
