"""What holds for every command: help without torch, one error line, exit statuses, nothing half written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import deblur
from deblur.cli import COMMANDS, interrupt, main
from deblur.errors import DeblurError

HEAVY = ("torch", "numpy", "cv2", "scipy", "skimage", "tqdm", "rich")


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_help_and_version_import_nothing_heavy() -> None:
    pages = [words.split() for words in COMMANDS] + [[], ["psf"]]
    result = _python(
        "import sys\nfrom deblur.cli import main\n"
        f"codes = [main([*words, '--help']) for words in {pages}] + [main(['--version'])]\n"
        f"print([name for name in {HEAVY} if name in sys.modules], set(codes))"
    )
    assert result.stdout.splitlines()[-1] == "[] {0}", result.stderr
    assert result.stdout.count("Usage: deblur") == len(pages)


def test_version(run: Any) -> None:
    result = run("--version")
    assert (result.code, result.out) == (0, f"deblur {deblur.__version__}\n")


@pytest.mark.parametrize("words", [[], ["psf"]])
def test_a_group_alone_shows_its_commands(run: Any, words: list[str]) -> None:
    result = run(*words)
    assert "Usage: deblur" in result.out + result.err
    assert "Commands:" in result.out + result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["aply"], "No such command 'aply'"),
        (["apply", "--kernel", "box:size=3"], "Missing argument"),
        (["apply", "a.png", "--kernel", "box:size=3", "--sharpen"], "No such option"),
        (["blur", "a.png", "--kernel", "box:size=3"], "Missing option '--output'"),
        (["psf", "make", "box"], "Missing option '--output'"),
        (["evaluate", "a.png"], "Missing argument 'TRUTH'"),
        (["info", "now"], "unexpected extra argument"),
    ],
)
def test_wrong_words_are_a_usage_error(misuse: Any, words: list[str], message: str) -> None:
    misuse(*words, message=message)


@pytest.mark.parametrize("words", [["holiday.JPG"], ["notes", "b c.png", "--compare"], ["none/a.tiff"]])
def test_a_picture_in_the_place_of_a_command_is_answered_by_the_command(
    run: Any, folder: Path, words: list[str]
) -> None:
    (folder / "notes").write_text("a file of any name")
    said = " ".join(f"'{word}'" if " " in word else word for word in words)
    result = run(*words)
    assert (result.code, result.out, result.err) == (2, "", f"did you mean: deblur apply {said}\n")


def trouble(error: BaseException) -> Callable[[], None]:
    """A command that raises."""

    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (DeblurError("one\nline"), "one line"),
        (FileNotFoundError(2, "No such file or directory", "x.png"), "x.png: No such file or directory"),
        (OSError("disk on fire"), "disk on fire"),
        (MemoryError(), "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory"),
        (ZeroDivisionError("division by zero"), "internal error, ZeroDivisionError: division by zero (a defect"),
    ],
)
def test_an_error_is_one_line_and_status_1(
    run: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    monkeypatch.setitem(COMMANDS, "trouble", trouble(error))
    result = run("trouble")
    assert result.code == 1
    assert message in result.error
    assert result.err.count("\n") == 1


def test_debug_shows_the_traceback(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "trouble", trouble(DeblurError("x")))
    monkeypatch.setenv("DEBLUR_DEBUG", "1")
    with pytest.raises(DeblurError):
        main(["trouble"])


def test_an_interrupt_is_status_130(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    monkeypatch.setitem(COMMANDS, "trouble", interrupted)
    result = run("trouble")
    assert (result.code, result.out, result.err) == (130, "", "")


def test_an_interrupt_before_the_command_began_is_status_130_too(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("deblur.cli._application", interrupted)
    result = run("info")
    assert (result.code, result.out, result.err) == (130, "", "")


def test_the_console_script_is_main() -> None:
    """The installed command and `main` are one, and its status is the process's."""
    command = Path(sys.executable).with_name("deblur")
    if not command.exists():
        pytest.skip("the package is not installed in this environment")
    result = subprocess.run([command, "aply"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_a_message_stays_short_and_shows_no_control_characters(run: Any) -> None:
    told = run("apply", "x" * 5000 + ".png", "-k", "gaussian:sigma=1").err
    assert len(told) < 400
    told = run("apply", "a\x1b[2J\x07.png", "-k", "gaussian:sigma=1").err
    assert "\\x1b[2J\\x07.png" in told
    assert "\x1b" not in told


@pytest.mark.parametrize(("own", "count"), [(None, "10000"), ("7", "7")])
def test_threads_that_wait_sleep_soon_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, own: str | None, count: str
) -> None:
    for name in ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "restored afterwards")
        monkeypatch.delenv(name)
    if own is not None:
        monkeypatch.setenv("GOMP_SPINCOUNT", own)
    monkeypatch.setattr(interrupt, "watch", lambda: None)
    monkeypatch.setattr("sys.argv", ["deblur", "--version"])
    assert main() == 0
    assert os.environ["GOMP_SPINCOUNT"] == count


@pytest.mark.parametrize("own", [None, "3"])
def test_the_maths_libraries_start_with_one_thread_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, own: str | None
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", own or "restored afterwards")
    if own is None:
        monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    monkeypatch.setattr(interrupt, "watch", lambda: None)
    monkeypatch.setattr("sys.argv", ["deblur", "--version"])
    assert main() == 0
    assert os.environ["OPENBLAS_NUM_THREADS"] == (own or "1")
