"""The gradients of one step: computed as written, or on a GPU replayed from a graph of what the first steps launched.

A step of a small model is a thousand short kernels, and a GPU waits for each to be launched; a CUDA graph launches them
all at once, and takes the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

__all__ = ["Gradients"]

Batch = dict[str, Tensor]
Terms = dict[str, Tensor]

_EAGER = 3
"""Steps before the graph: in them libraries choose their algorithms and reserve memory."""


class Gradients:
    """Called with a batch: computes the terms of its loss, and puts the gradients of the term `loss` into the
    parameters.

    Args:
        loss: terms of a batch, tensors of one number.
        parameters: the parameters that the loss depends on; a call replaces their gradients.
        graph: whether to replay a graph after the first batches, all of which have the same shapes. The terms and
            gradients are then in the same memory every time. What a loss draws must come from torch's own generators.
            A loss that waits for the device cannot be made a graph, and is computed as written.

    Example:
        >>> weight = nn.Parameter(torch.tensor(2.0))
        >>> gradients = Gradients(lambda batch: {"loss": weight * batch["x"].sum()}, [weight], graph=False)
        >>> gradients({"x": torch.ones(3)})["loss"].item(), weight.grad.item()
        (6.0, 3.0)
    """

    def __init__(self, loss: Callable[[Batch], Terms], parameters: Sequence[nn.Parameter], *, graph: bool) -> None:
        self._loss, self._parameters = loss, parameters
        self._before = _EAGER if graph else math.inf
        self._graph: torch.cuda.CUDAGraph | None = None
        self._batch: Batch = {}
        self._terms: Terms = {}

    def __call__(self, batch: Batch) -> Terms:
        """Return the terms, detached."""
        if self._before > 0:
            self._before -= 1
            return self._computed(batch)
        if self._graph is None:
            self._graph = self._captured(batch)
        if self._graph is None:
            self._before = math.inf
            return self._computed(batch)
        for name, tensor in batch.items():
            self._batch[name].copy_(tensor)
        self._graph.replay()
        return self._terms

    def _captured(self, batch: Batch) -> torch.cuda.CUDAGraph | None:
        """The graph of a batch's loss and gradients, or None where there can be none."""
        self._batch = {name: tensor.clone() for name, tensor in batch.items()}
        graph, here = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            with torch.cuda.graph(graph):
                self._terms = self._computed(self._batch)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            torch.cuda.set_stream(here)  # a capture that failed left the other one
            return None
        return graph

    def _computed(self, batch: Batch) -> Terms:
        for parameter in self._parameters:
            parameter.grad = None
        terms = self._loss(batch)
        terms["loss"].backward()  # type: ignore[no-untyped-call]
        return {name: term.detach() for name, term in terms.items()}
