"""Commands as processes: words in, events out, cancel. The page uses it, and a desktop program or a plug-in would.

A command that runs with `DEBLUR_PROGRESS=json` and `--json` prints one JSON object a line on stdout:
`{"progress": ...}` while it works, and its record for each picture; what is said for people goes to stderr,
`deblur: note: ...` and `deblur: error: ...`. It is cancelled by Ctrl-C's signal, as in a terminal: within a second it
is gone and has left nothing. `python -m deblur.cli.warm` is a process that has loaded everything and waits for the
words of one command.

Example:
    >>> import asyncio
    >>> async def main() -> Ended:
    ...     return await Worker(warm=False).run(["psf", "show", "gaussian:sigma=1", "--json"])
    >>> asyncio.run(main()).status
    0
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["PROGRESS", "Ended", "OnEvent", "Worker", "progress"]

PROGRESS = "DEBLUR_PROGRESS"
"""The environment variable that asks for progress as lines of JSON."""

PATIENCE = 0.7
"""Seconds that a cancelled process has to end by itself."""

_LONGEST = 1 << 24  # bytes of a line: a record with a large kernel

OnEvent = Callable[[dict[str, Any]], None]


def progress(stage: str, share: float, left: float, text: str = "") -> dict[str, object]:
    """The event that says how far a command is.

    Args:
        stage: what is being done.
        share: of that stage, 0 to 1.
        left: seconds that it will take still; 0 where nobody knows.
        text: more of it, for people.
    """
    return {"progress": {"stage": stage, "share": round(share, 4), "left": round(left, 1), "text": text}}


@dataclass
class Ended:
    """How a command ended.

    Attributes:
        status: its exit status, or minus the signal that ended it.
        records: the JSON objects that it printed, without progress.
        notes: what it noted, a line each.
        error: its error line, or what else it said last; empty where it succeeded.
        cancelled: whether `cancel` ended it.
    """

    status: int
    records: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str = ""
    cancelled: bool = False


class Worker:
    """One process for one command, started before its words are known where `warm` says so.

    Args:
        module: what runs in the process.
        warm: whether it reads its words from stdin, as a JSON list; else they are its arguments.
        environment: of the process; this one's by default.
    """

    def __init__(self, module: str = "deblur.cli.warm", *, warm: bool = True) -> None:
        self._module = module if warm else "deblur"
        self._warm = warm
        self._process: asyncio.subprocess.Process | None = None
        self._cancelled = False

    @property
    def process(self) -> int | None:
        """The number of the process, while it runs."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def start(self, words: Sequence[str] = (), folder: str | Path | None = None) -> None:
        """Start the process."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=folder,
            env={**os.environ, PROGRESS: "json"},
            limit=_LONGEST,
            start_new_session=True,  # a terminal's Ctrl-C is for the program that started it
        )

    async def run(
        self, words: Sequence[str], folder: str | Path | None = None, on_event: OnEvent | None = None
    ) -> Ended:
        """Run one command to its end.

        Args:
            words: what comes after `deblur`.
            folder: where it runs.
            on_event: told every line of progress and every record.
        """
        if self._process is None:
            await self.start(() if self._warm else words, folder)
        process = self._process
        assert process is not None
        if self._warm:
            await self.send({"words": list(words), "folder": None if folder is None else str(folder)})
        ended = Ended(0)
        said: list[str] = []
        await asyncio.gather(self._events(ended, on_event), self._words(ended, said))
        ended.status = await process.wait()
        ended.cancelled = self._cancelled
        if ended.status and not ended.error:
            ended.error = said[-1] if said else f"the process ended with status {ended.status}"
        return ended

    async def send(self, message: dict[str, Any]) -> None:
        """Give the process a line of JSON."""
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):  # it is gone, which its status says
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            await self._process.stdin.drain()

    async def answer(self) -> dict[str, Any] | None:
        """The next line that a process which goes on answers with; None where it ended."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        return dict(json.loads(line)) if line else None

    async def cancel(self) -> None:
        """End the process: as Ctrl-C does, and by force where it does not follow within `PATIENCE`."""
        process, self._cancelled = self._process, True
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
            try:
                await asyncio.wait_for(process.wait(), PATIENCE)
            except asyncio.TimeoutError:
                process.kill()
        await process.wait()

    async def _events(self, ended: Ended, on_event: OnEvent | None) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            with contextlib.suppress(ValueError):  # something that is no event
                event = json.loads(line)
                if not isinstance(event, dict):
                    continue
                if "progress" not in event:
                    ended.records.append(event)
                if on_event is not None:
                    on_event(event)

    async def _words(self, ended: Ended, said: list[str]) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            text = line.decode(errors="replace").rstrip()
            if text.startswith("deblur: error: "):
                ended.error = text.removeprefix("deblur: error: ")
            elif text.startswith("deblur: note: "):
                ended.notes.append(text.removeprefix("deblur: note: "))
            elif text:
                said.append(text)
