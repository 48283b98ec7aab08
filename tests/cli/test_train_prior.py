"""`deblur train-prior`: what it writes, what it refuses, and that an interrupted run ends as any other."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import density
import numpy as np
import pytest
import torch
from skimage import data

from deblur.flows import checkpoint
from deblur.training.alone import alone

CONFIG = """
model: {architecture: density}
objective: {name: denoising, weight: 1}
data: {crop: 12, factors: [1, 2], validation_count: 8}
training: {steps: 12, batch: 4, warmup: 3, clip: 10, log_every: 3, validate_every: 4, checkpoint_every: 4, samples: 4}
"""
WORDS = ["train-prior", "photos", "--config", "x.yaml", "-o", "prior.pt", "--threads", "1"]


@pytest.fixture(autouse=True)
def photos(folder: Path) -> None:
    """photos/ with three pictures, and x.yaml."""
    (folder / "photos" / "deeper").mkdir(parents=True)
    cv2.imwrite("photos/camera.png", data.camera()[::4, ::4])
    cv2.imwrite("photos/coins.png", data.coins()[:64, :80].astype(np.uint16) * 257)
    cv2.imwrite("photos/deeper/chelsea.png", data.chelsea()[:70, :60])
    Path("x.yaml").write_text(CONFIG)


def weights(path: str = "prior.pt") -> dict[str, torch.Tensor]:
    return checkpoint.load(path).model.state_dict()


def rows_of(log: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(log).read_text().splitlines()))


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in [*one, *other])


def command(*words: str) -> list[str]:
    return [sys.executable, density.__file__, *words]


def test_a_run_leaves_a_prior_its_log_its_samples_and_two_states(run: Any) -> None:
    result = run(*WORDS)
    assert result.code == 0, result.err
    (line,) = result.out.splitlines()
    assert line.startswith("prior.pt: 12 steps, bits_per_dim ")
    loaded = checkpoint.load("prior.pt")
    assert type(loaded.model).__name__ == density.Density.__name__  # pytest imports its module twice
    assert loaded.extra["steps"] == 12
    assert loaded.extra["recipe"]["data"]["crop"] == 12
    assert sorted(path.name for path in Path("prior.state").iterdir()) == ["00000008.pt", "00000012.pt"]
    rows = rows_of("prior.csv")
    assert [row["step"] for row in rows] == ["3", "4", "6", "8", "9", "12"]
    assert all(row["loss"] for row in rows if int(row["step"]) % 3 == 0)
    assert [row["step"] for row in rows if row["validation_psnr_25"]] == ["4", "8", "12"]
    assert float(rows[0]["rate"]) == pytest.approx(1e-3 * (1 + 2 + 3) / 9, rel=1e-4)  # the mean over a warm-up of three
    assert cv2.imread("prior.png", cv2.IMREAD_UNCHANGED).shape == (26, 26)


def test_what_is_saved_is_the_average_and_it_was_initialised(run: Any) -> None:
    assert run(*WORDS).code == 0
    state = torch.load("prior.state/00000012.pt", weights_only=True)
    assert same(state["average"], weights())
    assert not torch.equal(state["average"]["mean"], state["model"]["mean"])
    assert bool(weights()["initialised"])


def test_json_says_the_same(run: Any) -> None:
    record = json.loads(run(*WORDS, "--json").out)
    assert record["status"] == "done"
    assert record["steps"] == 12
    assert {"bits_per_dim", "psnr_10", "psnr_25", "psnr_50", "seconds"} < set(record)


def test_the_same_seed_gives_the_same_weights_and_another_others(run: Any) -> None:
    runs = []
    for words in ([], ["--seed", "0"], ["--seed", "1"]):
        assert run(*WORDS, *words, "--force").code == 0
        runs.append(weights())
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_weights(run: Any, folder: Path) -> None:
    """Ctrl-C somewhere, twice, in a process of its own, then --resume."""
    Path("x.yaml").write_text(CONFIG.replace("steps: 12", "steps: 200").replace("_every: 4", "_every: 20"))
    whole = run(*WORDS, "-o", "whole.pt")
    assert whole.code == 0, whole.err
    words = command(*WORDS)
    stops = []
    for extra in ([], ["--resume"]):
        process = subprocess.Popen([*words, *extra], stderr=subprocess.PIPE, text=True)
        least = (stops[-1] if stops else 0) + 40
        while not any(int(path.stem) >= least for path in Path("prior.state").glob("0*.pt")):
            assert process.poll() is None
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGINT)
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 130, said
        assert "Traceback" not in said
        stops.append(max(int(path.stem) for path in Path("prior.state").iterdir()))
        assert f"stopped after {stops[-1]} steps" in said
    assert 40 <= stops[0] < stops[1] < 200
    assert len(list(Path("prior.state").iterdir())) == 2
    result = run(*WORDS, "--resume")
    assert result.code == 0, result.err
    assert same(weights(), weights("whole.pt"))
    steps = [[row["step"] for row in rows_of(name)] for name in ("prior.csv", "whole.csv")]
    assert steps[0] == steps[1]
    assert not list(folder.rglob("*.part"))


def test_a_state_that_was_cut_off_leaves_the_one_before(run: Any) -> None:
    assert run(*WORDS).code == 0
    expected = weights()
    Path("prior.state/00000012.pt").write_bytes(b"PK")
    result = run(*WORDS, "--resume")
    assert result.code == 0, result.err
    assert same(weights(), expected)


def test_a_run_may_be_made_longer_by_hand(run: Any) -> None:
    assert run(*WORDS).code == 0
    assert run(*WORDS, "--resume", "--steps", "16").code == 0
    assert checkpoint.load("prior.pt").extra["steps"] == 16


def test_a_finished_run_writes_its_prior_again_where_it_is_gone(run: Any) -> None:
    assert run(*WORDS).code == 0
    expected = weights()
    Path("prior.pt").unlink()
    result = run(*WORDS, "--resume")
    assert (result.code, result.out.startswith("prior.pt: 12 steps, ")) == (0, True)
    assert same(weights(), expected)


def test_a_loss_that_is_not_finite_stops_with_the_last_good_state(run: Any) -> None:
    Path("x.yaml").write_text(CONFIG.replace("warmup: 3, clip: 10", "optimizer: {name: sgd, lr: 3e3}"))
    result = run(*WORDS, "--steps", "400")
    assert result.code == 1
    assert "in step" in result.error
    assert "lower the learning rate" in result.error
    states = list(Path("prior.state").glob("*.pt"))
    assert str(max(states)) in result.error if states else "no checkpoint" in result.error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("model:", "modle:"), "x.yaml: expected a part `model:`, got none"),
        (("weight: 1", "weigth: 1"), "x.yaml: objective denoising: unknown key 'weigth', did you mean 'weight'?"),
        (("name: denoising", "name: denoise"), "x.yaml: objective: unknown name 'denoise', did you mean 'denoising'?"),
        (("crop: 12", "corp: 12"), "x.yaml: unknown key 'data.corp', did you mean 'crop'?"),
        (("crop: 12", "crop: 0"), "x.yaml: data: expected a crop of 1 or more, got 0"),
        (("factors: [1, 2]", "factors: [0.5]"), "x.yaml: data: expected factors from 1 to 1000, got [0.5]"),
        (("warmup: 3", "warm_up: 3"), "x.yaml: unknown key 'training.warm_up', did you mean 'warmup'?"),
        (("clip: 10", "schedule: {name: cosin}"), "x.yaml: schedule: unknown name 'cosin', did you mean 'cosine'?"),
        (("clip: 10", "optimizer: {name: adan}"), "x.yaml: optimizer: unknown name 'adan', did you mean 'adam'?"),
        (("clip: 10", "optimizer: {name: adam, beta: 1}"), "optimizer adam: unknown key 'beta', did you mean 'betas'?"),
        (("clip: 10", "optimizer: {name: adam, lr: -1}"), "optimizer adam: Invalid learning rate: -1"),
        (
            ("architecture: density", "architecture: dens"),
            "x.yaml: unknown architecture 'dens', did you mean 'density'?",
        ),
        (("architecture: density", "architecture: density, depth: 3"), "x.yaml: unknown key 'depth'"),
        (("crop: 12", "crop: 200"), "photos: expected pictures (.bmp"),
        (("factors: [1, 2]", "factors: [1, 50]"), "expected pictures of 12 pixels a side, got none with factor 50"),
        (
            ("validation_count: 8", "validation_crop: 300"),
            "expected a held-out picture as large as a validation crop of 300",
        ),
        (("validation_count: 8", "validation: [no.png]"), "there is no picture 'no.png' to hold out"),
    ],
)
def test_a_wrong_configuration_is_refused(refuse: Any, change: tuple[str, str], message: str) -> None:
    Path("x.yaml").write_text(CONFIG.replace(*change))
    refuse(*WORDS, message=message)


def test_wrong_sources_are_refused(refuse: Any, folder: Path) -> None:
    (folder / "empty").mkdir()
    np.savez("y.npz", y=np.zeros((3, 16, 16), np.uint8))
    np.savez("float.npz", x=np.zeros((3, 16, 16)))
    np.savez("small.npz", x=np.zeros((3, 8, 8), np.uint8))
    Path("text.npz").write_text("no archive")
    for source, message in [
        ("nowhere", "nowhere: there is no such folder or file; check the name"),
        ("empty", "empty: expected pictures (.bmp"),
        ("no.npz", "no.npz: there is no such file; check the name"),
        ("y.npz", "y.npz: expected the pictures under the name x, got y"),
        ("float.npz", "float.npz: expected x as uint8 or uint16 of (N, H, W) or (N, H, W, C), got float64 (3, 16, 16)"),
        ("small.npz", "small.npz: expected at least 12 pixels a side for a crop, got 8 x 8"),
        ("text.npz", "text.npz: expected a .npz file of arrays, got another one"),
    ]:
        refuse(WORDS[0], source, *WORDS[2:], message=message)


def test_files_that_are_there_are_kept(run: Any, refuse: Any) -> None:
    refuse(*WORDS, "--resume", message="prior.state: holds no state to resume from")
    assert run(*WORDS).code == 0
    refuse(*WORDS, message="prior.pt: already exists")
    Path("prior.pt").unlink()
    refuse(*WORDS, message="prior.csv: already exists")
    Path("prior.csv").unlink()
    Path("prior.png").unlink()
    refuse(*WORDS, message="prior.state: a run is there; go on with --resume, or start again with --force")
    assert run(*WORDS, "--force").code == 0
    refuse(*WORDS, "-o", "prior.pth", message="prior.pth: expected a name ending in .pt, got '.pth'; name it prior.pt")


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """From then on let the disk be full for all files but the first so many, or for none."""
    sync, left = os.fsync, [float("inf")]

    def written(number: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(number)

    def fill(count: int | None) -> None:
        left[0] = float("inf") if count is None else count

    monkeypatch.setattr(os, "fsync", written)
    return fill


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("earlier", [False, True])
def test_where_the_first_checkpoint_can_not_be_written_all_is_as_before(
    run: Any, folder: Path, full: Callable[[int | None], None], earlier: bool
) -> None:
    if earlier:
        assert run(*WORDS, "--seed", "1", "--steps", "4").code == 0
    before = contents(folder)
    for count in range(4):  # log, prior, samples, state
        full(count)
        result = run(*WORDS, "--steps", "4", "--force")
        assert (result.code, "(No space left on device)" in result.error) == (1, True)
        assert contents(folder) == before
    full(4)
    assert run(*WORDS, "--steps", "4", "--force").code == 0
    assert [row["step"] for row in rows_of("prior.csv")] == ["3", "4"]
    assert len(list(Path("prior.state").iterdir())) == 1


def test_a_later_checkpoint_that_can_not_be_written_leaves_the_one_before(
    run: Any, folder: Path, full: Callable[[int | None], None]
) -> None:
    assert run(*WORDS, "-o", "whole.pt").code == 0
    for count in (4, 6):  # without the prior, without the state
        full(count)
        error = run(*WORDS, "--force").error
        assert "the last good state is prior.state/00000004.pt; make room and go on with --resume" in error
        assert checkpoint.load("prior.pt").extra["steps"] == 4
        assert [path.name for path in Path("prior.state").iterdir()] == ["00000004.pt"]
    full(None)
    assert run(*WORDS, "--resume").code == 0
    assert same(weights(), weights("whole.pt"))


def test_a_second_run_into_one_output_is_refused_and_a_killed_one_is_not_in_the_way(run: Any, refuse: Any) -> None:
    with alone(Path("prior.pt")):
        refuse(*WORDS, message=f"prior.pt: another run is writing it (process {os.getpid()}); wait for it")
    killed = "import fcntl, os; fcntl.flock(open('.prior.pt.lock', 'w'), fcntl.LOCK_EX); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", killed], check=False)
    assert Path(".prior.pt.lock").exists()
    assert run(*WORDS, "--steps", "1").code == 0
    assert not Path(".prior.pt.lock").exists()


def test_nothing_is_written_over_or_into_what_is_read(refuse: Any, folder: Path) -> None:
    for name in ("prior.csv", "deep.state/x.yaml"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(CONFIG)
    Path("again").symlink_to("photos")
    for extra, message in [
        (["-o", "photos/deeper/prior.pt"], "photos/deeper/prior.pt: would lie in photos, which is read"),
        (["-o", "again/prior.pt"], "again/prior.pt: would lie in photos, which is read"),
        (["--config", "prior.csv"], "prior.csv: is read and would be written too"),
        (["-o", "deep.pt", "--config", "deep.state/x.yaml"], "deep.state: would be replaced, and deep.state/x.yaml in"),
    ]:
        refuse(*WORDS, *extra, "--force", message=message)


def test_another_run_is_not_resumed(run: Any, refuse: Any) -> None:
    assert run(*WORDS).code == 0
    refuse(*WORDS, "--resume", "--seed", "1", message="expected training.seed = 0 as in the run to be resumed, got 1")
    Path("x.yaml").write_text(CONFIG.replace("batch: 4", "batch: 5"))
    refuse(*WORDS, "--resume", message="x.yaml: expected training.batch = 4 as in the run to be resumed, got 5")
    Path("x.yaml").write_text(CONFIG.replace("steps: 12", "steps: 15"))
    refuse(*WORDS, "--resume", message="or give --steps")
    Path("x.yaml").write_text(CONFIG)
    Path("photos/coins.png").unlink()
    refuse(*WORDS, "--resume", message="expected the pictures of the run to be resumed, got others")


def test_resume_and_force_exclude_each_other(misuse: Any) -> None:
    misuse(*WORDS, "--resume", "--force", message="give one of them")


def test_bad_files_are_named_and_left_out(run: Any) -> None:
    Path("photos/broken.png").write_bytes(Path("photos/camera.png").read_bytes()[:200])
    cv2.imwrite("photos/tiny.png", np.zeros((4, 30), np.uint8))
    Path("photos/README.txt").write_text("no picture")
    result = run(*WORDS)
    assert result.code == 0
    notes = [line for line in result.err.splitlines() if line.startswith("deblur: note: ")]
    assert len(notes) == 2
    assert "photos/broken.png: expected a whole PNG file, got a damaged or cut-off one" in notes[0]
    assert notes[1].endswith("photos/tiny.png: 30 x 4 pixels, a crop takes 12 a side; left out")


def test_an_array_is_trained_on(run: Any) -> None:
    Path("x.yaml").write_text(CONFIG.replace("[1, 2]", "[1]"))
    np.savez("x.npz", x=np.random.default_rng(0).integers(0, 256, (40, 16, 16), np.uint8))
    assert run(WORDS[0], "x.npz", *WORDS[2:]).code == 0
