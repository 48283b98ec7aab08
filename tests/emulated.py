"""The emulator of csrc/emulator in the place of a CUDA device: a host compiler for NVRTC, host tensors for its own.

All that stands between `deblur.ops` and the four driver calls runs as it does with a device. Sanitized kernels run in a
program of their own (`Runner`), everything else in this process (`Emulator`).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import torch

from deblur.ops import _cuda, reference
from deblur.ops._cuda import modules, serve
from deblur.ops.geometry import Geometry

ROOT = Path(__file__).resolve().parent.parent
EMULATOR = ROOT / "csrc" / "emulator"
COMPILER = shutil.which("g++") or shutil.which("clang++")
SANITIZERS = {"": [], **{name: ["-g", f"-fsanitize={name}"] for name in ("thread", "address", "undefined")}}
BUILD = ROOT / "build" / "emulator"  # kept between runs, under hashes of all that goes into it

CXX = ["-std=c++17", "-fPIC", "-Wall", "-Wextra", "-Wno-unknown-pragmas"]


def why_not_emulated() -> str | None:
    if sys.platform != "linux":
        return "the emulator is written for Linux"
    return None if COMPILER else "the emulator needs a host compiler"


class EmulatorError(AssertionError):
    """What the emulator or a sanitizer reports."""


def _built(inputs: list[Path], texts: tuple[str, ...], arguments: list[str], name: str) -> Path:
    """The result of `COMPILER arguments -o RESULT`, kept by a hash of all that goes into it."""
    parts = [repr((*arguments, *texts)), *(file.read_text() for file in inputs)]
    path = BUILD / f"{name}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:24]}"
    if not path.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        done = subprocess.run([str(COMPILER), *arguments, "-o", temporary], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        temporary.replace(path)
    return path


@functools.cache
def _why_not_sanitized(sanitizer: str) -> str | None:
    """Some compilers come without a sanitizer's library, and some systems lay memory out as it cannot have it."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "empty.cpp", Path(folder) / "empty"
        source.write_text("int main() {}\n")
        build = subprocess.run([str(COMPILER), *SANITIZERS[sanitizer], source, "-o", program], capture_output=True)
        works = build.returncode == 0 and subprocess.run([program], capture_output=True).returncode == 0
    return None if works else f"{COMPILER} makes no program with the {sanitizer} sanitizer that runs here"


def _objects(sanitizer: str) -> list[str]:
    """The emulator itself, which no sanitizer sees but by its announcements."""
    define = {"thread": ["-DDEBLUR_TSAN"], "address": ["-DDEBLUR_ASAN"]}.get(sanitizer, [])
    headers = sorted(EMULATOR.glob("*.h"))
    units = ["emulator.cpp", "fiber.cpp", "switch_points.cpp", *(["runner.cpp"] if sanitizer else [])]
    return [
        str(
            _built([EMULATOR / unit, *headers], (), [*CXX, "-O2", *define, "-c", str(EMULATOR / unit)], Path(unit).stem)
        )
        for unit in units
    ]


def driver_library() -> Path:
    """A library with the calls of the CUDA driver, which runs what it loads in the emulator."""
    source = EMULATOR / "driver.cpp"
    inputs = [source, EMULATOR / "emulator.h"]
    return _built(inputs, (), [*CXX, "-O1", "-shared", str(source), "-ldl"], "driver")


class HostCompiler:
    """g++ in NVRTC's place."""

    def __init__(self, sanitizer: str = "") -> None:
        if sanitizer and (why := _why_not_sanitized(sanitizer)):
            pytest.skip(why)
        self.sanitizer = sanitizer
        self.compiled = 0
        emulator = repr([file.read_text() for file in sorted(EMULATOR.glob("*"))])
        self.identity = f"{COMPILER} {sanitizer} {CXX} {hashlib.sha256(emulator.encode()).hexdigest()}"

    def target(self, architecture: int) -> str:
        return f"sm_{architecture}"

    def compile(self, source: str, headers: Mapping[str, str], options: tuple[str, ...], target: str) -> bytes:
        self.compiled += 1
        with tempfile.TemporaryDirectory() as folder:
            for name, text in headers.items():
                (Path(folder) / name).write_text(text)
            unit = Path(folder) / "unit.cpp"
            unit.write_text(f'#include "{source}"\n')
            flags = [*CXX, "-O1", *options, "-DDEBLUR_EMULATED", f"-I{EMULATOR}", *SANITIZERS[self.sanitizer]]
            link = ["-rdynamic", "-ldl"] if self.sanitizer else ["-shared"]
            command = [str(COMPILER), *flags, str(unit), *_objects(self.sanitizer), *link, "-o", f"{folder}/image"]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            return (Path(folder) / "image").read_bytes()


