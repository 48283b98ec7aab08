"""A training run from beginning to end, or from where it was interrupted: steps, log, validation, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch

from deblur.errors import ConfigError, DivergedError, FileError
from deblur.flows import checkpoint
from deblur.progress import OnStep, Step
from deblur.training.log import Log
from deblur.training.outputs import Outputs
from deblur.training.pictures import Pictures
from deblur.training.ranks import Ranks
from deblur.training.recipe import Recipe, difference
from deblur.training.trainer import Trainer

__all__ = ["Outcome", "check_same", "run"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: `done`, or `stopped` if it was asked to stop.
        steps: number of steps done, earlier parts of the run included.
        seconds: time taken, earlier parts of the run included.
        figures: the figures of the last validation.
    """

    status: Literal["done", "stopped"]
    steps: int
    seconds: float
    figures: dict[str, float]


def run(
    recipe: Recipe,
    pictures: Pictures,
    outputs: Outputs,
    *,
    state: dict[str, Any] | None = None,
    ranks: Ranks | None = None,
    device: torch.device | None = None,
    on_step: OnStep | None = None,
    stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Train, and write the files of `outputs` on the way.

    Args:
        recipe: the model, the objective and the training.
        pictures: the pictures to train on.
        outputs: the files; only the first of several processes writes them.
        state: a state to go on from (`Outputs.load_state`, checked by `check_same`), or None.
        ranks: which process of several this is.
        device: where to compute.
        on_step: told of every step.
        stop: asked after every step; when it says yes in any process, the state is saved and all stop.

    Raises:
        DivergedError: a loss or gradient is not finite; the files are those of the last checkpoint.
        DeblurError: the model, the data and the recipe do not fit together, or a file cannot be written.
    """
    with torch.random.fork_rng():
        running = _Run(recipe, pictures, outputs, ranks or Ranks(), device or torch.device("cpu"), state)
        try:
            return running.go(on_step or (lambda _: None), stop or (lambda: False))
        except BaseException:
            running.discard()
            raise
        finally:
            running.close()


def check_same(recipe: Recipe, pictures: Pictures, state: dict[str, Any], *, free: tuple[str, ...] = ()) -> None:
    """Refuse to go on from a state of another run.

    Args:
        recipe: as asked for now.
        pictures: as read now.
        state: as saved.
        free: parts that may have changed, such as `training.steps`, because they were asked for by hand.

    Raises:
        ConfigError: the recipe differs.
        FileError: the pictures differ.
    """
    before = dict(state["recipe"])
    here = recipe.plain()
    if "training.steps" in free:
        before["training"] = {**before["training"], "steps": recipe.training.steps}
    found = difference(here, before)
    if found is not None:
        key, mine, other = found
        raise ConfigError(f"expected {key} = {other} as in the run to be resumed, got {mine}; make them equal")
    if state["pictures"] != pictures.fingerprint():
        raise FileError("expected the pictures of the run to be resumed, got others; name the same ones")


class _Run:
    """What a run holds while it goes."""

    def __init__(
        self,
        recipe: Recipe,
        pictures: Pictures,
        outputs: Outputs,
        ranks: Ranks,
        device: torch.device,
        state: dict[str, Any] | None,
    ) -> None:
        self._recipe, self._outputs, self._ranks = recipe, outputs, ranks
        self._fingerprint = pictures.fingerprint()
        self._trainer = Trainer(recipe, pictures, ranks, device)
        self._figures: dict[str, float] = {}
        self._before, self._start = 0.0, time.perf_counter()
        if state is None:
            self._trainer.initialise()
        else:
            self._trainer.restore(state)
            self._before, self._figures = state["seconds"], dict(state["figures"])
        self._log: Log | None = None
        self._new = state is None  # and not saved yet
        self._sums: list[dict[str, float]] = []
        if ranks.first:
            objective = self._trainer.objective
            columns = ["seconds", "rate", "gradient", *objective.terms]
            validation = [f"validation_{name}" for name in objective.figures]
            held = self._new and outputs.earlier()
            self._log = Log(outputs.log, [*columns, *validation], outputs.board, self._trainer.done, held=held)

    def go(self, on_step: OnStep, stop: Callable[[], bool]) -> Outcome:
        trainer, training = self._trainer, self._recipe.training
        on_step(Step(trainer.done, training.steps))
        stopped = False
        while trainer.done < training.steps and not stopped:
            try:
                terms, stopped = trainer.advance(stop())
            except DivergedError as error:
                raise DivergedError(f"{error}; {self._left()}; lower the learning rate or clip the gradient") from None
            self._sums.append(terms)
            self._after(trainer.done, stopped)
            on_step(Step(trainer.done, training.steps, self._text(terms)))
        finished = trainer.done >= training.steps
        if self._ranks.first and not self._outputs.prior.exists():  # of a run that was done already
            self._save(trainer.done, samples=False)
        return Outcome(
            status="done" if finished else "stopped",
            steps=trainer.done,
            seconds=self._seconds(),
            figures=self._figures,
        )

    def discard(self) -> None:
        """Leave nothing of a run that came to no checkpoint."""
        if self._new and self._log is not None and not self._log.held:
            self._log.close()
            self._outputs.discard()

    def close(self) -> None:
        self._trainer.close()
        if self._log is not None:
            self._log.close()

    def _after(self, done: int, stopped: bool) -> None:
        """What is due after a step: log, validation, checkpoint."""
        training = self._recipe.training
        last = done == training.steps
        line = {}
        if done % training.log_every == 0 or last:
            line = self._means() | {"seconds": self._seconds()}
        if done % training.validate_every == 0 or last:
            self._figures = self._trainer.validate()
            line |= {f"validation_{name}": value for name, value in self._figures.items()}
        if line and self._log is not None:
            try:
                self._log.line(done, line)
            except FileError as error:
                raise FileError(f"{error}; {self._left()}") from error
        if self._ranks.first and (done % training.checkpoint_every == 0 or last or stopped):
            self._save(done, samples=not stopped or last)

    def _save(self, done: int, samples: bool) -> None:
        recipe, model = self._recipe, self._trainer.average.model
        about: dict[str, Any] = {"recipe": recipe.plain(), "pictures": self._fingerprint}
        about |= {"seconds": self._seconds(), "figures": self._figures}
        pictures = None
        if samples and recipe.training.samples:
            shape = (recipe.data.channels, recipe.data.crop, recipe.data.crop)
            generator = torch.Generator(next(model.parameters()).device).manual_seed(recipe.training.seed)
            pictures = self._trainer.objective.sample(model, recipe.training.samples, shape, 1.0, generator)
        log = self._log if self._log is not None and self._log.held else None
        try:
            self._outputs.save(
                done,
                prior=partial(
                    checkpoint.save, model_config=dict(recipe.plain()["model"]), model=model, steps=done, **about
                ),
                samples=pictures,
                state={**self._trainer.state(), **about},
                log=None if log is None else log.save,
                first=self._new,
            )
        except FileError as error:
            told = str(error).removesuffix("; nothing was left behind")
            again = "start again" if self._new else "go on with --resume"
            raise FileError(f"{told}; {self._left()}; make room and {again}") from error
        self._new = False
        if log is not None:
            log.begin()

    def _means(self) -> dict[str, float]:
        """The terms of the steps since the last line, averaged."""
        sums, self._sums = self._sums, []
        return {name: sum(terms[name] for terms in sums) / len(sums) for name in sums[0]}

    def _seconds(self) -> float:
        return self._before + time.perf_counter() - self._start

    def _text(self, terms: dict[str, float]) -> str:
        shown = {"loss": terms["loss"]} | self._figures
        return ", ".join(f"{name} {value:.4g}" for name, value in shown.items())

    def _left(self) -> str:
        found = self._outputs.found()
        if self._new:
            return "no checkpoint was written before"
        return f"the last good state is {found[0]}" if found else "no state is there"
