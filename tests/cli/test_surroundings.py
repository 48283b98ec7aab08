"""What a process may be started without: streams, a working folder, quiet libraries; and inputs that never end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deblur import hushed, sources
from deblur.cli import main

APPLY = ("apply", "a.png", "-k", "gaussian:sigma=1", "--method", "wiener", "-o", "o.png")


@pytest.fixture(autouse=True)
def picture(folder: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 30), np.uint8)).save(folder / "a.png")


def start(line: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A shell's line in which `$D` is the command."""
    environment = {**os.environ, "D": f"{sys.executable} -m deblur", "OMP_NUM_THREADS": "1"}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment, timeout=60, **options)


@pytest.mark.parametrize(
    "closed", ["<&- >&- 2>&-", *(pytest.param(one, marks=pytest.mark.slow) for one in ("<&-", ">&-"))]
)
def test_closed_streams_spoil_no_picture(folder: Path, closed: str) -> None:
    done = start(f"$D {' '.join(APPLY)} {closed}")
    assert done.returncode == 0
    assert "internal error" not in done.stderr
    with Image.open(folder / "o.png") as written:
        written.load()
        assert written.size == (30, 24)


@pytest.mark.slow
def test_a_closed_stream_that_is_needed_is_told(folder: Path) -> None:
    assert "standard output is closed" in start("$D apply a.png -k gaussian:sigma=1 -o - >&-").stderr


def test_a_folder_that_was_deleted_is_told(folder: Path) -> None:
    (folder / "gone").mkdir()
    done = start(f"cd gone && rmdir ../gone && $D {' '.join(APPLY)}")
    assert done.returncode == 1
    assert done.stderr == "deblur: error: the working folder is not there any more; change to another one\n"


def test_a_circle_of_links_is_no_file(refuse: Any, folder: Path) -> None:
    (folder / "b.png").symlink_to("c.png")
    (folder / "c.png").symlink_to("b.png")
    refuse("apply", "b.png", *APPLY[2:], message="Too many levels of symbolic links")


def test_it_is_said_that_a_pipe_is_waited_for(folder: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PATIENCE", 0.05)
    os.mkfifo(folder / "pipe.png")

    def feed() -> None:
        with open(folder / "pipe.png", "wb") as pipe:
            threading.Event().wait(0.3)
            pipe.write((folder / "a.png").read_bytes())

    feeder = threading.Thread(target=feed)
    feeder.start()
    result = run("apply", "pipe.png", *APPLY[2:])
    feeder.join()
    assert result.code == 0
    assert "pipe.png: waiting for its bytes, none has come yet" in result.err


def test_a_device_is_refused(refuse: Any) -> None:
    refuse("apply", "/dev/zero", *APPLY[2:], message="/dev/zero: cannot be read (it is a device or a socket)")


def test_remarks_of_libraries_are_kept_away(capfd: pytest.CaptureFixture[str]) -> None:
    hushed.begin()
    with hushed.hushed():
        os.write(2, b"libpng warning: iCCP\n")
    os.write(2, b"seen\n")
    assert capfd.readouterr().err == "seen\n"


def test_a_full_disk_behind_stdout_is_told(folder: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    done = start("$D psf show gaussian:sigma=1 > /dev/full")
    assert done.returncode == 1
    assert "standard output: could not be written (No space left on device)" in done.stderr


def test_characters_that_turn_the_line_around_are_shown_by_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["apply", "\u202egnp.exe", "-k", "gaussian:sigma=1"]) == 1
    err = capsys.readouterr().err
    assert "\\u202egnp.exe" in err
    assert "\u202e" not in err
