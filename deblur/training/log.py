"""The log of a run: a line of a CSV file every few steps, and the same for TensorBoard where that is installed."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from deblur.errors import FileError
from deblur.files import atomic_write

__all__ = ["Log"]


class Log:
    """Lines of numbers by name, the first of which is `step`.

    A name that a line does not have is left empty there. With `done` an existing file is continued from that step:
    later lines, which a run wrote after the state that it goes on from, are taken out. A log that is `held` keeps its
    lines to itself until `save` and `begin`, so that the log of an earlier run may stay until then.

    Args:
        path: the CSV file.
        columns: the names, after `step`.
        board: the folder for TensorBoard.
        done: steps done.
        held: whether it is written by `save` and begun by `begin` later.

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

    def __init__(
        self, path: Path, columns: Sequence[str], board: Path | None = None, done: int = 0, *, held: bool = False
    ) -> None:
        self._path, self._columns, self._place, self._done = path, ["step", *columns], board, done
        self._rows = self._kept(path, done)
        self._unheard: list[tuple[int, Mapping[str, float]]] = []
        self._file: IO[str] | None = None
        self._board: Any = None
        if not held:
            self.save(force=True)
            self.begin()

    @property
    def held(self) -> bool:
        """Whether it was not begun yet."""
        return self._file is None

    def save(self, *, force: bool) -> None:
        """Write the file, with all lines that were held."""
        atomic_write(self._path, _text([self._columns, *self._rows]).encode(), force=force)

    def begin(self) -> None:
        """From now on write every line at once."""
        self._file = open(self._path, "a", encoding="utf-8", newline="")  # noqa: SIM115
        if self._place is not None and importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(self._place), purge_step=self._done + 1 if self._done else None)
        for step, values in self._unheard:
            self._tell(step, values)

    def line(self, step: int, values: Mapping[str, float]) -> None:
        """Append a line.

        Raises:
            FileError: it cannot be written.
        """
        numbers = [values.get(name, math.nan) for name in self._columns[1:]]
        row = [str(step), *("" if math.isnan(n) else f"{n:.8g}" for n in numbers)]
        if self._file is None:
            self._rows.append(row)
            self._unheard.append((step, values))
            return
        try:
            self._file.write(_text([row]))
            self._file.flush()
        except OSError as error:
            raise FileError(f"{self._path}: could not be written ({error.strerror or error})") from error
        self._tell(step, values)

    def close(self) -> None:
        """Close the files."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # of a full disk, which `line` has told
                self._file.close()
        if self._board is not None:
            self._board.close()

    def _tell(self, step: int, values: Mapping[str, float]) -> None:
        if self._board is None:
            return
        for name, number in values.items():
            if not math.isnan(number):
                self._board.add_scalar(name, number, step)
        self._board.flush()

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
