"""Where to compute: the device and the number of threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from deblur.errors import OptionError

__all__ = ["device_named", "processors", "using_threads"]

_FEW = 128**2  # pixels of a frame that one thread restores as fast as two


def device_named(name: str) -> torch.device:
    """The device that `auto` (a GPU where there is one), `cpu` or `cuda` stands for.

    Raises:
        OptionError: a GPU is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise OptionError("expected a CUDA device for device=cuda, found none; use device=cpu")
    return torch.device("cuda" if name != "cpu" and available else "cpu")


def processors(system: Path = Path("/")) -> int:
    """The number of processors this process may use: those of its affinity mask, and no more than its cgroup's quota.

    Args:
        system: the folder that holds `proc` and `sys`.

    Example:
        >>> processors() >= 1
        True
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        lines = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return allowed
    return max(1, min([allowed, *_quotas(lines, system / "sys/fs/cgroup")]))


def _quotas(lines: list[str], cgroups: Path) -> Iterator[int]:
    """The whole processors that the quotas over this process leave it, by /proc/self/cgroup (cgroups(7))."""
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = cgroups / "cpu" if controllers else cgroups  # version 1 has a tree for each controller, version 2 one
        place = root / path.lstrip("/")
        for folder in (place, *place.parents):
            quota = _words(folder / "cpu.max") or _words(folder / "cpu.cfs_quota_us") + _words(
                folder / "cpu.cfs_period_us"
            )
            if len(quota) == 2 and quota[0].isdigit() and int(quota[1]) > 0:  # "max" and -1: no quota
                yield max(1, int(quota[0]) // int(quota[1]))
            if folder == root:
                break


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


@contextmanager
def using_threads(count: int | None, pixels: int | None = None) -> Iterator[None]:
    """Let torch use so many threads meanwhile, never more than this process has processors.

    Without a number, torch's own; for a frame of few pixels one, since a second gains nothing there and has to be
    waited for where the machine is busy.
    """
    before = torch.get_num_threads()
    own = 1 if pixels is not None and pixels <= _FEW else before
    torch.set_num_threads(min(count or own, processors()))  # more threads than these only fight each other
    try:
        yield
    finally:
        torch.set_num_threads(before)
