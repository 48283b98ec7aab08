"""Ctrl-C ends the process within a second, whatever its threads are doing, and leaves nothing half written.

Python tells the main thread of Ctrl-C, which may be waiting for threads that compute, and waits for them once more when
it ends. So the signal wakes another thread, too: where the process has not ended by itself soon, that one does it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time

from deblur import staging

__all__ = ["STATUS", "watch"]

STATUS = 130
"""The exit status of what was interrupted."""

GRACE = 0.2
"""Seconds that the process has to end by itself: its bar is then closed, and its files are removed where they lie."""


def watch() -> None:
    """From now on let Ctrl-C end this process within a second, unless a command has a handler of its own for it."""
    if threading.current_thread() is not threading.main_thread():
        return  # only that one may be asked to wake another
    woken, waking = socket.socketpair()
    waking.setblocking(False)
    signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_wait, args=(woken, waking), name="deblur-interrupt", daemon=True).start()


def _wait(woken: socket.socket, waking: socket.socket) -> None:
    """Wait for signals; `waking` is held so that it stays open."""
    while number := woken.recv(1):
        if number[0] == signal.SIGINT and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            time.sleep(GRACE)
            staging.abandon()
            if sys.stderr.isatty():
                os.write(2, b"\n")  # below the bar
            os._exit(STATUS)  # no exit handler runs: they would wait for the threads
