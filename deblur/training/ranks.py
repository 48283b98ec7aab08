"""Several processes that train one model, as `torchrun` starts them; one process alone is the case of one.

Each takes its part of every batch; once the gradients are computed, one all-reduce of a flat buffer averages them. That
is right whatever autograd did before, a double backward included, and needs no wrapper of the model.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from deblur.errors import DeblurError, OptionError

__all__ = ["Ranks", "joined"]

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """Which process this is, of how many.

    Example:
        >>> Ranks().part(6), Ranks(1, 2).part(6)
        (range(0, 6), range(3, 6))
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and reports progress."""
        return self.rank == 0

    def part(self, batch: int) -> range:
        """This process's places in a batch.

        Raises:
            OptionError: the batch cannot be divided evenly.
        """
        if batch % self.size:
            raise OptionError(f"expected a batch that {self.size} processes share evenly, got {batch}")
        each = batch // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor by its mean over the processes."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor by that of the first process."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def once(self, work: Callable[[], T]) -> T:
        """Let the first process do the work; its result, or its failure, is everyone's.

        Raises:
            DeblurError: what the work raises.
        """
        if self.size == 1:
            return work()
        said: list[object] = [None, None]
        if self.first:
            try:
                said[0] = work()
            except DeblurError as error:
                said[1] = error
        dist.broadcast_object_list(said, 0)
        if isinstance(said[1], DeblurError):
            raise said[1]
        return said[0]  # type: ignore[return-value]


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """The processes that `torchrun` started, or this one alone: gloo on processors, NCCL on GPUs."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks()
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
