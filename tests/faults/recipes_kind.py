"""Bad configurations: YAML that is none, values of every wrong kind, and numbers at their extremes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any

import numpy as np
import yaml
from faults.fault import Fault, flipped
from faults.formats import pixels, sample

__all__ = ["RECIPE", "changed", "dump", "options", "pictures", "places", "texts", "values"]

RECIPE: dict[str, dict[str, Any]] = {
    "model": {"architecture": "image_prior", "steps": 1, "features": 2, "taps": 3, "whitening": "masked"},
    "objective": {"name": "denoising", "weight": 0.5, "likelihood": 1, "tilt": 0.75, "lowest": 0.01, "highest": 0.1},
    "data": {
        "channels": 1,
        "crop": 16,
        "factors": [1],
        "balance": "sides",
        "light": 0.3,
        "flips": True,
        "rotations": True,
        "validation": 0.2,
        "validation_crop": 16,
        "validation_count": 2,
    },
    "training": {
        "steps": 1,
        "batch": 2,
        "seed": 0,
        "optimizer": {"name": "adam", "lr": 1e-3, "betas": [0.9, 0.99], "eps": 1e-8},
        "schedule": {"name": "cosine", "final": 0.01},
        "warmup": 1,
        "clip": 1,
        "ema": 0.9,
        "precision": "float32",
        "log_every": 1,
        "validate_every": 1,
        "checkpoint_every": 1,
        "samples": 1,
        "start": None,
    },
}
MULTISCALE = {
    "architecture": "multiscale",
    "shape": [1, 16, 16],
    "levels": 2,
    "steps": 1,
    "step": "inverse",
    "hidden": 4,
    "kernel_size": 3,
    "anchor": "lu",
    "orientations": ["top_left"],
    "coupling": "affine",
    "alpha": 1e-6,
    "context_features": 0,
    "activation": "relu",
    "dequantisation": "uniform",
    "actnorm": True,
    "learned_splits": True,
}
ODD: tuple[Any, ...] = (
    0,
    -1,
    1,
    3,
    10**6,
    10**12,
    10**30,
    -(10**30),
    0.5,
    -0.5,
    1e308,
    1e-308,
    float("nan"),
    float("inf"),
    None,
    True,
    "",
    "x",
    "1e3",
    [],
    [0],
    [-1, 0],
    ["x"],
    [[1]],
    [1, 16],
    [1, 10**9, 10**9],
    {},
    {"name": "x"},
    {"a": {"b": 1}},
    {"name": ["x"]},
    "x" * 5000,
    [1] * 3000,
    [1e308, 1e308],
    [0, 0, 0],
    [True],
    "auto",
)
WRITTEN = ("p.pt", "p.csv", "p.png", "p.state")


@cache
def pictures() -> bytes:
    file = io.BytesIO()
    np.savez(file, x=np.stack([pixels(1)] * 6))
    return file.getvalue()


def _train(name: str, text: bytes) -> Fault:
    words = ("train-prior", "x.npz", "--config", "r.yaml", "-o", "p.pt")
    return Fault(name, words, {"r.yaml": text, "x.npz": pictures()}, WRITTEN)


def dump(recipe: Any) -> bytes:
    return str(yaml.safe_dump(recipe, allow_unicode=True)).encode()


def places(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from places(value, (*path, key))


def changed(values: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    first, *rest = path
    return {**values, first: changed(values[first], tuple(rest), value) if rest else value}


def values(seed: int) -> Iterator[Fault]:
    """Every value of a recipe at its extremes and of other kinds, some of them drawn by the seed."""
    random = Random(seed)
    for base in (RECIPE, {**RECIPE, "model": MULTISCALE, "objective": {"name": "likelihood"}}):
        for path in places(base):
            if base is not RECIPE and path[0] != "model":
                continue
            always = () if len(path) < 2 else (0, -1, 10**12, 1e308, "x")
            for value in (*always, *random.sample(ODD, 4)):
                if path == ("training", "steps") and isinstance(value, int) and value > 3:
                    continue  # no fault: it asks for years
                name = f"{base['model']['architecture']} {'.'.join(path)}={str(value)[:40]}"
                yield _train(name, dump(changed(base, path, value)))


def texts(seed: int) -> Iterator[Fault]:
    """YAML files that are none, or hold what no configuration does."""
    random = Random(seed)
    good = dump(RECIPE)
    inputs: dict[str, bytes] = {
        "empty": b"",
        "zeros": bytes(50),
        "bytes": b"\xff\xfe\x00x",
        "a list": b"- a",
        "a text": b"hello",
        "a number": b"3",
        "tabs": b"model:\n\tx: 1",
        "doubled": b"model: {}\nmodel: {}",
        "two documents": b"a: 1\n---\nb: 2",
        "objects": b"model: !!python/object/apply:os.system [id]",
        "a set": b"model: !!set {a, b}",
        "a set for a name": good.replace(b"name: denoising", b"name: !!set {a, b}"),
        "a list for a name": good.replace(b"name: denoising", b"name: [a, b]"),
        "a set for an architecture": good.replace(b"image_prior", b"!!set {a}"),
        "a list for an architecture": good.replace(b"image_prior", b"[a, {b: c}]"),
        "a date": good.replace(b"image_prior", b"2001-01-01"),
        "no date": good.replace(b"image_prior", b"2001-99-99"),
        "binary": good.replace(b"image_prior", b"!!binary x"),
        "pairs": good.replace(b"image_prior", b"!!pairs [a: 1]"),
        "omap": good.replace(b"image_prior", b"!!omap [a: 1]"),
        "a float of text": good.replace(b"crop: 16", b"crop: !!float x"),
        "an int of text": good.replace(b"crop: 16", b"crop: !!int x"),
        "a bool of text": good.replace(b"crop: 16", b"crop: !!bool x"),
        "digits": good.replace(b"crop: 16", b"crop: " + b"9" * 5000),
        "sexagesimal": good.replace(b"crop: 16", b"crop: 1:2:3"),
        "a key that is a list": b"? [a]\n: 1",
        "a key that is null": b"~: 1",
        "a number for a key": b"1: 2",
        "a merge": b"<<: 3",
        "an alias to nothing": b"a: *b",
        "itself": b"&a {model: *a}",
        "itself in a list": b"model: &a [*a]",
        "laughs": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n".encode() for i in range(9)),
        "control": b"model: \x1b[2J",
        "bidi": "model: \u202edlrow".encode(),
        "surrogate": b'model: "\\ud800"',
        "a long word": b"x" * 10**6 + b": 1",
        "many keys": b"".join(b"k%d: 1\n" % i for i in range(2000)),
    }
    for depth in (100, 1000, 20000):
        inputs[f"lists {depth} deep"] = b"[" * depth + b"]" * depth
        inputs[f"mappings {depth} deep"] = b"model: " + b"{a: " * depth + b"}" * depth
    for index in range(25):
        inputs[f"flips {index} seed {seed}"] = flipped(good, random, random.choice([1, 2, 5]))
    for index, (what, data) in enumerate(inputs.items()):
        yield _train(what, data)
        if index % 3 == 0:
            words = ("apply", "good.png", "-k", "gaussian:sigma=1", "--config", "c.yaml", "-o", "o.png")
            yield Fault(f"{what} for apply", words, {"c.yaml": data, "good.png": sample("PNG")})


def options(seed: int) -> Iterator[Fault]:
    """Options of `apply` and `fit`, in a file and by hand."""
    random = Random(seed)
    keys = (
        "method",
        "noise",
        "strength",
        "boundary",
        "saturation",
        "transfer",
        "mask",
        "outliers",
        "trust",
        "quality",
        "preconditioner",
        "threads",
        "confidence",
        "prior",
        "settings",
        "region",
        "black",
        "white",
        "device",
        "x",
    )
    good = {"good.png": sample("PNG")}
    apply = ("apply", "good.png", "-k", "gaussian:sigma=1", "--method", "wiener", "-o", "o.png")
    for key in keys:
        for value in random.sample(ODD, 6):
            words = tuple(word for word in apply if key != "method" or word not in ("--method", "wiener"))
            name = f"apply {key}={str(value)[:40]}"
            yield Fault(name, (*words, "--config", "c.yaml"), {"c.yaml": dump({key: value}), **good})
    for method in ("wiener", "tv", "rl", "exact", "hyperlaplacian", "photo", "flow"):
        for key in ("steps", "prior", "iterations", "weight", "sigma", "x"):
            value = random.choice(ODD)
            data = dump({"method": method, "settings": {key: value}})
            words = (*apply[:4], "-o", "o.png", "--config", "c.yaml")
            yield Fault(f"{method} {key}={str(value)[:40]}", words, {"c.yaml": data, **good})
    for key in ("size", "model", "parametric", "noise", "saturation", "settings", "region"):
        for value in random.sample(ODD, 3):
            words = ("fit", "good.png", "-o", "k.npy", "--config", "c.yaml", "--parametric", "gaussian")
            yield Fault(f"fit {key}={str(value)[:40]}", words, {"c.yaml": dump({key: value}), **good})
    flags = {
        "--noise": ("-1", "2", "nan", "1e-320", "0", "0.999", "x", ""),
        "--strength": ("0", "-1", "1e308", "nan", "1e-300"),
        "--saturation": ("0", "3", "nan", "1e-9"),
        "--black": ("nan", "255", "1e308", "-1e308", "x"),
        "--white": ("0", "nan", "1e-300", "1e308", "-5"),
        "--confidence": ("-1", "2", "nan", "x", "0"),
        "--quality": ("0", "101", "-1", "x"),
        "--threads": ("0", "-1", "100000", "x", "9" * 40),
        "--region": (
            "",
            "1",
            "1,2,3",
            "0,0,0,0",
            "-1,0,5,5",
            "0,0,41,1",
            "39,35,1,1",
            "a,b,c,d",
            "9" * 50 + ",0,1,1",
            "0,0,1e9,1",
        ),
        "--device": ("cuda", "x", "cuda:9"),
        "--method": ("x", "", "auto", "best", "w" * 10**5),
        "--prior": ("x", "good.png", "."),
        "--boundary": ("x",),
        "--config": (".", "nowhere.yaml", "good.png", ""),
        "--report": ("r.png", "x", "nowhere/r.png"),
        "--kernel-out": ("k.npy", "x.png", "nowhere/k.npy"),
        "--mask": (".", "nowhere.png", ""),
        "--truth": (".", "nowhere.png"),
    }
    for flag, given in flags.items():
        for value in given:
            files = ("o.png", "r.png", "k.npy", "k.json")
            yield Fault(f"{flag} {value[:30]}", (*apply, f"{flag}={value}"), good, files)
