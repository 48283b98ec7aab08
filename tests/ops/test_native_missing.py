"""Where there is no native library the package says why, in one sentence, and its reference serves."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys
sys.path[:0] = sys.argv[1:]
import torch
from deblur.ops import _native, masked_conv2d, masked_conv2d_solve
assert not _native.available()
y, weight = torch.rand(1, 2, 9, 8), torch.rand(2, 1, 3, 3) * 0.1
weight[:, 0, 0, 0] = 1
x = masked_conv2d_solve(y, weight, groups=2)
torch.testing.assert_close(masked_conv2d(x, weight, groups=2), y)
print(_native.why_not())
print(_native.describe())
"""


def run(*paths: str, bare: bool = False, **environment: str) -> list[str]:
    """PROGRAM with `paths` first on sys.path; bare: without site, and so without an editable install's own finder."""
    command = [sys.executable, *(["-S"] if bare else []), "-c", PROGRAM, *paths]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_the_environment_can_switch_it_off():
    why, described = run(DEBLUR_NATIVE="0")
    assert why == described == "the native kernels are switched off by the environment variable DEBLUR_NATIVE"


def test_a_library_of_another_version_is_refused(monkeypatch):
    from deblur.ops import _native

    if not _native.available():
        pytest.skip(str(_native.why_not()))
    monkeypatch.setattr(_native, "_ABI_VERSION", -1)
    library, why = _native._load.__wrapped__()
    assert library is None
    assert "interface version" in why


def test_a_broken_library_is_explained(monkeypatch, tmp_path):
    from deblur.ops import _native

    broken = tmp_path / "libdeblur_cpu.so"
    broken.write_bytes(b"not a library")
    monkeypatch.setattr(_native, "_find", lambda: broken)
    library, why = _native._load.__wrapped__()
    assert library is None
    assert why.startswith("the native library libdeblur_cpu.so cannot be loaded")


@pytest.mark.skipif(os.name != "posix", reason="hides the compiler by way of PATH")
def test_an_install_without_a_compiler_succeeds_and_the_reference_serves(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    isolated = importlib.util.find_spec("scikit_build_core") is None
    for name in ("cmake", "ninja"):  # what a build needs, and nothing that compiles
        for folder in [*os.environ["PATH"].split(os.pathsep), str(Path(sys.executable).parent)]:
            if (Path(folder) / name).exists() and not (tools / name).exists():
                (tools / name).symlink_to(Path(folder) / name)
    target = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", target, str(ROOT)]
    command += ["-C", f"build-dir={tmp_path / 'build'}", *([] if isolated else ["--no-build-isolation"])]
    environment = {**os.environ, "PATH": str(tools), "CC": "/nonexistent/cc", "CXX": "/nonexistent/c++"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (target / "deblur" / "__init__.py").is_file()
    assert not list(target.rglob("libdeblur_cpu*"))
    assert (target / "deblur" / "_cuda" / "band.cuh").is_file()  # compiled where they run, by no compiler of the host

    why, _ = run(str(target), sysconfig.get_paths()["purelib"], bare=True)
    assert why.startswith("the package was installed without a C++ compiler")


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
def test_a_compiler_that_lacks_what_the_kernels_use_builds_nothing_and_fails_nothing(tmp_path):
    for number, (compiler, simulated) in enumerate((("Clang", "MSVC"), ("MSVC", ""))):
        toolchain, build = tmp_path / f"{number}.cmake", tmp_path / f"build-{number}"
        facts = {"ID_RUN": "TRUE", "ID": compiler, "FORCED": "TRUE"}
        lines = [f"set(CMAKE_CXX_COMPILER_{name} {value})" for name, value in facts.items()]
        toolchain.write_text("\n".join([*lines, f'set(CMAKE_CXX_SIMULATE_ID "{simulated}")', ""]))
        command = ["cmake", "-S", str(ROOT), "-B", str(build), f"-DCMAKE_TOOLCHAIN_FILE={toolchain}"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "the PyTorch reference will serve" in done.stdout
        subprocess.run(["cmake", "--install", str(build), "--prefix", str(tmp_path / "site")], check=True)
    assert not list(tmp_path.rglob("libdeblur_cpu*"))
    assert (tmp_path / "site" / "deblur" / "_cuda" / "band.cuh").is_file()
