"""All that draws: progress bars, summary lines, notes and the error line.

What a command has to say goes to stdout; bars, notes and errors go to stderr, and so does everything while a picture
itself is on its way to stdout.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import typer

from deblur.errors import DeblurError, FileError
from deblur.progress import Step
from deblur.worker import PROGRESS, progress

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["Bar", "blamed", "describe", "error", "finite", "json_line", "line", "note", "shortened", "skipped"]


def line(text: str, *, on_stderr: bool = False) -> None:
    """Print one line of a report.

    Raises:
        FileError: nothing can be written there, since a disk is full for example.
    """
    try:
        typer.echo(_printable(text), err=on_stderr)
    except BrokenPipeError:  # its reader has enough
        raise
    except OSError as failure:
        raise FileError(f"standard output: could not be written ({failure.strerror})") from failure


def json_line(record: Mapping[str, object], *, on_stderr: bool = False) -> None:
    """Print a record as one line of JSON; a number that JSON cannot say (infinite, not a number) becomes null."""
    text = json.dumps(finite(record), ensure_ascii=False, allow_nan=False)
    typer.echo(_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text), err=on_stderr)


def note(text: str) -> None:
    """Say something that the user did not ask for but should know."""
    typer.echo(f"deblur: note: {shortened(text)}", err=True)


def skipped(source: str, reason: str, *, as_json: bool, on_stderr: bool = False) -> None:
    """Say that nothing was done to a picture, and why."""
    if as_json:
        json_line({"image": source, "skipped": reason}, on_stderr=on_stderr)
    else:
        line(f"{source}: skipped, {reason}", on_stderr=on_stderr)


def error(text: str) -> None:
    """The error line."""
    typer.echo(f"deblur: error: {shortened(text)}", err=True)


def describe(failure: BaseException) -> str:
    """One line for any exception: our own message, what the system says, or that the defect is ours."""
    if isinstance(failure, DeblurError):
        return str(failure)
    if _out_of_memory(failure):
        return "out of memory; close other programs, or restore a part with --region"
    if isinstance(failure, OSError):
        where = f"{failure.filename}: " if failure.filename else ""
        return f"{where}{failure.strerror or failure}"
    return (
        f"internal error, {type(failure).__name__}: {failure} (a defect of deblur, not of the input; "
        "DEBLUR_DEBUG=1 shows where)"
    )


def blamed(source: str, failure: BaseException) -> str:
    """The same, starting with the picture that it is about; `-` is standard input."""
    text, name = describe(failure), "standard input" if source == "-" else source
    return text if name in text else f"{name}: {text}"


LONG = 10.0
"""Seconds from which on a job is long: it says how far it is, and again after as many."""


EVENTS = 0.1
"""Seconds between two events of a job that another program follows."""


class Bar:
    """How far a job is, stage by stage: a bar with the time left and the step's text on a terminal.

    Where stderr is none, a long job has a line there every ten seconds at most (less often in one of many minutes); one
    that is known to be long says so before it starts, and a short one says nothing.

    Args:
        label: the file that the job is about.
        stage: what is being done to it first, such as `restoring`.
    """

    def __init__(self, label: str, stage: str = "") -> None:
        self._label, self._began = label, time.monotonic()
        self._said = self._began
        self._bar: tqdm[Any] | None = None
        self.stage(stage)

    def __enter__(self) -> Bar:
        return self

    def stage(self, name: str) -> None:
        """Begin another stage of the job."""
        self._close()
        self._stage, self._text = name, ""
        self._start, self._foretold = time.monotonic(), 0.0

    def __call__(self, step: Step) -> None:
        """Move the bar to this step."""
        if os.environ.get(PROGRESS) == "json":
            self._event(step)
            return
        if not sys.stderr.isatty():
            self._tell(step)
            return
        if self._bar is None:
            from tqdm import tqdm

            about = ": ".join(filter(None, (self._label, self._stage)))
            self._bar = tqdm(desc=about, total=step.total, unit="step", leave=False, file=sys.stderr)
        self._bar.total = step.total
        self._bar.update(step.index - self._bar.n)
        text = step.text or (f"about {step.seconds:.0f} s" if step.seconds else "")
        if text != self._text:  # at once: the next step may be long in coming
            self._text = text
            self._bar.set_postfix_str(text)

    def _tell(self, step: Step) -> None:
        now, first = time.monotonic(), bool(step.seconds) and not self._foretold
        self._foretold = step.seconds or self._foretold
        spent, share = now - self._start, step.index / max(step.total, 1)
        left = self._foretold - spent
        if left <= 0 and share > 0:
            left = spent * (1 - share) / share
        pause = max(LONG, (now - self._began) / 10)  # hours need no line every ten seconds
        over = share >= 1 or (left < 1 and (share > 0 or self._foretold > 0))
        if over or (now - self._said < pause and not (first and self._foretold > LONG)):
            return
        self._said = now
        parts = [self._stage, f"{share:.0%}" if share else "", f"about {left:.0f} s left" if left > 0 else ""]
        line(f"{self._label}: {', '.join(filter(None, parts))}", on_stderr=True)

    def _event(self, step: Step) -> None:
        now, share = time.monotonic(), step.index / max(step.total, 1)
        self._foretold = step.seconds or self._foretold
        if now - self._said < EVENTS and share < 1:
            return
        self._said, spent = now, now - self._start
        left = self._foretold - spent
        if left <= 0 and share > 0:
            left = spent * (1 - share) / share
        json_line(progress(self._stage, share, max(left, 0.0), step.text))

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


def _printable(text: str) -> str:
    """The text with what no terminal shows, control characters and bytes of a name that are no letters, escaped.

    Example:
        >>> _printable("a\\x1b[2J b\\udcff.png")
        'a\\\\x1b[2J b\\\\xff.png'
    """
    return _HIDDEN.sub(lambda found: _escaped(ord(found[0])), text)


def _escaped(code: int) -> str:
    """A character by its number; of a byte that is no letter the byte."""
    return f"\\x{code & 0xFF:02x}" if code < 0x100 or 0xD800 <= code < 0xE000 else f"\\u{code:04x}"


_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""What moves the cursor, turns the line around, or is no letter."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONG_WORD, _LONG_LINE = re.compile(r"\S{121,}"), 800


def shortened(text: str) -> str:
    """One line of a message, without what no terminal shows; a value of more than 120 characters keeps 80 of them."""
    words = _LONG_WORD.sub(lambda found: f"{found[0][:50]}...{found[0][-27:]}", " ".join(text.split()))
    return _printable(words if len(words) <= _LONG_LINE else f"{words[:500]} ... {words[-250:]}")


def finite(value: object) -> object:
    """The value with every number that JSON cannot say replaced by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def _out_of_memory(failure: BaseException) -> bool:
    """Whether memory ran out: Python's error, a device's, that of torch's allocator (a RuntimeError), or that of the
    system, which then loads no library and starts no thread; or that error led to this one."""
    seen: list[BaseException] = []
    cause: BaseException | None = failure
    while cause is not None and cause not in seen:
        if isinstance(cause, MemoryError) or type(cause).__name__ == "OutOfMemoryError":
            return True
        text = str(cause).lower()
        if not isinstance(cause, DeblurError) and any(words in text for words in _NO_MEMORY):
            return True
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__
    return False


_NO_MEMORY = (
    "can't allocate memory",
    "cannot allocate memory",
    "insufficient memory",
    "not enough memory",
    "out of memory",
    "unable to allocate",
    "bad_alloc",
    "failed to map segment",
    "can't start new thread",
    "without setting an exception",
    "without exception set",
)
"""What libraries and the system say where memory ran out."""
