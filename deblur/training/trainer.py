"""One training run in memory: a step, a validation, and the state from which both go on bit for bit.

What is random in a step comes from (seed, step) alone, so the state holds no random generator: weights, their average,
the optimizer's moments and the number of steps done are all of it.
"""

from __future__ import annotations

import contextlib
import math
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from deblur import flows
from deblur.errors import ConfigError, DivergedError
from deblur.flows import checkpoint
from deblur.training.average import Average
from deblur.training.crops import Crops, Tiles
from deblur.training.gradients import Gradients
from deblur.training.optimizers import optimizer_of
from deblur.training.pictures import Pictures
from deblur.training.ranks import Ranks
from deblur.training.recipe import Recipe, difference
from deblur.training.schedules import factor
from deblur.training.validation import figures

__all__ = ["Trainer"]


class Trainer:
    """A model in training.

    Args:
        recipe: the model, the objective and how it is trained.
        pictures: the pictures to train on.
        ranks: which process of several this is.
        device: where to compute.

    Attributes:
        done: number of steps done.
        model: the model with its latest weights.
        average: the model with the moving average of the weights.
    """

    def __init__(self, recipe: Recipe, pictures: Pictures, ranks: Ranks, device: torch.device) -> None:
        training = recipe.training
        self.done = 0
        self.objective = recipe.objective_made()
        self._recipe, self._ranks, self._device = recipe, ranks, device
        self._places = ranks.part(training.batch)
        self._schedule = training.schedule_made()
        self._crops = Crops(pictures.training, recipe.data, self.objective, training.seed)
        out, data = pictures.held_out, recipe.data
        self._held_out = Tiles(out, data.validation_size, data.validation_count) if out else None
        torch.manual_seed(training.seed)
        self.model: Any = flows.build(recipe.model).to(device)
        if training.start is not None:
            self._start_from(training.start)
        self._parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self._optimizer = optimizer_of(training.optimizer, self._parameters)
        self._height = float(self._optimizer.param_groups[0]["lr"])
        gpu = device.type == "cuda"
        self._gradients = Gradients(self._loss, self._parameters, graph=gpu)
        self._drawer = ThreadPoolExecutor(1) if gpu else None  # on a CPU, drawing would slow the step down
        self._drawn: dict[int, Future[dict[str, Tensor]]] = {}
        self.average: Average[Any] = Average(self.model, training.ema)

    def _batch(self) -> dict[str, Tensor]:
        """The next step's batch; for a GPU it was drawn while the last step ran."""
        drawn = self._drawn.pop(self.done, None)
        batch = self._crops.batch(self.done, self._places) if drawn is None else drawn.result()
        if self._drawer is not None and self.done + 1 < self._recipe.training.steps:
            following = self.done + 1
            self._drawn = {following: self._drawer.submit(self._crops.batch, following, self._places)}
        return batch

    def initialise(self) -> None:
        """Set what depends on data (ActNorm) from the whole first batch, alike in every process.

        Weights that come from a prior are left alone: they are set already.
        """
        if self._recipe.training.start is not None:
            return
        batch = self._on_device(self._crops.batch(0, range(self._recipe.training.batch)))
        with torch.no_grad():
            self.model.initialise(*self.objective.inputs(batch))
        self._ranks.broadcast(list(self.model.state_dict().values()))
        self.average.model.load_state_dict(self.model.state_dict())

    def _start_from(self, path: str) -> None:
        """Take the weights of a prior.

        Raises:
            FileError: it cannot be read.
            ConfigError: it is of another model.
        """
        read = checkpoint.load(path, self._device)
        found = difference(self._recipe.plain()["model"], read.config)
        if found is not None:
            key, mine, other = found
            raise ConfigError(f"expected model.{key} = {other} as in {path}, got {mine}; make them equal")
        self.model.load_state_dict(read.model.state_dict())

    def advance(self, stop: bool = False) -> tuple[dict[str, float], bool]:
        """Do one step.

        Args:
            stop: whether this process was asked to stop.

        Returns:
            The objective's terms, with `rate` and `gradient` (its norm), and whether any process was asked to stop.

        Raises:
            DivergedError: the loss or its gradient is not finite; the weights are those before the step.
        """
        training = self._recipe.training
        torch.manual_seed(training.seed + 1_000_003 * (self.done + 1) + self._ranks.rank)  # what a model itself draws
        terms = self._gradients(self._on_device(self._batch()))
        said = torch.stack([term.float() for term in terms.values()] + [terms["loss"].new_full((), float(stop))])
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        self._ranks.average([*gradients, said])
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, training.clip or math.inf, foreach=True)
        *values, asked, length = torch.cat([said, norm.detach().float().reshape(1)]).tolist()
        loss = values[list(terms).index("loss")]
        if not (math.isfinite(loss) and math.isfinite(length)):
            what = f"the loss is {loss:g}" if not math.isfinite(loss) else f"the gradient's norm is {length:g}"
            raise DivergedError(f"{what} in step {self.done + 1}")
        rate = self._height * factor(self._schedule, self.done, training.steps, training.warmup)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self.average.update(self.done)
        self.done += 1
        return dict(zip(terms, values, strict=False)) | {"rate": rate, "gradient": length}, asked > 0

    def validate(self) -> dict[str, float]:
        """The objective's figures of the average's weights on what is held out; nothing where nothing is."""
        if self._held_out is None:
            return {}
        return figures(self.objective, self.average.model, self._held_out, ranks=self._ranks, device=self._device)

    def state(self) -> dict[str, Any]:
        """All that `restore` needs."""
        return {
            "done": self.done,
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.done = state["done"]
        self.model.load_state_dict(state["model"])
        self.average.model.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])

    def close(self) -> None:
        """Let go of the thread that draws batches; no step can be done afterwards."""
        if self._drawer is not None:
            self._drawer.shutdown(cancel_futures=True)

    def _loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        with self._autocast():
            return self.objective.loss(self.model, batch)

    def _on_device(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.to(self._device, non_blocking=True) for name, tensor in batch.items()}

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        mixed = self._recipe.training.precision == "bfloat16"
        return torch.autocast(self._device.type, torch.bfloat16) if mixed else contextlib.nullcontext()
