"""Read what a command is given: a whole file, or whatever comes through a pipe.

Devices are refused, since most of them never end. A pipe may be one that nobody feeds: after a second without a byte
the logger `deblur` is told, once, and the reading goes on.

Example:
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a")
    ...     _ = path.write_bytes(b"42")
    ...     read_bytes(path)
    b'42'
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

__all__ = ["PATIENCE", "drain", "is_file", "is_pipe", "read_bytes"]

PATIENCE = 1.0
"""Seconds without a byte after which it is said that a pipe is waited for."""

_PIECE = 1 << 20
_log = logging.getLogger("deblur")


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file, or all that comes through a pipe.

    Raises:
        OSError: it is missing, a folder, a device, a circle of links, or cannot be read; `strerror` says which.
        ValueError: the name cannot be one.
    """
    kind = os.stat(path).st_mode
    if stat.S_ISREG(kind):
        return Path(path).read_bytes()
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISFIFO(kind):
        raise OSError(errno.EINVAL, "it is a device or a socket", os.fspath(path))
    with contextlib.ExitStack() as stack:
        return drain(str(path), lambda: stack.enter_context(open(path, "rb")))


def drain(name: str, opened: Callable[[], BinaryIO]) -> bytes:
    """All that comes through a pipe.

    Args:
        name: what the log calls it.
        opened: opens it, which lasts until somebody feeds it where it is one with a name.
    """
    timer = threading.Timer(PATIENCE, _log.info, [f"{name}: waiting for its bytes, none has come yet"])
    timer.daemon = True
    timer.start()
    read = io.BytesIO()
    try:
        file = opened()
        while piece := file.read1(_PIECE):  # type: ignore[attr-defined]
            timer.cancel()
            read.write(piece)
    finally:
        timer.cancel()
    return read.getvalue()


def is_pipe(path: str | os.PathLike[str]) -> bool:
    """Whether there is a pipe."""
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether there is a regular file, so that reading it ends."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False
