"""The driver's calls, made by the product's own code to a library with their prototypes that runs the emulator.

What is missing to the real thing is torch's part (streams, devices, capture: patched here) and the device.
"""

from __future__ import annotations

import contextlib
import ctypes
from types import SimpleNamespace

import emulated
import pytest
import torch

from deblur.ops._cuda import driver as cuda_driver
from deblur.ops._cuda import modules
from deblur.ops._cuda.driver import CaptureError, Driver, DriverError

STREAM = 0x7F0012345678  # more than 32 bits

pytestmark = pytest.mark.skipif(emulated.why_not_emulated() is not None, reason=str(emulated.why_not_emulated()))


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    monkeypatch.setenv("DEBLUR_CACHE", str(emulated.BUILD / "images"))
    monkeypatch.setattr(cuda_driver, "_LIBRARY", str(emulated.driver_library()))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=STREAM))
    return Driver()


def toolkit(driver: Driver) -> modules.Toolkit:
    sources = modules.find_sources()
    return modules.Toolkit(compiler=emulated.HostCompiler(), driver=driver, sources=sources)


@pytest.mark.parametrize(
    "case",
    [
        emulated.Case(shape=(2, 1, 40, 50), taps=(3, 4)),
        emulated.Case(shape=(1, 1, 45, 42), taps=(41, 40)),  # more shared memory than a block gets without asking
        emulated.Case(shape=(2, 6, 9, 7), taps=(3, 3), groups=2, transpose=True),
    ],
    ids=str,
)
def test_kernels_are_loaded_and_launched(driver: Driver, case: emulated.Case) -> None:
    case.check(toolkit(driver))


def test_the_device_says_what_it_has(driver: Driver) -> None:
    assert driver.architecture(0) == 90
    assert driver.shared_limit(0) == 99 * 1024


def test_torchs_current_stream_is_passed_on(driver: Driver) -> None:
    emulated.Case(shape=(1, 1, 3, 3), taps=(2, 2)).check(toolkit(driver))
    asked = driver._library.emulator_last_stream
    asked.restype = ctypes.c_void_p
    assert asked() == STREAM


def test_a_thread_without_a_context_gets_one(driver: Driver) -> None:
    case, kit = emulated.Case(shape=(1, 1, 3, 3), taps=(2, 2)), toolkit(driver)
    case.check(kit)
    assert driver._library.cuCtxSetCurrent(None) != 0  # as in a new thread
    case.check(kit)


def test_what_the_driver_refuses_is_an_error_with_its_words(driver: Driver) -> None:
    with pytest.raises(DriverError, match="cuModuleLoadData: device kernel image is invalid"):
        driver.load(0, b"not an image", ("deblur_band_solve",))
    with pytest.raises(DriverError, match="cuDeviceGet: refused"):
        driver.shared_limit(5)


def test_nothing_is_loaded_while_a_graph_is_captured(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with pytest.raises(CaptureError, match=r"call deblur\.ops\.warmup\(\) before"):
        driver.load(0, b"", ("deblur_band_solve",))


def test_a_machine_without_a_driver_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_driver, "_LIBRARY", "libcuda-that-is-not-there.so")
    with pytest.raises(DriverError, match="the CUDA driver cannot be loaded"):
        Driver()
