"""What a process may be started without: streams, a working folder, quiet libraries."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings

from deblur import hushed
from deblur.cli import console
from deblur.errors import FileError

__all__ = ["check_folder", "flush", "ignore_warnings", "listen", "open_streams"]


def open_streams() -> None:
    """Let nothing that is opened later get the number of a stream that is closed: what is printed there would go into a
    picture. Nothing can be read from such a stream, and what is said there is lost."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives


def listen() -> None:
    """Say what the package logs in notes, and nothing of what its libraries remark on."""
    logger = logging.getLogger("deblur")
    if not any(isinstance(handler, _Notes) for handler in logger.handlers):
        logger.addHandler(_Notes())
        logger.setLevel(logging.INFO)
        logger.propagate = False
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)
    hushed.begin()


def check_folder() -> None:
    """Raise FileError where the working folder was deleted: names say nothing there, and the maths library aborts."""
    try:
        os.getcwd()
    except OSError:
        raise FileError("the working folder is not there any more; change to another one") from None


def ignore_warnings() -> None:
    """Show no warning of Python's, which are for programmers; `DEBLUR_DEBUG=1` does."""
    if not os.environ.get("DEBLUR_DEBUG"):
        warnings.simplefilter("ignore")


def flush() -> None:
    """Write what was said to stdout, so that a disk that is full is found now and a reader that left is no error."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up()
    except OSError as error:
        _give_up()
        raise FileError(f"standard output: could not be written ({error.strerror})") from error
    except ValueError:  # closed by what it was given to
        pass


def _give_up() -> None:
    """Let Python's own flush at its end have nothing to complain of."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)


class _Notes(logging.Handler):
    """Says each record in a note."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        console.note(record.getMessage())
