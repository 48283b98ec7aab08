"""The files of a training run, all named after the prior: `prior.pt` has `prior.csv`, `prior.png`, `prior.state/`, ...

    prior.pt             the prior itself: its configuration and the averaged weights
    prior.state/         what a run goes on from, the last two of them: `00001000.pt`, the number of steps done
    prior.csv            the log
    prior.png            samples at the last checkpoint
    prior.tensorboard/   the log for TensorBoard, where that is installed

Every file is written whole or not at all, and those of a checkpoint are written together. What an earlier run left is
replaced with the first checkpoint, not before.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deblur import images
from deblur.errors import FileError
from deblur.files import atomic_write, check_writable, write_together
from deblur.images import Frame
from deblur.training.grid import grid

__all__ = ["Outputs"]

_KEPT = 2
_KIND = "deblur training state 1"


class Outputs:
    """Names of files, and how they are written.

    Args:
        prior: the file of the prior.

    Example:
        >>> Outputs("priors/gray.pt").log
        PosixPath('priors/gray.csv')
    """

    def __init__(self, prior: str) -> None:
        self.prior = Path(prior)
        self.states = self.prior.with_suffix(".state")
        self.log = self.prior.with_suffix(".csv")
        self.samples = self.prior.with_suffix(".png")
        self.board = self.prior.with_suffix(".tensorboard")

    def check(self, *, resume: bool = False, force: bool = False, read: Iterable[str] = ()) -> None:
        """Raise if a file could not be written, or if a run would be replaced without being asked; nothing is changed.

        Args:
            resume: whether a run is to be continued.
            force: whether files may be replaced.
            read: files and folders that are read.

        Raises:
            FileError: a file is there and neither is asked for; nothing is there to be resumed; a file would be
                written over what is read, or into a folder that is.
        """
        if self.prior.suffix != ".pt":
            raise FileError(
                f"{self.prior}: expected a name ending in .pt, got {self.prior.suffix!r}; name it {self.prior.stem}.pt"
            )
        self._check_apart(read)
        check_writable(self.prior, force or resume)
        if resume:
            if not self.found():
                raise FileError(f"{self.states}: holds no state to resume from; leave --resume out to start")
            return
        for path in (self.log, self.samples):
            check_writable(path, force)
        if self.states.exists() and not force:
            raise FileError(f"{self.states}: a run is there; go on with --resume, or start again with --force")

    def earlier(self) -> bool:
        """Whether a run left files here."""
        return any(path.exists() for path in (self.prior, self.log, self.samples, self.states, self.board))

    def discard(self) -> None:
        """Remove the log of a run that came to no checkpoint."""
        self.log.unlink(missing_ok=True)
        shutil.rmtree(self.board, ignore_errors=True)

    def found(self) -> list[Path]:
        """The files of states, the newest first."""
        return sorted(self.states.glob("[0-9]*.pt"), reverse=True)

    def save(
        self,
        done: int,
        *,
        prior: Callable[..., object],
        state: dict[str, Any],
        samples: Tensor | None = None,
        log: Callable[..., object] | None = None,
        first: bool = False,
    ) -> None:
        """Write a checkpoint, all of its files or none, and forget the states before the last two.

        Args:
            done: steps done.
            prior: writes the prior, called with `path` and `force=`.
            state: what the run goes on from.
            samples: pictures (n, C, H, W), or None.
            log: writes the log, called with `force=`, if it is not there yet.
            first: whether it is the run's first one, with which all that an earlier run left goes.
        """
        target = self.states / f"{done:08d}.pt"
        files: list[tuple[str, Callable[..., object]]] = [] if log is None else [(str(self.log), log)]
        files.append((str(self.prior), partial(prior, self.prior)))
        if samples is not None:
            drawn = [Frame(pixels=grid(samples))]
            files.append((str(self.samples), partial(images.write_frames, self.samples, drawn)))
        content = {"kind": _KIND, **state}
        files.append((str(target), partial(atomic_write, target, lambda file: torch.save(content, file))))
        write_together(files, force=True)  # the state last: once it is there, all is
        if not first:
            self._remove(self.found()[_KEPT:])
            return
        self._remove(old for old in self.found() if old != target)
        if log is not None:
            shutil.rmtree(self.board, ignore_errors=True)
        if samples is None:
            self.samples.unlink(missing_ok=True)

    def load_state(self) -> dict[str, Any]:
        """The newest state that can be read.

        Raises:
            FileError: there is none.
        """
        for path in self.found():
            with contextlib.suppress(Exception):  # torch raises whatever a broken file makes it trip over
                state = torch.load(path, map_location="cpu", weights_only=True)
                if state["kind"] == _KIND:
                    return dict(state)
        raise FileError(f"{self.states}: no state in it can be read; start again with --force")

    def _check_apart(self, read: Iterable[str]) -> None:
        own = (self.prior, self.log, self.samples, self.states, self.board)
        for source in (name for name in read if os.path.exists(name)):
            there = Path(os.path.realpath(source))
            for path in own:
                here = Path(os.path.realpath(path))
                if here == there or (there in here.parents and there.is_dir()):
                    what = (
                        "is read and would be written too" if here == there else f"would lie in {source}, which is read"
                    )
                    raise FileError(f"{path}: {what}; choose another -o")
                if here in there.parents:
                    raise FileError(f"{path}: would be replaced, and {source} in it is read; choose another -o")

    @staticmethod
    def _remove(states: Iterable[Path]) -> None:
        for state in states:
            state.unlink()
