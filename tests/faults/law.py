"""The law that every bad input is held to: done right, or refused in one line, with nothing left behind."""

from __future__ import annotations

import os
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faults.fault import Fault

__all__ = ["MEMORY", "SECONDS", "Outcome", "held"]

SECONDS = 20.0
"""That a command on a small input takes at most, by the processor's clock."""

MEMORY = 1 << 30
"""Bytes that it takes at most."""

_LINE = re.compile(r"deblur: (error|note|warning): .|did you mean: deblur ")
_PROGRESS = re.compile(r"\S.*: .*(\d+%|left)")
_LONGEST = 1000


@dataclass(frozen=True)
class Outcome:
    """What a command came to."""

    code: int
    out: bytes
    err: bytes
    seconds: float
    memory: int


def held(fault: Fault, main: Callable[[list[str]], int]) -> list[str]:
    """Run a command on a bad input in this process, in a folder of its own; what of the law it breaks."""
    before = Path.cwd()
    folder = Path(tempfile.mkdtemp(prefix="fault-"))
    try:
        os.chdir(folder)
        for name, content in fault.files.items():
            content(folder / name) if callable(content) else (folder / name).write_bytes(content)
        there = _contents(folder)
        try:
            outcome = _run(fault, main)
        except BaseException as error:
            return [f"raises {type(error).__name__}: {error}", *traceback.format_exc().splitlines()[-6:]]
        return [*_said(outcome), *_left(fault, outcome, there, _contents(folder)), *_taken(outcome)]
    finally:
        os.chdir(before)
        shutil.rmtree(folder, ignore_errors=True)


def _run(fault: Fault, main: Callable[[list[str]], int]) -> Outcome:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with _captured(out.fileno(), err.fileno()):
            _forget_peak()
            used, start = _resident("VmRSS"), time.process_time()
            code = main(list(fault.words))
            seconds, memory = time.process_time() - start, _resident("VmHWM") - used
        out.seek(0)
        err.seek(0)
        return Outcome(code, out.read(), err.read(), seconds, memory)


@contextmanager
def _captured(out: int, err: int) -> Iterator[None]:
    """Take what is written to the descriptors 1 and 2, whoever writes it; nothing comes from 0."""
    kept = [os.dup(number) for number in range(3)]
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        for number, new in enumerate((nothing, out, err)):
            os.dup2(new, number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, old in enumerate(kept):
            os.dup2(old, number)
        for descriptor in (*kept, nothing):
            os.close(descriptor)


def _said(outcome: Outcome) -> Iterator[str]:
    """What is wrong with what was said."""
    err, out = outcome.err.decode(errors="replace"), outcome.out.decode(errors="replace")
    lines = err.splitlines()
    errors = [line for line in lines if line.startswith("deblur: error: ")]
    if outcome.code not in (0, 1, 2):
        yield f"status {outcome.code}"
    if outcome.code == 0 and errors:
        yield f"status 0 with an error: {errors[0]}"
    if outcome.code == 1 and len(errors) != 1:
        yield f"status 1 with {len(errors)} error lines: {err[:300]}"
    usage = outcome.code == 2
    for line in lines:
        if not (_LINE.match(line) or _PROGRESS.match(line) or (usage and not line.startswith(("Traceback", "lib")))):
            yield f"not our line: {line[:200]!r}"
        if len(line) > _LONGEST:
            yield f"a line of {len(line)} characters"
        if "internal error" in line or "Traceback" in line:
            yield line
    if any(not (letter.isprintable() or letter in "\n\u202f\u3000\xa0\u200d") for letter in err):
        yield f"characters that no terminal shows: {err[:200]!r}"
    if len(err) > 20 * _LONGEST:
        yield f"{len(err)} characters on stderr"
    if any(ord(letter) < 32 and letter != "\n" for letter in out[:10000]) and not out.startswith(("\x89", "II")):
        yield f"characters that no terminal shows, on stdout: {out[:200]!r}"


def _left(fault: Fault, outcome: Outcome, before: dict[str, object], after: dict[str, object]) -> Iterator[str]:
    """What should not lie there, or is not as it was."""
    for name, content in before.items():
        if name not in after:
            yield f"{name} is gone"
        elif after[name] != content and name not in fault.outputs:
            yield f"{name} is another one"
    new = [name for name in after if name not in before]
    if outcome.code:
        yield from (f"left behind: {name[:100]}" for name in new)
        return
    for name in new:
        if not any(name == known or name.startswith(known + "/") for known in fault.outputs) and not name.endswith(
            (".deblurred.png", ".json")
        ):
            yield f"written: {name[:100]}"
        copied = any(after[name] == content for content in before.values())
        if name.endswith((".png", ".tif", ".npy")) and after[name] != "no file" and not copied:
            try:
                _readable(Path(name))
            except Exception as error:
                yield f"{name} cannot be read: {error}"
    if (
        outcome.code == 0
        and fault.words[:1] in (("apply",), ("fit",), ("blur",), ("denoise",))
        and not new
        and not outcome.out
        and "skipped" not in outcome.err.decode(errors="replace")
    ):
        yield "done without a word"


def _taken(outcome: Outcome) -> Iterator[str]:
    if outcome.seconds > SECONDS:
        yield f"took {outcome.seconds:.1f} s"
    if outcome.memory > MEMORY:
        yield f"took {outcome.memory >> 20} MiB"


def _readable(path: Path) -> None:
    """Read a file that was written by the libraries that other programs use."""
    import numpy as np
    import tifffile
    from PIL import Image

    if path.suffix == ".npy":
        taps = np.load(path, allow_pickle=False)
        if not (np.isfinite(taps).all() and abs(taps.sum() / (len(taps) if taps.ndim == 3 else 1) - 1) < 1e-6):
            raise ValueError("its taps do not sum to 1")
    elif path.suffix == ".tif":
        if not np.isfinite(np.asarray(tifffile.imread(path), float)).any():
            raise ValueError("it holds no number")
    else:
        with Image.open(path) as image:
            image.load()


def _contents(folder: Path) -> dict[str, object]:
    """Everything in the folder, by name."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "no file"
    return found


def _forget_peak() -> None:
    """Let the kernel count the most memory from now on."""
    Path("/proc/self/clear_refs").write_text("5")


def _resident(name: str) -> int:
    """Bytes of memory, now (`VmRSS`) or at most (`VmHWM`)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
