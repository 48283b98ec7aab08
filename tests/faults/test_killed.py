"""A command that is killed at any moment, or gets little memory, leaves old files or new ones, and none broken."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.forked import Copies
from faults.small import COMMANDS, INPUTS, contents, made, same_prior

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="copies of a process, limits of memory")

FEW_AND_MANY = [2, pytest.param(100, marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def copies() -> Iterator[Copies]:
    with Copies() as made:
        yield made


def whole_json(data: bytes) -> bool:
    """Whether this is what is told of a kernel, whose seconds are others each time."""
    with contextlib.suppress(ValueError):
        return "confidence" in json.loads(data)
    return False


@pytest.mark.parametrize("moments", FEW_AND_MANY)
@pytest.mark.parametrize(
    "name", ["apply", *(pytest.param(name, marks=pytest.mark.slow) for name in ("fit", "denoise"))]
)
def test_a_killed_command_leaves_each_file_old_or_new(name: str, moments: int, tmp_path: Path, copies: Copies) -> None:
    folder, words = tmp_path / "here", (*COMMANDS[name], "--threads", "1")
    made(folder)
    copies.command(words, folder)  # once for what is loaded late
    for path in (path for path in folder.iterdir() if path.name not in INPUTS):
        path.unlink()
    whole = copies.command(words, folder)
    assert whole.status == 0
    new = contents(folder)
    for path in (path for path in folder.iterdir() if path.name not in INPUTS):
        path.write_bytes(b"old")
    old, killed = contents(folder), 0
    for moment in range(moments):
        ended = copies.command((*words, "--force"), folder, kill_after=whole.seconds * 1.1 * (moment + 1) / moments)
        killed += ended.status == -9
        left = contents(folder)
        assert old.keys() <= left.keys()
        assert all(left[file] in (old[file], new[file]) or whole_json(left[file]) for file in old), moment
        assert all(file.startswith(".deblur-") for file in left.keys() - old.keys())
        for file in left:
            (folder / file).unlink() if file not in old else (folder / file).write_bytes(old[file])
    assert killed


@pytest.mark.parametrize("moments", [1, pytest.param(100, marks=pytest.mark.slow)])
def test_a_killed_training_goes_on_bit_for_bit(moments: int, tmp_path: Path, copies: Copies) -> None:
    words, start = COMMANDS["train-prior"], tmp_path / "start"
    made(start)
    shutil.copytree(start, tmp_path / "whole")
    copies.command(words, tmp_path / "whole")
    shutil.rmtree(tmp_path / "whole")
    shutil.copytree(start, tmp_path / "whole")
    whole = copies.command(words, tmp_path / "whole")
    assert whole.status == 0
    for moment in range(moments):
        folder = tmp_path / "killed"
        shutil.copytree(start, folder)
        copies.command(words, folder, kill_after=whole.seconds * (moment + 1) / (moments + 1))
        states = list((folder / "p.state").glob("[0-9]*.pt")) if (folder / "p.state").exists() else []
        how = "--resume" if states else "--force"
        assert copies.command((*words, how), folder).status == 0
        assert same_prior(folder / "p.pt", tmp_path / "whole" / "p.pt")
        shutil.rmtree(folder)


@pytest.mark.parametrize("limits", [2, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", COMMANDS)
def test_little_memory_is_told_and_leaves_nothing(name: str, limits: int, tmp_path: Path, copies: Copies) -> None:
    folder, words = tmp_path / "here", COMMANDS[name]
    made(folder)
    before, refused = contents(folder), 0
    for limit in range(limits):
        ended = copies.command(words, folder, room=(limit * (64 << 20)) // limits)
        left = contents(folder)
        if ended.status == 1:
            refused += 1
            assert "memory" in ended.err, ended.err
            assert left == before
        else:
            assert ended.status == 0, ended.err
        for file in left.keys() - before.keys():
            (folder / file).unlink()
        shutil.rmtree(folder / "p.state", ignore_errors=True)
    assert refused
