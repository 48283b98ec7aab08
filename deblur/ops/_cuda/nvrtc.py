"""CUDA source to a loadable image by NVRTC, the compiler library that every CUDA build of torch brings along.

Neither nvcc nor a host compiler is needed. NVRTC is looked for among the packages beside torch, in a toolkit, and by
its plain name.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

__all__ = ["Nvrtc", "NvrtcError"]


_BESIDE_TORCH = ("cu*/lib/*", "cuda_nvrtc/lib/*", "cu*/bin/*", "cuda_nvrtc/bin/*", "cu*/bin/*/*")
_IN_A_TOOLKIT = ("lib64/*", "lib/*", "bin/*")
_IS_NVRTC = re.compile(r"(lib)?nvrtc(64_\d+_\d+)?\.(so|dll)")


class NvrtcError(RuntimeError):
    """NVRTC is missing or refused a program."""


class Nvrtc:
    """The compiler; raises NvrtcError where none is found.

    Attributes:
        identity: Name and version, part of every cache key.
        architectures: Those it compiles for, ascending: 75, 80, ...
    """

    def __init__(self) -> None:
        self._library = _open()
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        self.identity = f"NVRTC {major.value}.{minor.value}"
        count = ctypes.c_int()
        self._call("nvrtcGetNumSupportedArchs", ctypes.byref(count))
        found = (ctypes.c_int * count.value)()
        self._call("nvrtcGetSupportedArchs", found)
        self.architectures = sorted(found)

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            self._library.nvrtcGetErrorString.restype = ctypes.c_char_p
            raise NvrtcError(f"{name}: {self._library.nvrtcGetErrorString(status).decode()}")

    def target(self, architecture: int) -> str:
        """What to compile for, for a device of this compute capability: its own code, or PTX if it is newer than we.

        Code of an architecture runs on no other major one; PTX is compiled by the driver when it is loaded.
        """
        if architecture in self.architectures:
            return f"sm_{architecture}"
        older = [known for known in self.architectures if known < architecture]
        if not older:
            raise NvrtcError(
                f"{self.identity} compiles for {self.architectures} but not for a device of {architecture}"
            )
        return f"compute_{older[-1]}"

    def compile(self, source: str, headers: Mapping[str, str], options: tuple[str, ...], target: str) -> bytes:
        """Compile one of `headers`, by its name; return a cubin for an sm_ target, PTX for a compute_ one."""
        program = ctypes.c_void_p()
        names, texts = zip(*((name.encode(), text.encode()) for name, text in headers.items()), strict=True)
        array = ctypes.c_char_p * len(names)
        self._call(
            "nvrtcCreateProgram",
            *(ctypes.byref(program), f'#include "{source}"\n'.encode(), source.encode() + b".cu"),
            *(len(names), array(*texts), array(*names)),
        )
        try:
            every = [f"--gpu-architecture={target}", "--std=c++17", *options]
            flags = (ctypes.c_char_p * len(every))(*(each.encode() for each in every))
            try:
                self._call("nvrtcCompileProgram", program, len(every), flags)
            except NvrtcError as error:
                raise NvrtcError(f"{error}\n{self._output(program, 'ProgramLog').decode()}") from None
            return self._output(program, "CUBIN" if target.startswith("sm_") else "PTX")
        finally:
            self._call("nvrtcDestroyProgram", ctypes.byref(program))

    def _output(self, program: ctypes.c_void_p, kind: str) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"nvrtcGet{kind}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self._call(f"nvrtcGet{kind}", program, buffer)
        return buffer.raw


def _open() -> ctypes.CDLL:
    for library in _candidates():
        try:
            # It opens its builtins by their bare name, which finds nothing unless they are there already.
            for builtins in sorted(library.parent.glob("*nvrtc-builtins*")):
                ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
            return ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue
    for name in ("libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"):
        try:
            return ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue
    raise NvrtcError("NVRTC, the compiler that CUDA builds of torch bring along, is not installed")


def _candidates() -> list[Path]:
    """Libraries that may be NVRTC: those of torch's own CUDA version first, then by place, then the newest."""
    places: list[tuple[Path, tuple[str, ...]]] = [(Path(entry or ".") / "nvidia", _BESIDE_TORCH) for entry in sys.path]
    places += [(Path(os.environ[name]), _IN_A_TOOLKIT) for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    found: list[Path] = []
    for place, patterns in places:
        files = (file for pattern in patterns for file in place.glob(pattern))
        found += sorted((file for file in files if _IS_NVRTC.match(file.name)), reverse=True)
    own = re.compile(rf"(so\.|64_){(torch.version.cuda or '-').partition('.')[0]}")
    return sorted(found, key=lambda file: own.search(file.name) is None)
