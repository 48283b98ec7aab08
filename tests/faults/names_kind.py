"""Bad names: of nothing, of folders, pipes, devices and circles of links, of any bytes and any length."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from faults.fault import Fault
from faults.formats import pixels, sample, tiff
from faults.recipes_kind import RECIPE, dump

__all__ = ["frames", "names"]

_APPLY = ("-k", "gaussian:sigma=1", "--method", "wiener")


def _circle(path: Path) -> None:
    path.symlink_to("other" + path.suffix)
    (path.parent / ("other" + path.suffix)).symlink_to(path.name)


def _folder(path: Path) -> None:
    path.mkdir()


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere" + path.suffix)


def _read_only(path: Path) -> None:
    path.mkdir(mode=0o555)


def names(seed: int) -> Iterator[Fault]:
    """As inputs and as outputs of every command."""
    good = {"good.png": sample("PNG")}
    odd = (
        "",
        ".",
        "..",
        "/",
        "nowhere.png",
        "nowhere/a.png",
        "a" * 300 + ".png",
        "a/" * 3000 + "b.png",
        "a" * 5_000_000,
        "line\nbreak.png",
        "\x1b[31mred\x1b[0m.png",
        "\u202egnp.png",
        "byte\udcff.png",
        "nul\0.png",
        "--",
        "-x.png",
        "~/a.png",
        "a.png/",
        "good.png/b.png",
        "/dev/null",
        "/dev/full",
        "/dev/zero",
        "/proc/self/mem",
        "/proc/self/environ",
        "*.png",
        "a.xyz",
        "a",
        "%s%n.png",
        "{0}.png",
        "$HOME.png",
    )
    for name in odd:
        for place, words in (
            ("picture", ("apply", f"./{name}" if name.startswith("-") else name, *_APPLY, "-o", "o.png")),
            ("output", ("apply", "good.png", *_APPLY, f"--output={name}")),
            ("kernel", ("apply", "good.png", f"--kernel={name}", "-o", "o.png", "--method", "wiener")),
            ("kernel made", ("psf", "make", "gaussian", "--sigma", "1", f"--output={name}")),
            ("recipe", ("train-prior", "good.png", f"--config={name}", "-o", "p.pt")),
            (
                "pictures",
                ("train-prior", f"./{name}" if name.startswith("-") else name, "--config", "r.yaml", "-o", "p.pt"),
            ),
            ("mask", ("apply", "good.png", *_APPLY, f"--mask={name}", "-o", "o.png")),
        ):
            if (place == "picture" and name in ("/", "..")) or (
                place == "pictures" and name in ("/", "..", ".", "~/a.png")
            ):
                continue
            written = (os.fsencode(name.strip("/")[:200]).decode(errors="surrogateescape"), "o.png")
            yield Fault(f"{place} {name[:30]!r}", words, {**good, "r.yaml": dump(RECIPE)}, (*written, "a", *good))
    makers = {"circle": _circle, "folder": _folder, "dangling": _dangling}
    for what, make in makers.items():
        for suffix, words in (
            (".png", ("apply", "x.png", *_APPLY, "-o", "o.png")),
            (".png", ("apply", "good.png", *_APPLY, "-o", "x.png")),
            (".png", ("apply", "good.png", *_APPLY, "-f", "-o", "x.png")),
            (".png", ("apply", "good.png", *_APPLY, "--mask", "x.png", "-o", "o.png")),
            (".npy", ("apply", "good.png", "-k", "x.npy", "-o", "o.png")),
            (".npy", ("psf", "make", "gaussian", "--sigma", "1", "-o", "x.npy")),
            (".npy", ("fit", "good.png", "--parametric", "gaussian", "-o", "x.npy")),
            (".yaml", ("apply", "good.png", *_APPLY, "--config", "x.yaml", "-o", "o.png")),
            (".yaml", ("train-prior", "good.png", "--config", "x.yaml", "-o", "p.pt")),
            (".pt", ("sample", "x.pt", "-o", "o.png")),
            (".npz", ("train-prior", "x.npz", "--config", "r.yaml", "-o", "p.pt")),
            (".png", ("train-prior", "x.png", "--config", "r.yaml", "-o", "p.pt")),
            (".png", ("evaluate", "x.png", "good.png")),
        ):
            written = ("o.png", "x.png", "x.npy", "nowhere.png", "nowhere.npy", "k.json", "x.json", "nowhere.json")
            files = {**good, f"x{suffix}": make, "r.yaml": dump(RECIPE)}
            yield Fault(f"{what} {' '.join(words)}", words, files, written)
    for what, make in (
        ("pipe", os.mkfifo),
        ("circle", _circle),
        ("folder", _folder),
        ("empty", lambda path: path.touch()),
    ):
        files = {"in": _folder, "in/a.png": sample("PNG"), "in/b.png": make, "in/c.npz": make, "r.yaml": dump(RECIPE)}
        written = ("p.pt", "p.csv", "p.png", "p.state")
        yield Fault(f"{what} among pictures", ("train-prior", "in", "--config", "r.yaml", "-o", "p.pt"), files, written)
    yield Fault(
        "read-only folder",
        ("apply", "good.png", *_APPLY, "-o", "there/o.png"),
        {**good, "there": _read_only},
        ("there/o.png",),
    )
    yield Fault("output of the input", ("apply", "good.png", *_APPLY, "-f", "-o", "good.png"), good, ())
    yield Fault("output there", ("apply", "good.png", *_APPLY, "-o", "o.png"), {**good, "o.png": b"x"}, ())
    for words in (
        (),
        ("x",),
        ("apply",),
        ("--x",),
        ("apply", "--x"),
        ("psf",),
        ("psf", "x"),
        ("good.png",),
        ("apply", "\x1b[2J.png"),
        ("\x1b[2J",),
        ("apply", "--threads", "\x1b[2J"),
        ("x" * 10**6,),
        ("apply", "--" + "x" * 10**6),
        ("sample", "-n", "x" * 10**5),
        ("-h" * 3,),
    ):
        yield Fault(f"words {str(words)[:40]}", words, good)


def frames(seed: int) -> Iterator[Fault]:
    """Pictures that are whole, with nothing or next to nothing in them, for every command that measures."""
    import io

    import numpy as np
    import tifffile
    from PIL import Image

    random = np.random.default_rng(seed)
    edge = np.zeros((64, 64), np.uint8)
    edge[:, 32:] = 255
    planes = {
        "one pixel": np.full((1, 1), 9),
        "a row": pixels(1)[:1],
        "a column": pixels(1)[:, :1],
        "two by two": pixels(1)[:2, :2],
        "black": np.zeros((64, 64)),
        "white": np.full((64, 64), 255),
        "gray": np.full((64, 64), 7),
        "an edge": edge,
        "noise": random.integers(0, 256, (64, 64)),
        "a point": np.pad([[255]], 32),
        "stripes": np.tile([0, 255], (64, 32)),
        "half white": np.where(random.random((64, 64)) < 0.5, 255, 0),
        "mostly clipped": np.where(random.random((96, 96)) < 0.97, 255, 99),
        "ramp": np.tile(np.arange(64) * 4, (64, 1)),
        "thin": np.tile(pixels(1)[:3], (1, 5)),
    }
    kernels = ("-k", "gaussian:sigma=2")
    for what, plane in planes.items():
        file = io.BytesIO()
        Image.fromarray(plane.astype(np.uint8)).save(file, "PNG")
        for words in (
            ("apply", "a.png", "-o", "o.png"),
            ("apply", "a.png", *kernels, "-o", "o.png"),
            ("apply", "a.png", "-k", "box:size=99", "--method", "wiener", "-o", "o.png"),
            ("fit", "a.png", "-o", "k.npy"),
            ("fit", "a.png", "--model", "taps", "-o", "k.npy"),
            ("fit", "a.png", "--model", "points", "-o", "k.npy"),
            ("fit", "a.png", "--parametric", "auto", "-o", "k.npy"),
            ("fit", "a.png", "--sharp", "a.png", "-o", "k.npy"),
            ("fit", "a.png", "--sharp", "a.png", "--model", "masked", "-o", "k.npz"),
            ("denoise", "a.png", "-o", "o.png"),
            ("apply", "a.png", *kernels, "--method", "exact", "-o", "o.png"),
            ("apply", "a.png", *kernels, "--method", "rl", "-o", "o.png"),
            ("apply", "a.png", *kernels, "--mask", "a.png", "-o", "o.png"),
        ):
            yield Fault(
                f"{what} {' '.join(words[2:])}",
                words,
                {"a.png": file.getvalue()},
                ("o.png", "k.npy", "k.npz", "k.json"),
            )
    floats = {"nan": np.nan, "infinite": np.inf, "huge": 3e38, "tiny": 1e-40, "negative": -5.0}
    for what, value in floats.items():
        for share in (1.0, 0.3, 0.0003):
            plane = np.where(random.random((36, 40)) < share, value, pixels(1) / 255).astype(np.float32)
            file = io.BytesIO()
            tifffile.imwrite(file, plane)
            for words in (
                ("apply", "a.tif", *kernels, "-o", "o.tif"),
                ("blur", "a.tif", *kernels, "-o", "o.tif"),
                ("fit", "a.tif", "-o", "k.npy", "--parametric", "gaussian"),
            ):
                yield Fault(f"{what} {share} {words[0]}", words, {"a.tif": file.getvalue()})
    yield Fault(
        "a page in a circle", ("apply", "a.tif", *kernels, "-o", "o.tif"), {"a.tif": tiff(next_page=8 + 36 * 40)}
    )
