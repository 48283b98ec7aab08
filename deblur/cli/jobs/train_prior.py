"""The work behind `deblur train-prior`: from files and options to a run, and what is said of it.

Imported when the command runs, not before: it needs torch.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from deblur.cli import console
from deblur.device import device_named, using_threads
from deblur.errors import ConfigError
from deblur.training import pictures, ranks
from deblur.training.alone import alone
from deblur.training.outputs import Outputs
from deblur.training.recipe import Recipe
from deblur.training.run import Outcome, check_same
from deblur.training.run import run as train

__all__ = ["run"]


def run(
    sources: Sequence[str],
    config: str,
    output: str,
    *,
    steps: int | None = None,
    seed: int | None = None,
    start: str | None = None,
    resume: bool = False,
    force: bool = False,
    threads: int | None = None,
    device: str = "auto",
    as_json: bool = False,
) -> None:
    """Train, and say how it went.

    Args:
        sources: folders, pictures, arrays.
        config: the YAML file.
        output: the prior.
        steps, seed, start: in place of the configuration's.
        resume: go on with the run that wrote `output`.
        force: overwrite.
        threads: processor threads.
        device: `auto`, `cpu` or `cuda`.
        as_json: say it in JSON.

    Raises:
        KeyboardInterrupt: Ctrl-C; what was done is saved.
    """
    recipe = Recipe.read(config, steps=steps, seed=seed, start=start)
    outputs, place = Outputs(output), device_named(device)
    names = [*sources, config, *([] if recipe.training.start is None else [recipe.training.start])]
    with using_threads(threads), ranks.joined(place) as processes, ExitStack() as held:
        processes.once(lambda: held.enter_context(alone(outputs.prior)))
        processes.once(lambda: outputs.check(resume=resume, force=force, read=names))
        state = processes.once(outputs.load_state) if resume else None
        skip = console.note if processes.first else None
        read = pictures.read(sources, recipe.data, skip)
        if state is not None:
            _check_same(recipe, read, state, steps is not None, config)
        label = Path(output).name
        with console.Bar(label) as bar, _asked_to_stop(alone=processes.size == 1) as stop:
            on_step = bar if processes.first else None
            outcome = train(
                recipe, read, outputs, state=state, ranks=processes, device=place, on_step=on_step, stop=stop
            )
    if processes.first:
        _say(outcome, output, as_json)
    if outcome.status == "stopped":
        raise KeyboardInterrupt


def _check_same(
    recipe: Recipe, read: pictures.Pictures, state: dict[str, object], steps_given: bool, config: str
) -> None:
    try:
        check_same(recipe, read, state, free=("training.steps",) if steps_given else ())
    except ConfigError as error:
        hint = ", or give --steps" if str(error).startswith("expected training.steps ") else ""
        raise ConfigError(f"{config}: {error}{hint}") from None


@contextmanager
def _asked_to_stop(*, alone: bool) -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed meanwhile: the step that runs is finished first. A second time it interrupts at once.

    Of several processes each gets the signal from the terminal and again from `torchrun`, so there it never does.
    """
    asked: list[bool] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked and alone:
            raise KeyboardInterrupt
        asked.append(True)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


def _say(outcome: Outcome, output: str, as_json: bool) -> None:
    if as_json:
        record = {"output": output, "status": outcome.status, "steps": outcome.steps, "seconds": outcome.seconds}
        console.json_line({**record, **outcome.figures})
        return
    figures = [f"{name} {value:.4f}" for name, value in outcome.figures.items()]
    parts = [f"{outcome.steps} steps", *figures, f"{outcome.seconds:.0f} s"]
    if outcome.status == "stopped":
        console.note(f"{output}: stopped after {', '.join(parts)}; go on with --resume")
    else:
        console.line(f"{output}: {', '.join(parts)}")
