"""How a file coded its pixels, where that loses something."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Coding"]


@dataclass(frozen=True)
class Coding:
    """Stands here until the reader of JPEG files fills it."""

    offset: tuple[int, int] = (0, 0)

    def at(self, row: int, column: int) -> Coding:
        """The coding of a part whose top left pixel is this one."""
        return Coding(((self.offset[0] + row) % 8, (self.offset[1] + column) % 8))
