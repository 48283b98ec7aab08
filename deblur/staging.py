"""Files and folders on their way: under a hidden name until they are complete, gone again if they never are.

`deblur.files` says what a file is filled with; here it gets its name, alone or with others, and here stands what goes
again when the process ends in the middle.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
import stat
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deblur.errors import FileError

__all__ = ["Begun", "Complete", "abandon", "begun", "hidden", "removed_if_unfinished", "take_names", "temporary"]


@dataclass(frozen=True)
class Complete:
    """A complete file that waits for its name.

    Attributes:
        path: the name as it was given.
        target: the name that it will have.
        unfinished: the name that it has.
        identity: the numbers of its device and of itself, whatever its name.
        force: whether it may replace another.
    """

    path: str | Path
    target: Path
    unfinished: Path
    identity: tuple[int, int]
    force: bool

    @property
    def named(self) -> bool:
        """Whether it has its name."""
        with contextlib.suppress(OSError):
            found = os.stat(self.target)
            return (found.st_dev, found.st_ino) == self.identity
        return False


class Begun(io.FileIO):
    """A new file that remembers why it could not be written: what writes into it may raise something that says less."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write, as any file does."""
        try:
            return super().write(data) or 0
        except OSError as error:
            self.failure = error
            raise


_unfinished: set[Path] = set()  # what goes again if the process ends now
_changing = threading.RLock()
_ending = threading.Event()


def abandon() -> None:
    """Remove what is unfinished, and let nothing more be written: for a process that is about to end."""
    _ending.set()
    held = _changing.acquire(timeout=0.2)
    for path in sorted(_unfinished, key=Path.is_dir):  # a folder after what is in it
        _remove(path)
    if held:
        _changing.release()


def hidden(target: Path) -> Path:
    """A new name beside a file."""
    return target.parent / f".deblur-{secrets.token_hex(8)}.part"


def begun(unfinished: Path) -> Begun:
    """A new file, unless the process is about to end."""
    with _changing:
        if _ending.is_set():
            raise KeyboardInterrupt
        return Begun(unfinished, "xb+")


@contextlib.contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """Let the file of this name be gone when the block ends, or the process does by Ctrl-C."""
    _unfinished.add(path)
    try:
        yield path
    finally:
        _remove(path)
        _unfinished.discard(path)


@contextlib.contextmanager
def removed_if_unfinished(path: Path) -> Iterator[Path]:
    """Let the file or the empty folder of this name be gone where the block fails, or the process ends by Ctrl-C."""
    _unfinished.add(path)
    try:
        yield path
    except BaseException:
        _remove(path)
        raise
    finally:
        _unfinished.discard(path)


def take_names(files: Sequence[Complete]) -> None:
    """Give complete files their names; where one can't have it, those before it give theirs back.

    Raises:
        FileError: one can't have it.
    """
    with contextlib.ExitStack() as owned, _changing:
        if _ending.is_set():
            raise KeyboardInterrupt
        begun: list[tuple[Complete, Path | None]] = []
        try:
            for file in files:
                stood = file.force and file is not files[-1] and file.target.exists()
                begun.append((file, owned.enter_context(_second_name(file)) if stood else None))
                _take_name(file)
        except BaseException:
            if not files[-1].named:
                _give_back(begun[: len(files) - 1])
            raise


def _take_name(file: Complete) -> None:
    try:
        if not file.force:
            _rename_to_new(file.unfinished, file.target)
            return
        if file.target.exists():
            os.chmod(file.unfinished, stat.S_IMODE(file.target.stat().st_mode))
        os.replace(file.unfinished, file.target)
    except FileExistsError as error:
        raise FileError(f"{file.path}: already exists; choose another name or overwrite it with --force") from error
    except OSError as error:
        raise _unwritten(file, error) from error


def _rename_to_new(unfinished: Path, target: Path) -> None:
    """Give the finished file its name unless that name is taken: a hard link fails where `os.replace` overwrites."""
    try:
        os.link(unfinished, target)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError, AttributeError):  # a file system without hard links
        if target.exists():
            raise FileExistsError(target) from None
        os.replace(unfinished, target)


@contextlib.contextmanager
def _second_name(file: Complete) -> Iterator[Path]:
    """Another name, while the block lasts, for what a file is about to replace."""
    with temporary(hidden(file.target)) as kept:
        try:
            os.link(file.target, kept)
        except (OSError, NotImplementedError, AttributeError):  # a file system without hard links
            try:
                shutil.copy2(file.target, kept)
            except OSError as error:
                raise _unwritten(file, error) from error
        yield kept


def _give_back(files: Iterable[tuple[Complete, Path | None]]) -> None:
    for file, kept in files:
        with contextlib.suppress(OSError):
            if file.named and kept is None:
                file.target.unlink()
            elif file.named and kept is not None:
                os.replace(kept, file.target)


def _unwritten(file: Complete, error: OSError) -> FileError:
    return FileError(f"{file.path}: could not be written ({error.strerror or error}); nothing was left behind")


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
