"""Each write, flush, rename and link of a command fails in turn: what is there afterwards is old or new, not broken."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.small import COMMANDS, INPUTS, contents, made, same_prior

from deblur import staging
from deblur.cli import main


class Faults:
    """Counts the calls that write, and lets one of them fail."""

    def __init__(self) -> None:
        self.calls, self.failing = 0, -1

    def of(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls - 1 == self.failing:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return function(*arguments, **named)

        return call


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    found = Faults()
    for name in ("fsync", "replace", "link", "mkdir", "chmod"):
        monkeypatch.setattr(os, name, found.of(getattr(os, name)))
    failing = type("Failing", (io.FileIO,), {"write": found.of(io.FileIO.write)})
    monkeypatch.setattr(staging, "begun", found.of(staging.begun))
    monkeypatch.setattr("deblur.files.begun", staging.begun)
    staging.Begun.__bases__ = (failing,)
    yield found
    found.failing = -1
    staging.Begun.__bases__ = (io.FileIO,)


def run(folder: Path, words: tuple[str, ...]) -> int:
    before = Path.cwd()
    os.chdir(folder)
    try:
        return main(list(words))
    finally:
        os.chdir(before)


@pytest.mark.parametrize("most", [2, pytest.param(None, marks=pytest.mark.slow)], ids=["some", "all"])
@pytest.mark.parametrize("force", [False, True], ids=["new", "over old ones"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_call_that_fails_leaves_all_old_or_all_new(
    name: str, force: bool, most: int | None, tmp_path: Path, disk: Faults, capfd: pytest.CaptureFixture[str]
) -> None:
    words = (*COMMANDS[name], *(("--force",) if force else ()))
    start = tmp_path / "start"
    made(start)
    if force:
        assert run(start, COMMANDS[name]) == 0
        for path in (path for path in start.rglob("*") if path.is_file() and path.name not in INPUTS):
            path.write_bytes(b"old")
    before = contents(start)
    whole = tmp_path / "whole"
    shutil.copytree(start, whole)
    disk.calls = 0
    assert run(whole, words) == 0
    after, calls = contents(whole), disk.calls
    assert calls > 3
    for failing in range(0, calls, 1 if most is None else max(1, calls // most)):
        folder = tmp_path / "broken"
        shutil.copytree(start, folder)
        capfd.readouterr()
        disk.calls, disk.failing = 0, failing
        code = run(folder, words)
        disk.failing = -1
        told = capfd.readouterr().err
        errors = [line for line in told.splitlines() if line.startswith("deblur: error: ")]
        left = contents(folder)
        if code == 0:  # where it could do without
            assert left.keys() == after.keys(), failing
            assert errors == []
        else:
            assert code == 1
            assert len(errors) == 1, told
            assert "internal error" not in told
            if left != before:  # a checkpoint was written before
                assert name == "train-prior", (failing, errors, sorted(left.keys() ^ before.keys()))
                assert "go on with --resume" in told
                assert run(folder, (*COMMANDS[name], "--resume")) == 0
                assert same_prior(folder / "p.pt", whole / "p.pt")
        shutil.rmtree(folder)
