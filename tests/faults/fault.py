"""One bad input: the files it consists of and the command that it is given to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

__all__ = ["Fault", "Kind", "flipped", "spread"]

Content = bytes | Callable[[Path], None]


@dataclass(frozen=True)
class Fault:
    """What is tried.

    Args:
        name: what is wrong, unique within its kind.
        words: the words after `deblur`.
        files: by name, what stands in the folder that the command runs in: bytes, or a function that makes it there.
        outputs: the files that may stand there afterwards where the command succeeds.
    """

    name: str
    words: tuple[str, ...]
    files: Mapping[str, Content] = field(default_factory=dict)
    outputs: tuple[str, ...] = ("o.png", "o.tif", "k.npy", "k.json")


Kind = Callable[[int], Iterator[Fault]]
"""The bad inputs of one kind: those that are always tried, and others drawn by the seed."""


def flipped(data: bytes, random: Random, count: int, within: int | None = None) -> bytes:
    """The data with some bits turned over, behind the first four bytes."""
    changed = bytearray(data)
    for _ in range(count):
        changed[random.randrange(4, min(len(data), within or len(data)))] ^= 1 << random.randrange(8)
    return bytes(changed)


def spread(length: int, count: int) -> list[int]:
    """Lengths to cut at, from nothing to one byte too few."""
    return sorted({0, 1, 3, 7, length - 1, *(length * i // count for i in range(1, count))})
