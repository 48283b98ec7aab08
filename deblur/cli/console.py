"""All that draws: progress bars, summary lines, notes and the error line.

What a command has to say goes to stdout; bars, notes and errors go to stderr, and so does everything while a picture
itself is on its way to stdout.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import typer

from deblur.errors import DeblurError
from deblur.progress import Step

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["Bar", "describe", "error", "finite", "json_line", "line", "note"]


def line(text: str, *, on_stderr: bool = False) -> None:
    """Print one line of a report."""
    typer.echo(text, err=on_stderr)


def json_line(record: Mapping[str, object], *, on_stderr: bool = False) -> None:
    """Print a record as one line of JSON; a number that JSON cannot say (infinite, not a number) becomes null."""
    typer.echo(json.dumps(finite(record), ensure_ascii=False, allow_nan=False), err=on_stderr)


def note(text: str) -> None:
    """Say something that the user did not ask for but should know."""
    typer.echo(f"deblur: note: {_one_line(text)}", err=True)


def error(text: str) -> None:
    """The error line."""
    typer.echo(f"deblur: error: {_one_line(text)}", err=True)


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


LONG = 10
"""Seconds from which on a run says how long it will take about."""


class Bar:
    """A progress bar with the time left and the step's text, drawn on stderr where that is a terminal.

    Where it is not, a run that will take long says so once: before, where that is known, or as soon as two of its
    steps tell.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._steps: list[tuple[float, int]] = []  # when the first two came, and how far they were
        self._bar: tqdm[Any] | None = None
        self._text = ""
        self._told = False

    def __enter__(self) -> Bar:
        return self

    def __call__(self, step: Step) -> None:
        """Move the bar to this step."""
        if not sys.stderr.isatty():
            self._foretell(step)
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(desc=self._label, total=step.total, unit="step", leave=False, file=sys.stderr)
        self._bar.total = step.total
        self._bar.update(step.index - self._bar.n)
        text = step.text or (f"about {step.seconds:.0f} s" if step.seconds else "")
        if text != self._text:  # at once: the next step may be long in coming
            self._text = text
            self._bar.set_postfix_str(text)

    def _foretell(self, step: Step) -> None:
        if step.seconds:
            self._told = True
            if step.seconds > LONG:
                line(f"{self._label}: about {step.seconds:.0f} s", on_stderr=True)
        if self._told or len(self._steps) == 2 or step.index == 0:
            return
        self._steps.append((time.monotonic(), step.index))
        if len(self._steps) == 2:
            (began, first), (now, second) = self._steps
            left = (now - began) * (step.total - step.index) / max(1, second - first)
            if left > LONG:
                line(f"{self._label}: about {left:.0f} s", on_stderr=True)

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()


def _one_line(text: str) -> str:
    return " ".join(text.split())


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
    """Whether memory ran out: Python's error, a device's, or that of torch's allocator (a RuntimeError)."""
    if isinstance(failure, MemoryError) or type(failure).__name__ == "OutOfMemoryError":
        return True
    return isinstance(failure, RuntimeError) and "can't allocate memory" in str(failure)
