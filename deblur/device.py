"""Where to compute: the device and the number of threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from deblur.errors import OptionError

__all__ = ["device_named", "using_threads"]


def device_named(name: str) -> torch.device:
    """The device that `auto` (a GPU where there is one), `cpu` or `cuda` stands for.

    Raises:
        OptionError: a GPU is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise OptionError("expected a CUDA device for device=cuda, found none; use device=cpu")
    return torch.device("cuda" if name != "cpu" and available else "cpu")


@contextmanager
def using_threads(count: int | None) -> Iterator[None]:
    """Let torch use so many threads meanwhile, or its own number; never more than there are processors."""
    before = torch.get_num_threads()
    cores = max(before, os.cpu_count() or 1)  # more threads than these only fight each other
    torch.set_num_threads(min(count or before, cores))
    try:
        yield
    finally:
        torch.set_num_threads(before)
