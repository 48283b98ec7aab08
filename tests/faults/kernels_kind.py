"""Bad kernels: arrays, archives, tables, specifications, and what lies beside them."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from faults.fault import Fault, flipped, spread
from faults.formats import sample

__all__ = ["archives", "arrays", "sidecars", "specifications", "tables"]

_TAPS = np.outer([1, 2, 1], [1, 2, 1]) / 16


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def _npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _header(text: str, data: bytes = bytes(72), version: int = 1) -> bytes:
    packed = text.encode("latin1") + b"\n"
    size = struct.pack("<H" if version == 1 else "<I", len(packed))
    return b"\x93NUMPY" + bytes([version, 0]) + size + packed + data


def _words(name: str, index: int) -> tuple[str, ...]:
    method = ("wiener", "auto", "rl", "exact", "tv")[index % 5]
    if index % 3 == 2:
        return ("psf", "show", name)
    return ("apply", "good.png", "-k", name, "--method", method, "-o", "o.png")


def _faults(name: str, inputs: Iterator[tuple[str, bytes]]) -> Iterator[Fault]:
    for index, (what, data) in enumerate(inputs):
        yield Fault(f"{name} {what}", _words(name, index), {name: data, "good.png": sample("PNG")})


def arrays(seed: int) -> Iterator[Fault]:
    """NumPy files."""
    random = Random(seed)

    def inputs() -> Iterator[tuple[str, bytes]]:
        for shape in (
            (),
            (0,),
            (3,),
            (0, 0),
            (0, 3),
            (1, 1),
            (2, 2),
            (1, 300),
            (3, 3, 3),
            (5, 3, 3),
            (0, 3, 3),
            (1,) * 9,
        ):
            yield f"shape {shape}", _npy(np.ones(shape))
        for value in (np.nan, np.inf, -np.inf, -1.0, 0.0, 1e308, 5e-324, 1e-40):
            for whole in (True, False):
                taps = np.full((3, 3), value) if whole else np.where(np.eye(3) == 1, value, _TAPS)
                yield f"value {value} {'everywhere' if whole else 'on the diagonal'}", _npy(taps)
        for kind in ("b", "?", "i8", "u8", "f2", "f4", "c16", "S3", "U3", "V8", "M8[s]", "m8[s]", "O", "i4,f4", "f16"):
            yield f"dtype {kind}", _npy(np.ones((3, 3)).astype(kind) if kind != "i4,f4" else np.zeros((3, 3), kind))
        for shape in (
            "(3, 3",
            "(-3, 3)",
            "(4611686018427387904, 2)",
            "(1000000, 1000000)",
            "3",
            "None",
            "(3.0, 3)",
            "('a', 3)",
        ):
            yield f"header shape {shape}", _header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}")
        for descr in ("'<f99'", "'|O'", "None", "3", "[]", "[('a', '<f8')]", "('<f8', (3, 3))", "'>f8'", "''"):
            yield f"header descr {descr}", _header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': (3, 3)}}")
        yield "header nested", _header("(" * 5000 + ")" * 5000)
        yield "header brackets", _header("[" * 60000)
        yield "header no dictionary", _header("__import__('os')")
        for version in (0, 2, 3, 9, 255):
            yield (
                f"version {version}",
                _header("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 3)}", version=version),
            )
        good = _npy(_TAPS)
        for length in spread(len(good), 8):
            yield f"cut to {length}", good[:length]
        for index in range(20):
            yield f"flips {index} seed {seed}", flipped(good, random, random.choice([1, 2, 5]))
        yield "mostly background", _npy(np.full((9, 9), 0.1) + np.eye(9))
        yield "large", _npy(np.ones((600, 600)))
        yield "long", _npy(np.ones((1, 5000)))

    yield from _faults("k.npy", inputs())


def archives(seed: int) -> Iterator[Fault]:
    """Archives of arrays, whole, cut and with bits turned over; MATLAB files; pictures of kernels."""
    random = Random(seed)
    factors = {"format": np.array("masked convolutions 1"), "kernel": _TAPS}
    masked = {**factors, "orientations": np.array(["top_left"]), "weight_0": np.array([[1.0, -0.2], [0.1, 0.1]])}

    def inputs() -> Iterator[tuple[str, bytes]]:
        yield "empty", _npz()
        yield "two arrays", _npz(a=_TAPS, b=_TAPS)
        yield "factors alone", _npz(**factors)
        yield "no weights", _npz(**factors, orientations=np.array(["top_left"]))
        yield "a corner of no name", _npz(**{**masked, "orientations": np.array(["middle"])})
        yield "orientations of numbers", _npz(**{**masked, "orientations": np.array(3)})
        yield "many orientations", _npz(**{**masked, "orientations": np.array(["top_left"] * 1000)})
        for shape in ((), (0, 2), (2,), (2, 2, 2)):
            yield f"weight of {shape}", _npz(**{**masked, "weight_0": np.ones(shape)})
        for value in (0.0, np.nan, np.inf, 1e300):
            yield f"anchor {value}", _npz(**{**masked, "weight_0": np.array([[value, 1.0], [1.0, 1.0]])})
        yield "weight of text", _npz(**{**masked, "weight_0": np.array("x")})
        yield "format of numbers", _npz(**{**masked, "format": np.ones((3, 3))})
        yield "kernel that is not their product", _npz(**{**masked, "kernel": np.ones((50, 50))})
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("kernel.npy", _npy(_TAPS))
        for name, good in (("stored", _npz(kernel=_TAPS)), ("deflated", packed.getvalue()), ("masked", _npz(**masked))):
            for length in spread(len(good), 6):
                yield f"{name} cut to {length}", good[:length]
            for index in range(15):
                yield f"{name} flips {index} seed {seed}", flipped(good, random, random.choice([1, 3, 9]))
        at = packed.getvalue().index(b"kernel.npy") + 10
        for index in range(10):
            broken = bytearray(packed.getvalue())
            broken[at + index * 7] ^= 0xFF
            yield f"deflated data {index}", bytes(broken)
        nested = io.BytesIO()
        with zipfile.ZipFile(nested, "w") as file:
            file.writestr("kernel", packed.getvalue())
        yield "an archive within", nested.getvalue()
        bomb = io.BytesIO()
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(
                "kernel.npy", _header("{'descr': '|u1', 'fortran_order': False, 'shape': (9, 9)}", bytes(1 << 27))
            )
        yield "unpacks to 128 MB", bomb.getvalue()

    yield from _faults("k.npz", inputs())
    for name in ("k.mat", "k.png", "k.tif"):
        good = sample({"k.png": "PNG:L", "k.tif": "TIFF:L"}.get(name, "")) if name != "k.mat" else _mat()
        cases = [(f"cut to {length}", good[:length]) for length in spread(len(good), 4)]
        cases += [(f"flips {index} seed {seed}", flipped(good, random, 3)) for index in range(8)]
        yield from _faults(name, iter(cases))


def _mat() -> bytes:
    from scipy.io import savemat

    file = io.BytesIO()
    savemat(file, {"kernel": _TAPS}, do_compression=True)
    return file.getvalue()


def tables(seed: int) -> Iterator[Fault]:
    """Tables of numbers."""
    texts = (
        "",
        "\n\n",
        "1,2\n3",
        "a,b",
        "nan,1",
        "inf,1\n1,1",
        "1e999,1\n1,1",
        "1;2\n3;4",
        "1,5;2,5",
        "-1",
        "0,0\n0,0",
        "\x00",
        "1 2\r3 4",
    )
    texts += (
        "9" * 5000,
        "1," * 20000,
        "1 " * 3000 + "\n",
        "# only\n",
        "\ufeff1,2,1",
        "١,٢",
        "1_0,1",
        "0x1,2",
        "\x1b[2Jx,1",
        "x" * 10**6,
    )
    yield from _faults("k.csv", ((f"text {i}", text.encode()) for i, text in enumerate(texts)))
    yield from _faults("k.txt", iter([("no text", b"\xff\xfe1\0,\0"), ("latin", b"\xe9,1")]))


def sidecars(seed: int) -> Iterator[Fault]:
    """The JSON beside a kernel."""
    random = Random(seed)
    deep = {"taps": [[1.0]], "confidence": 0.5}
    for _ in range(60):
        deep = {"taps": [[1.0]], "alternatives": [deep]}
    texts: dict[str, bytes] = {
        f"confidence {value}": f'{{"confidence": {value}}}'.encode()
        for value in ("-1", "2", "NaN", "Infinity", "1e999", "true", "[]", "null", '"x"', "9" * 5000, "1e-400")
    }
    texts |= {
        f"misfit {value}": f'{{"misfit": {value}}}'.encode() for value in ("-1", "1e308", "NaN", "{}", "0", "9" * 400)
    }
    texts |= {
        f"alternatives {i}": f'{{"alternatives": {value}}}'.encode()
        for i, value in enumerate(
            (
                "3",
                "{}",
                "[3]",
                "[null]",
                '[{"taps": 3}]',
                '[{"taps": []}]',
                '[{"taps": [[1, 2], [3]]}]',
                '["x"]',
                '"taps"',
                '[{"taps": [["a"]]}]',
                '[{"taps": [[1e999]]}]',
                '[{"taps": [[1]], "confidence": "x"}]',
                '{"taps": 1}',
                "true",
            )
        )
    }
    texts |= {
        f"text {i}": value for i, value in enumerate((b"", b"\xff", b"[]", b"3", b"{", b'{"source": 3}', b"\0" * 20))
    }
    for depth in (100, 1000, 100000):
        texts[f"lists {depth} deep"] = b"[" * depth + b"]" * depth
        texts[f"alternatives {depth} deep"] = b'{"alternatives":[' * depth + b"]}" * depth
        texts[f"taps {depth} deep"] = b'{"alternatives":[{"taps":' + b"[" * depth + b"]" * depth + b"}]}"
    texts["alternatives within alternatives"] = json.dumps(deep).encode()
    good = json.dumps({"confidence": 0.5, "misfit": 0.01, "source": "x", "alternatives": [{"taps": [[1.0]]}]}).encode()
    texts |= {f"flips {i} seed {seed}": flipped(good, random, 2) for i in range(10)}
    for index, (what, data) in enumerate(texts.items()):
        yield Fault(what, _words("k.npy", index), {"k.npy": _npy(_TAPS), "k.json": data, "good.png": sample("PNG")})

    def pipe(path: Path) -> None:
        os.mkfifo(path)

    def folder(path: Path) -> None:
        path.mkdir()

    def circle(path: Path) -> None:
        path.symlink_to(path.name)

    for what, make in (("a pipe", pipe), ("a folder", folder), ("a circle of links", circle)):
        yield Fault(what, _words("k.npy", 0), {"k.npy": _npy(_TAPS), "k.json": make, "good.png": sample("PNG")})
    yield Fault("a circle of links as kernel", _words("k.npy", 0), {"k.npy": circle, "good.png": sample("PNG")})


def specifications(seed: int) -> Iterator[Fault]:
    """Kernels by name and numbers."""
    shapes = {
        "gaussian": "sigma",
        "motion": "length",
        "defocus": "radius",
        "box": "size",
        "airy": "radius",
        "exponential": "scale",
    }
    numbers = ("0", "-1", "1e-300", "1e308", "nan", "inf", "", "x", "1e6", "499", "1/0", "0x10", "1_0", "٣", "9" * 400)
    index = 0
    for shape, parameter in shapes.items():
        for number in numbers:
            words = _words(f"{shape}:{parameter}={number}", (0, 2)[index % 2])
            yield Fault(f"{shape} {parameter}={number[:20]}", words, {"good.png": sample("PNG")})
            index += 1
    texts = (
        "",
        ":",
        "=",
        "gaussian",
        "gaussian:",
        "gaussian:sigma",
        "gaussian:sigma=1,sigma=2",
        "gaussian:=1",
        "x:y=1",
        "gaussian:sigma=1,",
        "\n",
        "\x1b[31m:a=1",
    )
    texts += (
        "gaussian:sigma=" + "1" * 10**6,
        "a" * 10**6,
        "motion:length=9,angle=1e308",
        "motion:length=9,angle=nan",
        "shake:seed=-1",
        "shake:length=1e9",
        "-",
        "None",
    )
    for index, text in enumerate(texts):
        yield Fault(
            f"text {index}",
            ("apply", "good.png", f"--kernel={text}", "--method", "wiener", "-o", "o.png"),
            {"good.png": sample("PNG")},
        )
    for index, words in enumerate(
        (
            ("gaussian", "--sigma", "1e308"),
            ("motion", "--length", "nan"),
            ("box", "--size", "-3"),
            ("shake", "--seed", "9" * 99),
            ("x",),
            (),
        )
    ):
        yield Fault(f"make {index}", ("psf", "make", *words, "-o", "k.npy"))
