"""The benchmark of fits compares the same things, and the sheet of photographs is drawn."""

from __future__ import annotations

import importlib
from pathlib import Path

import cv2
import pytest
import torch
from skimage import data

from deblur.ops import masked_conv2d_solve

FOLDER = Path(__file__).parent.parent / "benchmarks"


def test_the_plain_wavefront_is_the_same_inverse_with_the_same_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    bench = importlib.import_module("fit")
    y = torch.rand(12, 17, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gradients = []
    for solve in (bench.plain_wavefront, lambda y, w: masked_conv2d_solve(y[None, None], w[None, None])[0, 0]):
        weight = bench.exponential(4).requires_grad_()
        image = solve(y, weight)
        gradients.append((image.detach(), torch.autograd.grad((image**3).sum(), weight)[0]))
    torch.testing.assert_close(*gradients)


@pytest.mark.slow
def test_a_sheet_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    threads = torch.get_num_threads()
    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), cv2.GaussianBlur(data.camera()[:140, 100:260], (0, 0), 2))
    (folder / "b.txt").write_text("no picture")
    sheet = tmp_path / "sheet.png"
    importlib.import_module("real").main([str(folder), "-o", str(sheet), "--parametric", "defocus", "--side", "160"])
    torch.set_num_threads(threads)
    assert cv2.imread(str(sheet)).shape[0] >= 140
    out = capsys.readouterr().out
    assert "a.png: 160 x 140" in out
    assert "b.txt: " in out
