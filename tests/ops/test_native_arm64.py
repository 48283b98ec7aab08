"""The native kernels for arm64 (NEON), compiled by a cross compiler and run by QEMU on whatever processor this is.

Two packages of a Linux distribution bring them: g++-aarch64-linux-gnu and qemu-user.
"""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPILER, EMULATOR = shutil.which("aarch64-linux-gnu-g++"), shutil.which("qemu-aarch64")
FLAGS = ["-std=c++17", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-Wall", "-Wextra"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.machine() in ("aarch64", "arm64"), reason="the other tests run on this processor"),
    pytest.mark.skipif(COMPILER is None or EMULATOR is None, reason="needs aarch64-linux-gnu-g++ and qemu-aarch64"),
]


def test_the_kernels_do_what_their_definition_says(tmp_path: Path) -> None:
    source, program = ROOT / "csrc" / "cpu", tmp_path / "driver"
    units = [source / f"{name}.cpp" for name in ("kernels", "deblur_cpu", "pool", "scratch")]
    named = ["-DDEBLUR_KERNELS=baseline_kernels", '-DDEBLUR_KERNELS_NAME="NEON"', "-Werror", "-Wno-psabi"]
    driver = Path(__file__).parent / "native_driver.cpp"
    build = [COMPILER, *FLAGS, *named, f"-I{source}", *units, driver, "-static", "-pthread", "-o", program]
    subprocess.run(build, check=True)
    done = subprocess.run([EMULATOR, program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("NEON: 72 problems, 0 failures")
