"""Every CUDA kernel compiled for every architecture, where a compiler is; no device is needed.

NVRTC is what compiles on a user's machine (`pip install nvidia-cuda-nvrtc` brings it without torch's CUDA build). nvcc
is another front end with rules of its own, and its assembler says how many registers each kernel takes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from deblur.ops._cuda import modules
from deblur.ops._cuda.nvrtc import Nvrtc, NvrtcError

ARCHITECTURES = (75, 80, 90, 100, 120)
NVCC = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")

#: Registers a thread may take: what leaves room for one block of its size (65536 for 256, 384 and 512 threads are 255,
#: 168 and 128), or below that what was found when the kernels were written, with a margin. No spills and no stack.
MOST_REGISTERS = {
    ("deblur_band_solve", "float"): 128,
    ("deblur_band_solve", "double"): 240,
    **{
        (f"deblur_{name}", scalar): 168
        for name in ("invert_anchors", *(f"wavefront_solve{kind}" for kind in ("", "_ring", "_all")))
        for scalar in ("float", "double")
    },
}
MOST_REGISTERS_OF_OTHERS = 128

#: In every run one architecture and float32; the rest with the slow tests.
EVERY = [
    pytest.param(
        source,
        dtype,
        architecture,
        marks=[] if (dtype, architecture) == (torch.float32, 90) else [pytest.mark.slow],
        id=f"{source}-{scalar}-sm_{architecture}",
    )
    for source in modules.KERNELS
    for dtype, scalar in modules.SCALARS.items()
    for architecture in ARCHITECTURES
]
every_instantiation = pytest.mark.parametrize(("source", "dtype", "architecture"), EVERY)


@pytest.fixture(scope="module")
def nvrtc() -> Nvrtc:
    try:
        return Nvrtc()
    except NvrtcError as error:
        pytest.skip(str(error))


@every_instantiation
def test_nvrtc_compiles(nvrtc: Nvrtc, source: str, dtype: torch.dtype, architecture: int) -> None:
    if architecture not in nvrtc.architectures:
        pytest.skip(f"{nvrtc.identity} does not compile for {architecture}")
    options = (f"-DDEBLUR_SCALAR={modules.SCALARS[dtype]}",)
    sources = modules.find_sources()
    image = nvrtc.compile(source, sources, options, nvrtc.target(architecture))
    assert image.startswith(b"\x7fELF")
    for kernel in modules.KERNELS[source]:
        assert kernel.encode() in image


def test_nvrtc_makes_ptx_for_a_device_it_does_not_know(nvrtc: Nvrtc) -> None:
    target = nvrtc.target(nvrtc.architectures[-1] + 9)
    assert target == f"compute_{nvrtc.architectures[-1]}"
    image = nvrtc.compile("band.cuh", modules.find_sources(), ("-DDEBLUR_SCALAR=float",), target)
    assert b".entry deblur_band_solve" in image


def test_what_nvrtc_refuses_is_an_error_with_its_words(nvrtc: Nvrtc) -> None:
    with pytest.raises(NvrtcError, match='identifier "nonsense" is undefined'):
        nvrtc.compile("bad.cuh", {"bad.cuh": "__global__ void f() { nonsense(); }"}, (), nvrtc.target(90))


@dataclass(frozen=True)
class Usage:
    kernel: str
    registers: int
    stack: int
    spilled: int


def usage_of(log: str) -> list[Usage]:
    """What ptxas says of every kernel, sorted by name."""
    pattern = (
        r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill "
        r"loads.*?Used (\d+) registers"
    )
    found = re.findall(pattern, log, flags=re.DOTALL)
    return sorted(
        (Usage(name, int(registers), int(stack), int(out) + int(back)) for name, stack, out, back, registers in found),
        key=lambda usage: usage.kernel,
    )


@pytest.mark.skipif(NVCC is None, reason="nvcc is not installed")
@every_instantiation
def test_nvcc_compiles_without_spills(
    source: str, dtype: torch.dtype, architecture: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = subprocess.run([str(NVCC), "--list-gpu-code"], capture_output=True, text=True, check=True).stdout.split()
    if f"sm_{architecture}" not in known:
        pytest.skip(f"this nvcc does not compile for {architecture}")
    for name, text in modules.find_sources().items():
        (tmp_path / name).write_text(text)
    unit = tmp_path / "unit.cu"
    unit.write_text(f'#include "{source}"\n')
    scalar = modules.SCALARS[dtype]
    command = [str(NVCC), "-cubin", f"-arch=sm_{architecture}", "-std=c++17", f"-DDEBLUR_SCALAR={scalar}"]
    command += ["-Werror", "all-warnings", "-Xptxas", "-v", "-o", str(tmp_path / "unit.cubin"), str(unit)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    usages = usage_of(done.stderr)
    assert [usage.kernel for usage in usages] == sorted(modules.KERNELS[source])
    for usage in usages:
        with capsys.disabled():
            print(f"\nsm_{architecture} {scalar:6} {usage.kernel:28} {usage.registers:3} registers", end="")
        assert usage.spilled == 0, usage
        assert usage.stack == 0, usage
        assert usage.registers <= MOST_REGISTERS.get((usage.kernel, scalar), MOST_REGISTERS_OF_OTHERS), usage
