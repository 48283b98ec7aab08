"""Write files whole or not at all.

Everything the project writes goes through `atomic_write`: the bytes go to a temporary file in the same folder, which
takes the target's name in one step once it is complete. A full disk, a crash or Ctrl-C leaves the old file, or none,
and never half of one; `write_together` does the same for several files. `check_writable` answers the same questions
before hours of work, so that a forgotten `--force` costs nothing.

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
import os
import secrets
import stat
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

from deblur.errors import FileError

__all__ = ["Content", "abandon", "atomic_write", "check_writable", "write_together"]

Content: TypeAlias = bytes | bytearray | memoryview | Callable[[BinaryIO], object]
"""What to write: the bytes, or a function that writes them into the open binary file (seekable) it is given."""

_unfinished: set[Path] = set()  # what goes again if the process ends now
_changing = threading.Lock()
_ending = threading.Event()


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
    unfinished = target.parent / f".deblur-{secrets.token_hex(8)}.part"
    try:
        try:
            with _begun(unfinished) as file:
                if callable(content):
                    content(file)
                else:
                    file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if force:
                if target.exists():
                    os.chmod(unfinished, stat.S_IMODE(target.stat().st_mode))
                os.replace(unfinished, target)
            else:
                _rename_to_new(unfinished, target)
        except FileExistsError as error:
            raise FileError(f"{path}: already exists; choose another name or overwrite it with --force") from error
        except OSError as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"{path}: could not be written ({_reason(error)}); nothing was left behind") from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        _unfinished.discard(unfinished)


def write_together(outputs: Sequence[tuple[str, Callable[..., object]]], *, force: bool = False) -> None:
    """Write several files, all or none: where one fails or Ctrl-C comes, those that are new go again.

    A folder that is missing is made, if the one that it lies in is there.

    Args:
        outputs: the name of each, and a function that writes it, called with `force=`; the most important comes last:
            once it is there, all are. `-` is standard output.
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
    made: list[Path] = []
    try:
        for name, write in outputs:
            path = Path(name)
            if name != "-" and not path.parent.exists() and path.parent.parent.is_dir():
                path.parent.mkdir()
                made.append(path.parent)
                _unfinished.add(path.parent)
            new = name != "-" and not path.exists()
            write(force=force)
            if new:
                made.append(path)
                _unfinished.add(path)
    except BaseException:
        _remove(reversed(made))
        raise
    finally:
        _unfinished.difference_update(made)


def abandon() -> None:
    """Remove what is unfinished, and let nothing more be written: for a process that is about to end."""
    _ending.set()
    held = _changing.acquire(timeout=0.2)
    _remove(sorted(_unfinished, key=Path.is_dir))  # a folder after what is in it
    if held:
        _changing.release()


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)


def _begun(unfinished: Path) -> BinaryIO:
    with _changing:
        if _ending.is_set():
            raise KeyboardInterrupt
        _unfinished.add(unfinished)
        return open(unfinished, "xb+")


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


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
