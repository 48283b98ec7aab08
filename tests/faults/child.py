"""Run bad inputs in a child process, which may crash, hang or eat memory: the finding then has its name.

python child.py SEED: reads lines `KIND<tab>INDEX` and answers each with a line of JSON, [problems].
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

__all__ = ["Child", "run_all"]

_FOLDER = Path(__file__).resolve().parent
HANG = 60.0
"""Seconds by the clock on the wall after which a command counts as one that never ends."""


class Child:
    """A process that runs bad inputs of a seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._process: subprocess.Popen[bytes] | None = None

    def problems(self, kind: str, index: int) -> list[str]:
        """What of the law the input of this kind and number breaks."""
        process = self._process = self._process or self._started()
        assert process.stdin
        assert process.stdout
        with contextlib.suppress(BrokenPipeError):  # it is dead, which shows below
            process.stdin.write(f"{kind}\t{index}\n".encode())
            process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], HANG)
        answer = process.stdout.readline() if ready else b""
        if answer:
            return list(json.loads(answer))
        self.close()
        code = process.returncode
        return [f"did not end within {HANG:.0f} s" if not ready else f"the process died ({code}: {_signal(code)})"]

    def _started(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(_FOLDER.parent), "OMP_NUM_THREADS": "1"}
        environment.pop("DEBLUR_DEBUG", None)
        words = [sys.executable, __file__, str(self._seed)]
        return subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()
            self._process = None

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def run_all(seed: int, chosen: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int, list[str]]]:
    """Run inputs one after the other; what each breaks."""
    with Child(seed) as child:
        for kind, index in chosen:
            yield kind, index, child.problems(kind, index)


def _signal(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else "by itself"


def _answer(seed: int) -> None:
    from faults.corpus import KINDS
    from faults.law import held

    from deblur.cli import main, surroundings

    surroundings.ignore_warnings()

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    made = {}
    for line in sys.stdin:
        kind, index = line.rstrip("\n").split("\t")
        if kind not in made:
            made[kind] = list(KINDS[kind](seed))
        answers.write(json.dumps(held(made[kind][int(index)], main)).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    _answer(int(sys.argv[1]))