class _Launch(ctypes.Structure):
    """`emulator_launch` of csrc/emulator/emulator.h."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("kernel", "arguments")),
        *((name, ctypes.c_uint64) for name in ("seed", "shared_bytes")),
        *((name, ctypes.c_uint32) for name in ("grid", "block", "resident")),
    ]


class Emulator:
    """The driver: loads what the host compiler made and runs it here."""

    def __init__(self, *, seed: int = 0, resident: int = 8, shared_limit: int = 99 * 1024) -> None:
        self.seed, self.resident, self.limit = seed, resident, shared_limit
        self.launched: list[str] = []

    def architecture(self, device: int) -> int:
        return 90

    def shared_limit(self, device: int) -> int:
        return self.limit

    def load(self, device: int, image: bytes, names: tuple[str, ...]) -> dict[str, Any]:
        library = _library(image)
        return {name: (name, ctypes.cast(getattr(library, name), ctypes.c_void_p).value, library) for name in names}

    def launch(
        self,
        function: Any,
        device: int,
        grid: int,
        block: int,
        shared_bytes: int,
        arguments: ctypes.Structure,
        tensors: tuple[torch.Tensor, ...],
    ) -> None:
        name, address, library = function
        self.launched.append(name)
        assert 0 <= shared_bytes <= self.limit, "more shared memory than a block may ask for"
        launch = _Launch(
            kernel=address,
            arguments=ctypes.addressof(arguments),
            seed=self.seed,
            shared_bytes=shared_bytes,
            grid=grid,
            block=block,
            resident=self.resident,
        )
        report = ctypes.create_string_buffer(4096)
        if library.emulator_run(ctypes.byref(launch), report, ctypes.c_size_t(len(report))):
            raise EmulatorError(report.value.decode())


@functools.cache
def _library(image: bytes) -> ctypes.CDLL:
    return ctypes.CDLL(str(_written(image, ".so")))


@functools.cache
def _written(image: bytes, suffix: str) -> Path:
    path = BUILD / f"{hashlib.sha256(image).hexdigest()[:24]}{suffix}"
    if not path.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(image)
        temporary.chmod(0o755)
        temporary.replace(path)
    return path


class Runner(Emulator):
    """The driver for sanitized kernels: every launch is a process, and so is its report."""

    def load(self, device: int, image: bytes, names: tuple[str, ...]) -> dict[str, Any]:
        program = _written(image, ".program")
        return {name: (name, program, None) for name in names}

    def launch(
        self,
        function: Any,
        device: int,
        grid: int,
        block: int,
        shared_bytes: int,
        arguments: ctypes.Structure,
        tensors: tuple[torch.Tensor, ...],
    ) -> None:
        name, program, _ = function
        self.launched.append(name)
        by_pointer = {tensor.data_ptr(): tensor for tensor in tensors}
        places = [
            (getattr(type(arguments), field).offset, by_pointer[getattr(arguments, field)])
            for field, kind, *_ in type(arguments)._fields_
            if kind is ctypes.c_void_p and getattr(arguments, field)
        ]
        encoded = name.encode()
        blob = struct.pack("6Q", grid, block, shared_bytes, self.seed, self.resident, len(encoded)) + encoded
        blob += struct.pack("Q", ctypes.sizeof(arguments)) + bytes(arguments) + struct.pack("Q", len(places))
        for place, tensor in places:
            data = bytes(tensor.contiguous().view(-1).view(torch.uint8).numpy())
            blob += struct.pack("2Q", place, len(data)) + data
        with tempfile.TemporaryDirectory() as folder:
            launch, result = Path(folder) / "launch", Path(folder) / "result"
            launch.write_bytes(blob)
            done = subprocess.run([program, launch, result], capture_output=True, text=True)
            if done.returncode or "Sanitizer" in done.stderr or "runtime error" in done.stderr:
                raise EmulatorError(done.stderr or f"the program ended with {done.returncode}")
            data = result.read_bytes()
        for _, tensor in places:
            size = tensor.numel() * tensor.element_size()
            tensor.view(-1).view(torch.uint8).copy_(torch.frombuffer(bytearray(data[:size]), dtype=torch.uint8))
            data = data[size:]


def toolkit(*, sanitizer: str = "", sources: Mapping[str, str] | None = None, **options: Any) -> modules.Toolkit:
    """A compiler, a driver and the sources: the product's own, or changed ones."""
    driver = Runner(**options) if sanitizer else Emulator(**options)
    every = modules.find_sources() if sources is None else sources
    return modules.Toolkit(compiler=HostCompiler(sanitizer), driver=driver, sources=every)


