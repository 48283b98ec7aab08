"""Write files whole or not at all.

Everything the project writes goes through `atomic_write`: the bytes go to a temporary file in the same folder, which
takes the target's name in one step once it is complete. A full disk, a crash or Ctrl-C leaves the old file, or none,
and never half of one. `together` does the same for several files: none takes its name before all are complete, and
where one can't, the others give theirs back. `check_writable` answers the same questions before hours of work, so that
a forgotten `--force` costs nothing.

Example:
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = Path(folder) / "answer.txt"
    ...     atomic_write(target, b"42")
    ...     try:
    ...         atomic_write(target, b"43")
    ...     except FileError as error:
    ...         print(str(error).replace(folder, "folder"), target.read_bytes())
    folder/answer.txt: already exists; choose another name or overwrite it with --force b'42'
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

from deblur.errors import FileError
from deblur.staging import Begun, Complete, begun, hidden, removed_if_unfinished, take_names, temporary

__all__ = ["Content", "atomic_write", "check_writable", "together", "write_together"]

Content: TypeAlias = bytes | bytearray | memoryview | Callable[[BinaryIO], object]
"""What to write: the bytes, or a function that writes them into the open binary file (seekable) it is given."""

_waiting: ContextVar[tuple[contextlib.ExitStack, list[Complete]] | None] = ContextVar("waiting", default=None)


def check_writable(path: str | Path, force: bool = False, *, sources: Iterable[str | Path] = ()) -> None:
    """Raise if `atomic_write` could not write this file; nothing is created.

    Args:
        path: the file to be written.
        force: whether an existing file may be replaced.
        sources: the files being read. None of them is ever overwritten, not even with `force`: the only copy of a
            photograph would be gone.

    Raises:
        FileError: the target exists, is one of the sources, is a folder or no regular file, or its folder is missing
            or cannot be written.
    """
    try:
        target = Path(os.path.realpath(path))
        for source in sources:
            if str(source) != "-" and os.path.exists(source) and os.path.exists(target) and target.samefile(source):
                raise FileError(f"{path}: is the input itself, which is never overwritten; choose another name")
        if target.is_dir() or str(path).endswith(("/", os.sep)):
            raise FileError(f"{path}: expected the name of a file, got a folder; add a file name")
        if target.exists() and not target.is_file():
            raise FileError(f"{path}: expected a regular file, got a device or a pipe; choose another name")
        if target.exists() and not force:
            raise FileError(f"{path}: already exists; choose another name or overwrite it with --force")
        if not target.parent.is_dir():
            raise FileError(f"{path}: there is no folder {Path(path).parent}; make it first or choose another one")
    except (OSError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path}: cannot be a file name ({_reason(error)}); choose another one") from error
    if not os.access(target.parent, os.W_OK):
        raise FileError(f"{path}: the folder {Path(path).parent} cannot be written to; choose another one")


def atomic_write(path: str | Path, content: Content, *, force: bool = False) -> None:
    """Write a file whole or not at all.

    The file gets the permissions of the one it replaces, or the usual ones; a symbolic link stays one and its target
    is replaced. Without `force` a file that appears while this one is being written is kept, and this call fails.

    Args:
        path: the file to write.
        content: the bytes, or a function that writes them into the binary file it is given.
        force: replace an existing file.

    Raises:
        FileError: the file may not be written (see `check_writable`), or the writing failed (a full disk). Whatever
            `content` itself raises, Ctrl-C included, passes through. Nothing is left behind in either case.
    """
    check_writable(path, force)
    target = Path(os.path.realpath(path))
    with _group() as (owned, files):
        unfinished = owned.enter_context(temporary(hidden(target)))
        identity = _fill(path, unfinished, content)
        files.append(Complete(path, target, unfinished, identity, force))


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Let all that `atomic_write` writes in this block take its name when the block ends: all files, or none.

    Raises:
        FileError: one can't have its name; the others have given theirs back, and what stood there is there again.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with together():
        ...         atomic_write(f"{folder}/a", b"x")
        ...         before = Path(folder, "a").exists()
        ...         atomic_write(f"{folder}/b", b"y")
        ...     before, sorted(path.name for path in Path(folder).iterdir())
        (False, ['a', 'b'])
    """
    with _group():
        yield


def write_together(outputs: Sequence[tuple[str, Callable[..., object]]], *, force: bool = False) -> None:
    """Write several files, all or none: where one fails or Ctrl-C comes, there is what there was before.

    A folder that is missing is made, if the one that it lies in is there.

    Args:
        outputs: the name of each, and a function that writes it by `atomic_write`, called with `force=`; the most
            important comes last: once it is there, all are. `-` is standard output.
        force: replace existing files.

    Raises:
        FileError: as `atomic_write`. What a function raises passes through.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     names = [f"{folder}/new/{name}" for name in ("a", "b")]
        ...     write_together([(name, lambda force, name=name: atomic_write(name, b"x")) for name in names])
        ...     sorted(path.name for path in Path(folder, "new").iterdir())
        ['a', 'b']
    """
    with contextlib.ExitStack() as made, together():
        for name, write in outputs:
            folder = Path(name).parent
            if name != "-" and not folder.exists() and folder.parent.is_dir():
                made.enter_context(removed_if_unfinished(folder))
                folder.mkdir()
            write(force=force)


@contextlib.contextmanager
def _group() -> Iterator[tuple[contextlib.ExitStack, list[Complete]]]:
    """What holds the temporary files of a block, and those of them that are complete."""
    larger = _waiting.get()
    if larger is not None:  # this block is a part of that one
        yield larger
        return
    with contextlib.ExitStack() as owned:
        files: list[Complete] = []
        token = _waiting.set((owned, files))
        try:
            yield owned, files
        finally:
            _waiting.reset(token)
        take_names(files)


def _fill(path: str | Path, unfinished: Path, content: Content) -> tuple[int, int]:
    """Write a temporary file down to the disk, and return what it is known by."""
    raw: Begun | None = None
    try:
        raw = begun(unfinished)
        with io.BufferedRandom(raw) as file:
            if callable(content):
                content(cast(BinaryIO, file))
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
            about = os.fstat(file.fileno())
    except FileError:
        raise
    except Exception as error:
        failure = error if isinstance(error, OSError) else None if raw is None else raw.failure
        if failure is None:
            raise
        raise FileError(f"{path}: could not be written ({_reason(failure)}); nothing was left behind") from error
    return about.st_dev, about.st_ino


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
