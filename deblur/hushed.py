"""Keep what C libraries print past Python away from the terminal: libpng, libjpeg and libtiff remark on odd files.

What matters of their remarks is raised as an error anyway. Only the command line asks for it, since the descriptor is
the whole process's: in somebody else's program it stays as it is.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

__all__ = ["begin", "hushed"]

_asked = threading.Event()
_holding = threading.Lock()


def begin() -> None:
    """From now on let `hushed` keep them quiet."""
    _asked.set()


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Nothing that is written to the descriptor of stderr in this block is seen; not to be nested."""
    if not _asked.is_set():
        yield
        return
    with _holding:
        try:
            kept = os.dup(2)
        except OSError:  # closed: then nothing is seen anyway
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
