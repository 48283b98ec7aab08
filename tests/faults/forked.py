"""Run commands in copies of a process that has imported everything: they may be killed, or get little memory.

python forked.py: reads requests, lines of JSON, and answers each with one.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["Copies", "Ended"]

HANG = 30.0
"""Seconds after which a command counts as one that never ends."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its status or minus a signal, what it said, and after how many seconds."""

    status: int
    err: str
    seconds: float


class Copies:
    """The process that is copied."""

    def __enter__(self) -> Copies:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "OMP_NUM_THREADS": "1"}
        self._process: Any = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def command(
        self, words: tuple[str, ...], folder: Path, *, kill_after: float | None = None, room: int | None = None
    ) -> Ended:
        """Run `deblur WORDS` in a folder.

        Args:
            words: what comes after the name.
            folder: where it runs.
            kill_after: seconds after which it is killed (SIGKILL).
            room: bytes of memory that it may take beyond what the process has.
        """
        asked = {"words": words, "folder": str(folder), "kill_after": kill_after, "room": room}
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))


def _answer() -> None:
    from deblur import deblurring, denoising, fitting  # noqa: F401 - so that copies need not import them
    from deblur.cli.jobs import apply, denoise, fit, train_prior  # noqa: F401

    answers = os.fdopen(os.dup(1), "wb")
    for line in sys.stdin:
        answers.write(json.dumps(_copied(**json.loads(line))).encode() + b"\n")
        answers.flush()


def _copied(words: list[str], folder: str, kill_after: float | None, room: int | None) -> dict[str, Any]:
    said, start = Path(f"{folder}.said"), time.perf_counter()
    child = os.fork()
    if not child:
        _run(words, folder, said, room)
    end = start + (HANG if kill_after is None else kill_after)
    while (found := os.waitpid(child, os.WNOHANG))[0] == 0 and time.perf_counter() < end:
        time.sleep(0.0005)
    seconds = time.perf_counter() - start
    if not found[0]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        found = os.waitpid(child, 0)
    status = os.waitstatus_to_exitcode(found[1])
    return {"status": status, "err": said.read_text(errors="replace"), "seconds": seconds}


def _run(words: list[str], folder: str, said: Path, room: int | None) -> None:
    """What the copy does; it never returns."""
    try:
        number = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(number, 1)
        os.dup2(number, 2)
        os.chdir(folder)
        if room is not None:
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (taken + room, taken + room))
        from deblur.cli import main

        os._exit(main(words))
    finally:
        os._exit(99)


if __name__ == "__main__":
    _answer()
