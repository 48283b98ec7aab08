"""Bad checkpoints: cut, with bits turned over, and with right checksums around wrong contents."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any

import torch
from faults.fault import Fault, flipped, spread
from faults.formats import sample
from faults.recipes_kind import ODD, RECIPE, changed, pictures, places

__all__ = ["content", "priors", "saved"]


@cache
def content() -> dict[str, Any]:
    """What a small good prior holds."""
    from deblur.flows import build

    recipe = {**RECIPE, "training": {"steps": 1}}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = build(RECIPE["model"]).state_dict()
    extra = {"recipe": recipe, "steps": 1}
    return {"format": "deblur flow", "version": 1, "config": RECIPE["model"], "weights": dict(weights), "extra": extra}


def saved(values: Any) -> bytes:
    file = io.BytesIO()
    torch.save(values, file)
    return file.getvalue()


def _repacked(data: bytes, random: Random, member: str) -> bytes:
    """The archive with some bits of one member turned over and its checksums made right again."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            held = old.read(name)
            new.writestr(
                name,
                flipped(held, random, random.choice([1, 2, 4])) if name.endswith(member) and len(held) > 5 else held,
            )
    return made.getvalue()


def priors(seed: int) -> Iterator[Fault]:
    """Files for `sample`, `denoise`, `apply --method flow`, `evaluate-prior` and `train-prior --start`."""
    random = Random(seed)
    good, whole = saved(content()), content()
    inputs: list[tuple[str, bytes]] = [("good", good)]
    inputs += [(f"cut to {length}", good[:length]) for length in spread(len(good), 6)]
    inputs += [(f"flips {i} seed {seed}", flipped(good, random, random.choice([1, 4]))) for i in range(10)]
    inputs += [(f"pickle flips {i} seed {seed}", _repacked(good, random, "data.pkl")) for i in range(60)]
    inputs += [
        (f"{name} flips seed {seed}", _repacked(good, random, name))
        for name in ("version", "byteorder", "data/0", "format")
    ]
    for path in places({key: value for key, value in whole.items() if key != "weights"}):
        for value in random.sample(ODD, 2):
            inputs.append((f"{'.'.join(path)}={str(value)[:40]}", saved(changed(whole, path, value))))
    weights = whole["weights"]
    first = next(iter(weights))
    for what, value in (
        ("none", None),
        ("a number", 3),
        ("a list", [1.0]),
        ("bool", torch.ones(weights[first].shape, dtype=torch.bool)),
        ("complex", torch.ones(weights[first].shape, dtype=torch.complex64)),
        ("nan", torch.full(weights[first].shape, torch.nan)),
        ("huge", torch.full(weights[first].shape, 1e38)),
        ("sparse", torch.eye(2).to_sparse()),
    ):
        inputs.append((f"weight of {what}", saved({**whole, "weights": {**weights, first: value}})))
    for what, values in (("nan", torch.nan), ("zero", 0.0), ("infinite", torch.inf), ("large", 1e20)):
        every = {
            name: torch.full_like(value, values) if value.is_floating_point() else value
            for name, value in weights.items()
        }
        inputs.append((f"weights all {what}", saved({**whole, "weights": every})))
    inputs += [
        ("weights of none", saved({**whole, "weights": None})),
        ("weights in a list", saved({**whole, "weights": [1]})),
    ]
    inputs += [
        ("a tensor", saved(torch.ones(3))),
        ("a list", saved([1])),
        ("no extra", saved({**whole, "extra": {}})),
    ]
    inputs += [("pickle alone", pickle.dumps({"a": 1})), ("a picture", sample("PNG")), ("zip", pictures())]
    commands = (
        ("sample", "p.pt", "-n", "2", "-o", "o.png"),
        ("denoise", "good.png", "--prior", "p.pt", "-o", "o.png"),
        ("apply", "good.png", "-k", "gaussian:sigma=1", "--method", "flow", "--prior", "p.pt", "-o", "o.png"),
        ("evaluate-prior", "p.pt", "x.npz"),
        ("train-prior", "x.npz", "--config", "r.yaml", "--start", "p.pt", "-o", "n.pt"),
    )
    from faults.recipes_kind import dump

    for index, (what, data) in enumerate(inputs):
        files = {"p.pt": data, "good.png": sample("PNG:L"), "x.npz": pictures(), "r.yaml": dump(RECIPE)}
        yield Fault(what, commands[index % len(commands)], files, ("o.png", "n.pt", "n.csv", "n.png", "n.state"))
    for count, size in ((10**6, 16), (10**9, 16), (4, 10**5), (10**30, 16)):
        words = ("sample", "p.pt", "-n", str(count), "--size", str(size), "-o", "o.png")
        yield Fault(f"sample of {count} of {size}", words, {"p.pt": good})