@contextlib.contextmanager
def on(toolkit: modules.Toolkit) -> Iterator[None]:
    """Let `deblur.ops._cuda` launch there."""
    before = serve._toolkit
    serve._toolkit = lambda: (toolkit, None)  # type: ignore[assignment]
    try:
        yield
    finally:
        serve._toolkit = before


@dataclass(frozen=True, kw_only=True)
class Case:
    """A solve, its right-hand side and taps whose inverse is stable."""

    shape: tuple[int, int, int, int]
    taps: tuple[int, int]
    groups: int = 1
    orientation: str = "top_left"
    transpose: bool = False
    dilation: tuple[int, int] = (1, 1)
    border: str = "zero"
    dtype: torch.dtype = torch.float64

    def __str__(self) -> str:
        changed = [
            str(getattr(self, each.name)).removeprefix("torch.")
            for each in fields(self)
            if each.default is MISSING or getattr(self, each.name) != each.default
        ]
        return "-".join(changed).replace(" ", "")

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.orientation, self.transpose, self.groups, self.dilation, self.border)

    @property
    def options(self) -> dict[str, Any]:
        """What the public operations take of a case, besides its tensors."""
        return self.geometry._asdict()

    def weight(self) -> torch.Tensor:
        size = self.shape[1] // self.groups
        numbers = torch.Generator().manual_seed(1)
        scale = 0.4 / (size * self.taps[0] * self.taps[1]) ** 0.5
        weight = scale * torch.randn(self.shape[1], size, *self.taps, generator=numbers, dtype=torch.float64)
        # An anchor that is neither symmetric nor in need of no row exchange.
        anchor = torch.eye(size).flip(0) + 0.2 * torch.ones(size, size).tril(-1) / size
        weight[:, :, 0, 0] += 1.5 * anchor.repeat(self.groups, 1)
        return weight.to(self.dtype)

    def image(self) -> torch.Tensor:
        numbers = torch.Generator().manual_seed(2)
        return torch.randn(*self.shape, generator=numbers, dtype=torch.float64).to(self.dtype)

    def expected(self) -> torch.Tensor:
        return reference.solve(self.image().double(), self.weight().double(), self.geometry)

    def solved(self, toolkit: modules.Toolkit, image: torch.Tensor | None = None) -> torch.Tensor:
        """The solution by the kernels, through the launcher."""
        with on(toolkit):
            return _cuda.solve(self.image() if image is None else image, self.weight(), self.geometry)

    def gradient_arguments(self) -> tuple[torch.Tensor, torch.Tensor, tuple[int, int]]:
        image = self.image()
        return -2 * image.flip(2).contiguous(), image, self.taps

    def weight_grad(self, toolkit: modules.Toolkit) -> torch.Tensor:
        """The weight gradient by the kernels, through the launcher."""
        with on(toolkit):
            return _cuda.weight_grad(*self.gradient_arguments(), self.geometry)

    def expected_weight_grad(self) -> torch.Tensor:
        grad, image, taps = self.gradient_arguments()
        return reference.weight_grad(grad.double(), image.double(), taps, self.geometry)

    def check_weight_grad(self, toolkit: modules.Toolkit) -> torch.Tensor:
        found, expected = self.weight_grad(toolkit), self.expected_weight_grad()
        tolerance = 1e-11 if self.dtype == torch.float64 else 1e-5
        largest = float(expected.abs().max()) if expected.numel() else 1.0
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=tolerance * largest)
        return found

    def check(self, toolkit: modules.Toolkit) -> torch.Tensor:
        found, expected = self.solved(toolkit), self.expected()
        tolerance = 1e-11 if self.dtype == torch.float64 else 1e-4
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=tolerance * float(expected.abs().max()))
        return found
