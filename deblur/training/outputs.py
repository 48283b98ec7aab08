"""The files of a training run, all named after the prior: `prior.pt` has `prior.csv`, `prior.png`, `prior.state/`, ...

    prior.pt             the prior itself: its configuration and the averaged weights
    prior.state/         what a run goes on from, the last two of them: `00001000.pt`, the number of steps done
    prior.csv            the log
    prior.png            samples at the last checkpoint
    prior.tensorboard/   the log for TensorBoard, where that is installed

Every file is written whole or not at all.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deblur import images
from deblur.errors import FileError
from deblur.files import atomic_write, check_writable
from deblur.flows import checkpoint
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

    def check(self, *, resume: bool = False, force: bool = False) -> None:
        """Raise if a file could not be written, or if a run would be replaced without being asked; nothing is changed.

        Raises:
            FileError: a file is there and neither is asked for; nothing is there to be resumed.
        """
        if self.prior.suffix != ".pt":
            raise FileError(
                f"{self.prior}: expected a name ending in .pt, got {self.prior.suffix!r}; name it {self.prior.stem}.pt"
            )
        check_writable(self.prior, force or resume)
        if resume:
            if not self.found():
                raise FileError(f"{self.states}: holds no state to resume from; leave --resume out to start")
            return
        for path in (self.log, self.samples):
            check_writable(path, force)
        if self.states.exists() and not force:
            raise FileError(f"{self.states}: a run is there; go on with --resume, or start again with --force")

    def clear(self) -> None:
        """Remove the files of an earlier run except the prior, which is replaced at the end."""
        for folder in (self.states, self.board):
            if folder.is_dir():
                shutil.rmtree(folder)
        for path in (self.log, self.samples):
            path.unlink(missing_ok=True)

    def found(self) -> list[Path]:
        """The files of states, the newest first."""
        return sorted(self.states.glob("[0-9]*.pt"), reverse=True)

    def save_state(self, done: int, state: dict[str, Any]) -> None:
        """Write a state and forget all but the last two."""
        self.states.mkdir(exist_ok=True)
        target = self.states / f"{done:08d}.pt"
        atomic_write(target, lambda file: torch.save({"kind": _KIND, **state}, file), force=True)
        for old in self.found()[_KEPT:]:
            old.unlink()

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

    def save_prior(self, model: Any, config: dict[str, Any], **extra: Any) -> None:
        """Write the prior."""
        checkpoint.save(self.prior, config, model, force=True, **extra)

    def save_samples(self, pictures: Tensor) -> None:
        """Write pictures (n, C, H, W) side by side."""
        images.write_frames(self.samples, [Frame(pixels=grid(pictures))], force=True)
