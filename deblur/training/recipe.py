"""What a training run is, as a configuration file says it: a model, an objective, data and the training itself.

    model: {...}                                # given to `deblur.flows.build`
    objective: {name: denoising, weight: 2}     # one of OBJECTIVES
    data: {channels: 1, crop: 48}               # `Data`
    training: {steps: 20000, batch: 16}         # `Training`

Reading is strict: an unknown name is an error that names the closest known one, and a value out of range is an error.

Example:
    >>> recipe = config.build(Recipe, {"model": {}, "objective": {"name": "denoising"}, "training": {"steps": 10}})
    >>> recipe.data.crop, recipe.training.steps
    (48, 10)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from deblur import config, flows
from deblur.errors import ConfigError, OptionError
from deblur.training.objectives import OBJECTIVES
from deblur.training.objectives.objective import Objective
from deblur.training.optimizers import optimizer_of
from deblur.training.registry import chosen
from deblur.training.schedules import SCHEDULES, Schedule

__all__ = ["Data", "Recipe", "Training", "difference"]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which crops a prior is trained on.

    Args:
        channels: 1 for gray (colour is turned into it, Rec. 601), 3 for colour (gray pictures are left out).
        crop: pixels a side.
        factors: by how much pictures are made smaller. One factor is drawn for every crop; a factor that is given twice
            is drawn twice as often.
        balance: `pixels`: every place of every picture is as likely; `pictures`: every picture is; `sides`, between the
            two: a picture is drawn in proportion to the root of its places.
        light: the share of crops that are decoded by the curve of sRGB, into values in proportion to light, which is
            where a blur is undone by default; the others stay as they are stored.
        flips: mirror half of the crops.
        rotations: turn them by a multiple of 90 degrees.
        validation: what is held out: a share of each source (evenly spread over the files of a folder, the end of an
            array), or the names of files. 0 holds out nothing.
        validation_crop: pixels a side of a held-out crop; the training's by default.
        validation_count: held-out crops, evenly spread over what is held out.
    """

    channels: int = 1
    crop: int = 48
    factors: tuple[float, ...] = (1.0,)
    balance: Literal["pixels", "sides", "pictures"] = "pixels"
    light: float = 0.0
    flips: bool = True
    rotations: bool = True
    validation: float | tuple[str, ...] = 0.05
    validation_crop: int | None = None
    validation_count: int = 64

    def __post_init__(self) -> None:
        _expect(self.channels in (1, 3), "channels of 1 or 3", self.channels)
        _expect(self.crop >= 1, "a crop of 1 or more", self.crop)
        _expect(bool(self.factors), "at least one factor", "none")
        _expect(all(1 <= factor <= 1000 for factor in self.factors), "factors from 1 to 1000", list(self.factors))
        _expect(0 <= self.light <= 1, "a share of light from 0 to 1", self.light)
        if isinstance(self.validation, float | int):
            _expect(0 <= self.validation < 1, "a validation share from 0 to below 1", self.validation)
        _expect(self.validation_size >= 1, "a validation_crop of 1 or more", self.validation_crop)
        _expect(self.validation_count >= 1, "a validation_count of 1 or more", self.validation_count)

    @property
    def validation_size(self) -> int:
        """Pixels a side of a held-out crop."""
        return self.crop if self.validation_crop is None else self.validation_crop


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a prior is trained.

    Args:
        steps: number of optimizer steps.
        batch: crops in a step, all processes together.
        seed: seed of the initial weights, the crops and the noise.
        start: a prior of the same model whose weights to start from, in place of random ones, to train it further or on
            other pictures.
        optimizer: one of OPTIMIZERS and its settings, `{name: adam, lr: 1e-3}`.
        schedule: one of SCHEDULES and its settings; it gives the factor of the learning rate.
        warmup: steps in which the learning rate grows linearly to its value.
        clip: the norm that a gradient is limited to; None for no limit.
        ema: decay of the exponential moving average of the weights, which is validated and saved; 0 for the weights
            themselves. Early on it forgets faster: min(ema, (1 + step) / (10 + step)).
        precision: `bfloat16` computes in mixed precision (autocast), where the processor is faster in it.
        log_every: steps between two lines of the log.
        validate_every: steps between two validations.
        checkpoint_every: steps between two checkpoints.
        samples: pictures in the grid that goes with every checkpoint; 0 for no grid.
    """

    steps: int = 10000
    batch: int = 16
    seed: int = 0
    start: str | None = None
    optimizer: Mapping[str, Any] = field(default_factory=lambda: {"name": "adam", "lr": 1e-3})
    schedule: Mapping[str, Any] = field(default_factory=lambda: {"name": "cosine"})
    warmup: int = 0
    clip: float | None = None
    ema: float = 0.999
    precision: Literal["float32", "bfloat16"] = "float32"
    log_every: int = 100
    validate_every: int = 1000
    checkpoint_every: int = 1000
    samples: int = 16

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "log_every", "validate_every", "checkpoint_every"):
            _expect(getattr(self, name) >= 1, f"{name} of 1 or more", getattr(self, name))
        _expect(self.warmup >= 0, "warmup of 0 or more", self.warmup)
        _expect(0 <= self.samples <= 1024, "samples from 0 to 1024", self.samples)
        _expect(0 <= self.seed < 2**32, "a seed from 0 to 2^32 - 1", self.seed)
        _expect(self.clip is None or self.clip > 0, "a clip above 0", self.clip)
        _expect(0 <= self.ema < 1, "an ema from 0 to below 1", self.ema)
        self.schedule_made()

    def schedule_made(self) -> Schedule:
        """The schedule."""
        return chosen(SCHEDULES, self.schedule, "schedule")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole run.

    Args:
        model: given to `deblur.flows.build`.
        objective: one of OBJECTIVES and its settings.
        data: the crops to train on.
        training: the steps and their settings.
    """

    model: Mapping[str, Any]
    objective: Mapping[str, Any]
    data: Data = field(default_factory=Data)
    training: Training = field(default_factory=Training)

    def __post_init__(self) -> None:
        self.objective_made()

    @classmethod
    def read(cls, path: str, *, steps: int | None = None, seed: int | None = None, start: str | None = None) -> Recipe:
        """The recipe in a YAML file, with some settings given by hand.

        Raises:
            FileError, ConfigError: see `deblur.config.load`; a part that is missing.
            OptionError: a number given by hand that is refused.
        """
        values = config.read(path)
        for part in ("model", "objective"):
            if part not in values:
                raise ConfigError(f"{path}: expected a part `{part}:`, got none; configs/priors holds files to copy")
        recipe = config.load(cls, path)
        try:  # what only the model and the optimizer themselves can tell, before any picture is read
            with torch.random.fork_rng():
                optimizer_of(recipe.training.optimizer, flows.build(recipe.model).parameters())
        except OptionError as error:
            raise ConfigError(f"{path}: {error}") from error
        training = recipe.training
        training = training if steps is None else dataclasses.replace(training, steps=steps)
        training = training if seed is None else dataclasses.replace(training, seed=seed)
        training = training if start is None else dataclasses.replace(training, start=start)
        return dataclasses.replace(recipe, training=training)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Recipe:
        """The recipe that `plain` has given."""
        return config.build(cls, plain)

    def plain(self) -> dict[str, Any]:
        """Numbers, texts, lists and mappings alone, as a file holds them."""
        made: dict[str, Any] = _plain(dataclasses.asdict(self))
        return made

    def objective_made(self) -> Objective:
        """The objective."""
        return chosen(OBJECTIVES, self.objective, "objective")


def difference(here: Mapping[str, Any], there: Mapping[str, Any], where: str = "") -> tuple[str, Any, Any] | None:
    """The first key in which two plain recipes differ, with both values, or None.

    Example:
        >>> difference({"a": {"b": 1}}, {"a": {"b": 2}})
        ('a.b', 1, 2)
    """
    for key in [*here, *(key for key in there if key not in here)]:
        mine, other = here.get(key), there.get(key)
        if isinstance(mine, Mapping) and isinstance(other, Mapping):
            found = difference(mine, other, f"{where}{key}.")
            if found is not None:
                return found
        elif mine != other:
            return where + key, mine, other
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _expect(holds: bool, expected: str, got: object) -> None:
    if not holds:
        raise OptionError(f"expected {expected}, got {got}")
