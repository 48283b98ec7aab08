"""Several processes train as one does: the same losses, the same initialisation, one set of files, one end."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import density
import numpy as np
import pytest
import torch

from deblur.errors import OptionError
from deblur.flows import checkpoint
from deblur.training.ranks import Ranks

FLOW = """
model: {architecture: multiscale, shape: [1, 8, 8], levels: 2, steps: 2, hidden: 8}
objective: {name: likelihood}
data: {crop: 8, validation: 0.1, validation_count: 7}
training:
  {steps: 50, batch: 8, clip: 10, optimizer: {name: adam, lr: 1e-3, eps: 1e-4},
  log_every: 1, validate_every: 25, checkpoint_every: 50, samples: 4}
"""
NOISY = """
model: {architecture: density}
objective: {name: denoising, weight: 1}
data: {crop: 8, validation: 0.1, validation_count: 7}
training: {steps: 50, batch: 8, log_every: 1, validate_every: 25, checkpoint_every: 50, samples: 4}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ramps = np.add.outer(np.arange(60) % 9, np.add.outer(np.arange(12), 2 * np.arange(12)))
    noise = np.random.default_rng(0).integers(0, 30, ramps.shape)
    np.savez(tmp_path / "x.npz", x=(3 * ramps + noise + 40).astype(np.uint8))
    return tmp_path


def started(folder: Path, processes: int, *words: str) -> subprocess.Popen[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(launcher if processes > 1 else []), density.__file__, "train-prior", "x.npz"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *words], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def trained(folder: Path, text: str, processes: int, name: str) -> dict[str, list[float]]:
    (folder / "x.yaml").write_text(text)
    process = started(folder, processes, "--config", "x.yaml", "-o", f"{name}.pt")
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert said.count("50 steps") == 1
    rows = list(csv.DictReader((folder / f"{name}.csv").read_text().splitlines()))
    return {key: [float(row[key]) for row in rows if row[key]] for key in rows[0] if key != "seconds"}


@pytest.mark.slow
@pytest.mark.parametrize("text", [FLOW, NOISY], ids=["flow", "score matching"])
def test_two_processes_have_the_losses_of_one(folder: Path, text: str) -> None:
    """Of 50 steps with the same global batch, ActNorm set by all of it; and then the same weights and figures.

    Adam divides by the gradient's size plus eps: with a tiny eps it would make steps of rounding errors.
    """
    alone, both = (trained(folder, text, processes, f"by{processes}") for processes in (1, 2))
    assert len(alone["loss"]) == len(both["loss"]) == 50
    assert both["loss"] == pytest.approx(alone["loss"], rel=1e-5)
    assert both["validation_bits_per_dim"] == pytest.approx(alone["validation_bits_per_dim"], rel=1e-5)
    one, two = (checkpoint.load(folder / f"by{processes}.pt").model.state_dict() for processes in (1, 2))
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_a_refusal_reaches_every_process(folder: Path) -> None:
    (folder / "x.yaml").write_text(NOISY)
    (folder / "there.pt").write_bytes(b"")
    process = started(folder, 2, "--config", "x.yaml", "-o", "there.pt")
    errors = process.communicate(timeout=300)[1]
    assert process.returncode != 0
    assert "there.pt: already exists" in errors


@pytest.mark.slow
def test_an_interrupt_of_one_process_stops_all_at_one_step(folder: Path) -> None:
    (folder / "x.yaml").write_text(NOISY.replace("steps: 50", "steps: 100000"))
    process = started(folder, 2, "--config", "x.yaml", "-o", "prior.pt")
    while not list((folder / "prior.state").glob("0*.pt")):
        assert process.poll() is None
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGINT)
    errors = process.communicate(timeout=300)[1]
    assert "stopped after" in errors
    assert "Traceback (most recent call last):\n  File" not in errors.split("torch/distributed")[0]


def test_a_batch_is_shared_evenly_or_not_at_all() -> None:
    assert [place for rank in range(3) for place in Ranks(rank, 3).part(6)] == list(range(6))
    with pytest.raises(OptionError, match="expected a batch that 4 processes share evenly, got 6"):
        Ranks(0, 4).part(6)
