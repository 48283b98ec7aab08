"""The log is one table, however often the run that writes it is interrupted."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from deblur.errors import FileError
from deblur.training.log import Log


def test_lines_after_the_state_are_taken_out_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    log = Log(path, ["loss", "psnr"])
    for step in (1, 2, 3, 4):
        log.line(step, {"loss": step / 8})
    log.close()
    with path.open("a") as file:
        file.write("5,0.6")  # cut off by a crash
    log = Log(path, ["loss", "psnr"], done=2)
    log.line(3, {"loss": 0.25, "psnr": 30.123456789})
    log.close()
    assert path.read_text() == "step,loss,psnr\n1,0.125,\n2,0.25,\n3,0.25,30.123457\n"


def test_a_new_run_starts_a_new_log(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("something else\n")
    Log(path, ["loss"]).close()
    assert path.read_text() == "step,loss\n"


def test_the_log_of_another_run_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("step,other\n1,2\n")
    with pytest.raises(
        FileError, match="expected a log of this run, got one with the columns step, other; move it away"
    ):
        Log(path, ["loss"], done=1)
    assert path.read_text() == "step,other\n1,2\n"


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is said to TensorBoard, as if it were installed."""
    said: list[Any] = []

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int | None) -> None:
            said.append((folder, purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            said.append((name, value, step))

        def flush(self) -> None:
            pass

        def close(self) -> None:
            said.append("closed")

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: module)
    return said


def test_tensorboard_hears_the_same(tmp_path: Path, board: list[Any]) -> None:
    log = Log(tmp_path / "a.csv", ["loss", "psnr"], tmp_path / "a.tensorboard", done=2)
    log.line(3, {"loss": 0.25, "psnr": float("nan")})
    log.close()
    assert board == [(str(tmp_path / "a.tensorboard"), 3), ("loss", 0.25, 3), "closed"]
