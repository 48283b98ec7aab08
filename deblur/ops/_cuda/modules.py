"""From csrc/cuda to kernels that can be launched: compiled once per machine, loaded once per process and device.

The compiled image is kept in the user's cache folder (`DEBLUR_CACHE`, or `deblur` under `XDG_CACHE_HOME`) under a hash
of all that went into it: every source, the options, the target and the compiler's version. No date and no path does, so
a stale image cannot be found. It is written under another name and renamed: processes that compile at the same time
never read half of one.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

import deblur

__all__ = ["KERNELS", "SCALARS", "Toolkit", "find_sources"]

#: Source -> the kernels in it.
KERNELS = {
    "band.cuh": ("deblur_band_solve",),
    "gradient.cuh": ("deblur_weight_gradient", "deblur_sum_parts"),
    "wavefront.cuh": (
        *("deblur_invert_anchors", "deblur_fold_taps", "deblur_apply_anchors"),
        *("deblur_wavefront_solve", "deblur_wavefront_solve_ring", "deblur_wavefront_solve_all"),
    ),
}
SCALARS = {torch.float32: "float", torch.float64: "double"}


class Compiler(Protocol):
    """What NVRTC does; in the tests a host compiler stands in."""

    identity: str

    def target(self, architecture: int) -> str: ...
    def compile(self, source: str, headers: Mapping[str, str], options: tuple[str, ...], target: str) -> bytes: ...


class Launcher(Protocol):
    """What the CUDA driver does; in the tests the emulator stands in."""

    def architecture(self, device: int) -> int: ...
    def shared_limit(self, device: int) -> int: ...
    def load(self, device: int, image: bytes, names: tuple[str, ...]) -> Mapping[str, Any]: ...
    def launch(
        self,
        function: Any,
        device: int,
        grid: int,
        block: int,
        shared_bytes: int,
        arguments: Any,
        tensors: tuple[torch.Tensor, ...],
    ) -> None: ...


@dataclass(kw_only=True)
class Toolkit:
    """Compiler, driver and sources, and the kernels that were made of them."""

    compiler: Compiler
    driver: Launcher
    sources: Mapping[str, str]
    _loaded: dict[tuple[int, str, torch.dtype], Mapping[str, Any]] = field(default_factory=dict)

    def kernels(self, device: int, source: str, dtype: torch.dtype) -> Mapping[str, Any]:
        """Return the kernels of a source by name, ready to be launched on a device."""
        key = (device, source, dtype)
        if key not in self._loaded:
            image = self.image(source, dtype, self.compiler.target(self.driver.architecture(device)))
            self._loaded[key] = self.driver.load(device, image, KERNELS[source])
        return self._loaded[key]

    def image(self, source: str, dtype: torch.dtype, target: str) -> bytes:
        """Compile a source, or take what was compiled before from the cache."""
        options = (f"-DDEBLUR_SCALAR={SCALARS[dtype]}",)
        ingredients = (self.compiler.identity, target, *options, source, *sorted(self.sources.items()))
        digest = hashlib.sha256(repr(ingredients).encode()).hexdigest()
        path = _cache() / f"{Path(source).stem}-{target}-{digest[:32]}"
        if path.is_file():
            return path.read_bytes()
        image = self.compiler.compile(source, self.sources, options, target)
        _keep(path, image)
        return image


def find_sources() -> dict[str, str]:
    """Return the kernels' sources by file name, out of the first folder that has them.

    An installed package has them in its own `_cuda`, beside this code. A checkout has them in its csrc/cuda, which is
    looked into before the folder that an editable install copied them to, since those copies may be older. A csrc/cuda
    beside an installed package belongs to somebody else and is left alone.
    """
    package = Path(__file__).resolve().parents[2]
    installed = [Path(part) / "_cuda" for part in deblur.__path__]
    for folder in (package / "_cuda", *_of_checkout(package.parent), *installed):
        if folder.is_dir():
            return {file.name: file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.cuh"))}
    return {}


def _of_checkout(root: Path) -> list[Path]:
    """Return the sources' folder of a checkout of this project, or nothing where `root` is none."""
    ours = (root / "pyproject.toml").is_file() and (root / "CMakeLists.txt").is_file()
    return [root / "csrc" / "cuda"] if ours else []


def _cache() -> Path:
    if os.environ.get("DEBLUR_CACHE"):
        return Path(os.environ["DEBLUR_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deblur"


def _keep(path: Path, image: bytes) -> None:
    """Write a file whole or not at all; a cache that cannot be written costs time, nothing else."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(image)
        Path(temporary).replace(path)
    except OSError:
        pass
