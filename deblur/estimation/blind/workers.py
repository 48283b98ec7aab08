"""Several pieces of work at a time, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

import torch

from deblur.device import using_threads
from deblur.progress import OnStep, Step

__all__ = ["Progress", "each"]

A = TypeVar("A")
B = TypeVar("B")


class Progress:
    """What is done of a job of several phases, told to whoever listens.

    Once the listener has raised, every later call raises the same: so work in other threads stops.

    Example:
        >>> progress = Progress(print)
        >>> progress.phase("size", until=0.5, parts=2)
        Step(index=0, total=1000, text='size')
        >>> progress(1.0)
        Step(index=250, total=1000, text='size')
    """

    def __init__(self, on_step: OnStep | None) -> None:
        self._on_step, self._lock = on_step, Lock()
        self._error: BaseException | None = None
        self._name, self._done, self._part, self._until = "", 0.0, 0.0, 0.0

    def phase(self, name: str, until: float, parts: float = 1.0) -> None:
        """Begin a phase of so many parts, at the end of which the share `until` of the whole is done."""
        with self._lock:
            self._done = max(self._done, self._until)
            self._name, self._part, self._until = name, (until - self._done) / max(parts, 1e-9), until
        self(0.0)

    def __call__(self, parts: float) -> None:
        """So many more parts of the phase are done."""
        with self._lock:
            if self._error is not None:
                raise self._error
            self._done = min(self._done + self._part * parts, self._until)
            try:
                if self._on_step is not None:
                    self._on_step(Step.share(self._done, self._name))
            except BaseException as error:
                self._error = error
                raise

    def stop(self, error: BaseException) -> None:
        """Let every later call raise this."""
        self._error = self._error or error


def each(function: Callable[[A], B], items: Sequence[A], progress: Progress) -> list[B]:
    """What a function makes of every item, in their order, on as many threads as torch uses, one of torch's for each.

    Example:
        >>> each(lambda n: n * n, [1, 2, 3], Progress(None))
        [1, 4, 9]
    """
    workers = min(torch.get_num_threads(), len(items))
    if workers < 2:
        return [function(item) for item in items]
    with using_threads(1), ThreadPoolExecutor(workers) as pool:
        tasks = [pool.submit(function, item) for item in items]
        try:
            return [task.result() for task in tasks]
        except BaseException as error:
            progress.stop(error)
            pool.shutdown(wait=False, cancel_futures=True)
            raise
