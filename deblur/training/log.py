"""The log of a run: a line of a CSV file every few steps, and the same for TensorBoard where that is installed."""

from __future__ import annotations

import csv
import importlib.util
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deblur.errors import FileError
from deblur.files import atomic_write

__all__ = ["Log"]


class Log:
    """Lines of numbers by name, the first of which is `step`.

    A name that a line does not have is left empty there. With `done` an existing file is continued from that step:
    later lines, which a run wrote after the state that it goes on from, are taken out.

    Args:
        path: the CSV file.
        columns: the names, after `step`.
        board: the folder for TensorBoard.
        done: steps done.

    Raises:
        FileError: the file cannot be written, or is the log of another run.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     log = Log(Path(folder) / "a.csv", ["loss", "psnr"])
        ...     log.line(10, {"loss": 0.5})
        ...     log.line(20, {"loss": 0.25, "psnr": 30.0})
        ...     log.close()
        ...     log = Log(Path(folder) / "a.csv", ["loss", "psnr"], done=10)
        ...     log.close()
        ...     print((Path(folder) / "a.csv").read_text())
        step,loss,psnr
        10,0.5,
    """

    def __init__(self, path: Path, columns: Sequence[str], board: Path | None = None, done: int = 0) -> None:
        self._columns = ["step", *columns]
        atomic_write(path, _text([self._columns, *self._kept(path, done)]).encode(), force=True)
        self._file = open(path, "a", encoding="utf-8", newline="")  # noqa: SIM115
        self._board: Any = None
        if board is not None and importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(board), purge_step=done + 1 if done else None)

    def line(self, step: int, values: Mapping[str, float]) -> None:
        """Append a line."""
        numbers = [values.get(name, math.nan) for name in self._columns[1:]]
        self._file.write(_text([[str(step), *("" if math.isnan(n) else f"{n:.8g}" for n in numbers)]]))
        self._file.flush()
        if self._board is not None:
            for name, number in values.items():
                if not math.isnan(number):
                    self._board.add_scalar(name, number, step)
            self._board.flush()

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()

    def _kept(self, path: Path, done: int) -> list[list[str]]:
        """The lines of an existing file up to a step."""
        if done == 0 or not os.path.exists(path):
            return []
        with open(path, encoding="utf-8", newline="") as file:
            header, *lines = list(csv.reader(file)) or [[]]
        if header != self._columns:
            raise FileError(
                f"{path}: expected a log of this run, got one with the columns {', '.join(header)}; move it away"
            )
        return [line for line in lines if len(line) == len(header) and line[0].isdigit() and int(line[0]) <= done]


def _text(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
