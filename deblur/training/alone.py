"""One run at a time may write a file: a lock that goes with the process that holds it, however that ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from deblur.errors import FileError
from deblur.files import check_writable
from deblur.staging import temporary

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["alone"]


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let no other process enter such a block for this file meanwhile.

    The lock is the system's, on a hidden file beside it; where that file stays behind, because its process was killed,
    the lock does not. A file system without locks gives none, and neither does Windows.

    Raises:
        FileError: another process is in such a block, or nothing can be written there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, alone(Path(folder, "prior.pt")):
        ...     with alone(Path(folder, "prior.pt")):
        ...         pass
        Traceback (most recent call last):
        ...
        deblur.errors.FileError: ...prior.pt: another run is writing it (process ...); wait for it, or choose another -o
    """
    check_writable(path, force=True)
    target = Path(os.path.realpath(path))
    lock = target.with_name(f".{target.name}.lock")
    with contextlib.ExitStack() as held:
        while fcntl is not None:
            try:
                number = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except OSError:  # a name that is too long with its ending
                break
            held.callback(os.close, number)
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                process = os.pread(number, 20, 0).decode(errors="replace") or "unknown"
                raise FileError(
                    f"{path}: another run is writing it (process {process}); wait for it, or choose another -o"
                ) from None
            except OSError:  # a file system without locks
                held.enter_context(temporary(lock))
                break
            if _still(lock, number):
                held.enter_context(temporary(lock))
                os.ftruncate(number, 0)
                os.pwrite(number, str(os.getpid()).encode(), 0)
                break
            # else the run before removed the file when it ended, after it was opened here
        yield


def _still(lock: Path, number: int) -> bool:
    """Whether an open file is the one of this name."""
    try:
        return os.path.samestat(os.stat(lock), os.fstat(number))
    except FileNotFoundError:
        return False
