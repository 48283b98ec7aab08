"""Run commands in this process and look at what they print and leave."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deblur.cli import main


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one error line."""
        lines = [line for line in self.err.splitlines() if line.startswith("deblur: error: ")]
        assert len(lines) == 1, self.err
        return lines[0].removeprefix("deblur: error: ")


Run = Callable[..., Result]
Stock = Callable[[Callable[[], None]], None]


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Ctrl-C interrupts, as in a terminal: a shell's background job, which a test run may be, ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], folder: Path) -> Run:
    """Run `deblur WORDS...` in the temporary folder."""

    def call(*words: object) -> Result:
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEBLUR_DEBUG", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Stock:
    """Copy into the current folder what a function makes; it is called once a session, in a folder of its own."""
    made: dict[Callable[[], None], Path] = {}

    def copy(make: Callable[[], None]) -> None:
        here = Path.cwd()
        if make not in made:
            made[make] = tmp_path_factory.mktemp("stock")
            os.chdir(made[make])
            try:
                make()
            finally:
                os.chdir(here)
        shutil.copytree(made[make], here, dirs_exist_ok=True)

    return copy


@pytest.fixture
def refuse(run: Run, folder: Path) -> Run:
    """Run a command that must fail with status 1 and one line that holds `message`, and write nothing."""

    def call(*words: object, message: str) -> Result:
        result = _failing(run, folder, *words)
        assert result.code == 1
        assert message in result.error
        assert result.out == ""
        return result

    return call


@pytest.fixture
def misuse(run: Run, folder: Path) -> Run:
    """Run a command whose words are wrong: status 2, a message after the usage, and nothing written."""

    def call(*words: object, message: str) -> Result:
        result = _failing(run, folder, *words)
        assert result.code == 2
        assert result.err.startswith("Usage: deblur")
        assert message in " ".join(result.err.split())
        return result

    return call


def _failing(run: Run, folder: Path, *words: object) -> Result:
    before = _contents(folder)
    result = run(*words)
    assert _contents(folder) == before
    assert "Traceback" not in result.err
    return result


def _contents(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}
