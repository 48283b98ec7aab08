"""A step's gradients as written, and what leads to a graph, with a stand-in that replays by computing anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from deblur.training.gradients import Gradients

Loss = Callable[[dict[str, Tensor]], dict[str, Tensor]]


class Device:
    """What of torch.cuda a capture asks for."""

    def __init__(self) -> None:
        self.replays: list[Callable[[], None]] = []
        self.streams: list[object] = []
        self.replayed = 0

    def replay(self) -> None:
        self.replayed += 1
        self.replays[0]()

    @contextmanager
    def graph(self, _: object) -> Iterator[None]:
        yield


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    device = Device()
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: device)
    monkeypatch.setattr(torch.cuda, "graph", device.graph)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: "own")
    monkeypatch.setattr(torch.cuda, "set_stream", device.streams.append)
    return device


def linear(weight: Tensor, seen: list[dict[str, Tensor]]) -> Loss:
    def loss(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        seen.append(batch)
        return {"loss": weight * batch["x"].sum(), "size": batch["x"].new_tensor(len(batch["x"]))}

    return loss


def test_gradients_are_those_of_the_last_batch_alone() -> None:
    weight = torch.nn.Parameter(torch.tensor(2.0))
    gradients = Gradients(linear(weight, []), [weight], graph=False)
    for factor in range(1, 7):
        terms = gradients({"x": torch.full((3,), float(factor))})
        assert weight.grad is not None
        assert (terms["loss"].item(), terms["size"].item(), weight.grad.item()) == (6 * factor, 3, 3 * factor)
        assert not terms["loss"].requires_grad


def test_a_graph_replays_on_the_batch_it_is_given(device: Device) -> None:
    weight, seen = torch.nn.Parameter(torch.tensor(2.0)), list[dict[str, Tensor]]()
    gradients = Gradients(linear(weight, seen), [weight], graph=True)
    batches = [{"x": torch.full((3,), float(factor))} for factor in range(1, 7)]
    held = []
    device.replays.append(lambda: held.append(seen[-1]["x"][0].item()))
    for batch in batches:
        gradients(batch)
    assert len(seen) == 4  # three as written, one captured
    assert [batch["x"] is given["x"] for batch, given in zip(seen, batches, strict=False)] == [True, True, True, False]
    assert held == [4.0, 5.0, 6.0]  # the captured batch's memory holds each later one
    assert [batch["x"][0].item() for batch in batches] == [1, 2, 3, 4, 5, 6]


def test_what_cannot_be_captured_is_computed_as_written(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def failing(_: object) -> Iterator[None]:
        yield
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "graph", failing)
    weight, seen = torch.nn.Parameter(torch.tensor(2.0)), list[dict[str, Tensor]]()
    gradients = Gradients(linear(weight, seen), [weight], graph=True)
    for factor in range(1, 7):
        terms = gradients({"x": torch.full((3,), float(factor))})
        assert weight.grad is not None
        assert (terms["loss"].item(), weight.grad.item()) == (6 * factor, 3 * factor)
    assert len(seen) == 7  # tried once
    assert device.streams == ["own"]
    assert device.replayed == 0


def test_memory_that_is_short_is_no_reason_to_go_on(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def short(_: object) -> Iterator[None]:
        yield
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(torch.cuda, "graph", short)
    weight = torch.nn.Parameter(torch.tensor(2.0))
    gradients = Gradients(linear(weight, []), [weight], graph=True)
    for _ in range(3):
        gradients({"x": torch.ones(3)})
    with pytest.raises(torch.OutOfMemoryError):
        gradients({"x": torch.ones(3)})
