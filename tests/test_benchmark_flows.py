"""The flows' benchmark runs, at toy sizes, and its loop over pixels computes what the wavefront does."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from deblur.layers.masked_conv import MaskedConv

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def flows(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    return importlib.import_module("flows")


@pytest.mark.parametrize("orientation", ["top_left", "top_right", "bottom_left", "bottom_right"])
def test_the_loop_over_pixels_inverts_the_same_convolution(flows: ModuleType, orientation: str) -> None:
    torch.manual_seed(0)
    layer = MaskedConv(3, orientation=orientation, anchor="lu").double()
    looped = flows.with_pixel_loops(torch.nn.Sequential(layer))[0]
    z = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(looped.inverse(z), layer.inverse(z))
    assert type(looped) is not MaskedConv


@pytest.mark.slow
def test_it_trains_and_times_every_flow(
    flows: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = np.zeros((200, 28, 28), np.uint8)
    digits[:, 8:20, 8:20] = 200
    for name in ("mnist_train", "mnist_test"):
        np.savez(tmp_path / f"{name}.npz", x=digits)
    monkeypatch.setattr(flows, "sampling", lambda name, made, options: print("sampling", *made))
    flows.main(["--only", "learn", "--data", str(tmp_path), "--sets", "mnist", "--minutes", "0.01", "--held-out", "9"])
    printed = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.startswith("    ")}
    for step in flows.STEPS:
        assert int(rows[step][1]) >= 1
        assert 0 < float(rows[step][2]) < 10
    assert "sampling inverse finc glow none" in printed


def test_it_times_passes_by_size_and_by_taps(flows: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    flows.main(["--only", "size,taps", "--sides", "8", "--taps", "2", "--batch", "1", "--steps", "1", "--rounds", "1"])
    printed = capsys.readouterr().out
    assert "8 x 8, 3 x 3 taps" in printed
    assert "32 x 32, 2 x 2 taps" in printed
    assert printed.count("finc / inverse, sampling") == 2


def test_the_part_that_learns_asks_for_its_data(flows: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        flows.main(["--only", "learn"])
    assert "--data FOLDER" in capsys.readouterr().err
