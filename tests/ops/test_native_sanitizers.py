"""The native kernels under ThreadSanitizer and AddressSanitizer, through a stand-alone program without torch or Python.

The bands of one image wait for each other by progress counters alone, so a missing ordering could hide behind right
numbers; ThreadSanitizer sees it. AddressSanitizer and UndefinedBehaviorSanitizer see a step outside a buffer.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPILER = shutil.which("g++") or shutil.which("clang++")
KERNELS = {
    "baseline": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"],
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(COMPILER is None, reason="needs g++ or clang++"),
    pytest.mark.skipif(
        __import__("platform").machine() not in ("x86_64", "AMD64"), reason="names the instruction sets of x86-64"
    ),
]


def build_and_run(folder: Path, sanitizer: str, isa: str) -> subprocess.CompletedProcess[str]:
    source, program = ROOT / "csrc" / "cpu", folder / "driver"
    common = [COMPILER, "-std=c++17", "-O1", "-g", "-Wno-psabi", f"-fsanitize={sanitizer}", f"-I{source}"]
    objects = []
    for name in {"baseline", isa}:
        objects.append(folder / f"{name}.o")
        define = [f"-DDEBLUR_KERNELS={name}_kernels", f'-DDEBLUR_KERNELS_NAME="{name}"']
        subprocess.run([*common, *KERNELS[name], *define, "-c", source / "kernels.cpp", "-o", objects[-1]], check=True)
    have = [f"-DDEBLUR_HAVE_{isa.upper()}"]
    units = [
        Path(__file__).parent / "native_driver.cpp",
        source / "deblur_cpu.cpp",
        source / "pool.cpp",
        source / "scratch.cpp",
    ]
    subprocess.run([*common, *have, *units, *objects, "-pthread", "-o", program], check=True)
    return subprocess.run([program], env={"DEBLUR_ISA": isa}, capture_output=True, text=True)


@pytest.mark.parametrize("isa", ["avx512", "baseline"])
@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_no_race_and_no_overrun(sanitizer, isa, tmp_path):
    done = build_and_run(tmp_path, sanitizer, isa)
    report = done.stdout + done.stderr
    assert done.returncode == 0, report[-4000:]
    assert "Sanitizer" not in report
    assert "runtime error" not in report
