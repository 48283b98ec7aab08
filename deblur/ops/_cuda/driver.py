"""The few calls of the CUDA driver that a launch needs, through ctypes.

torch and this module share the device's primary context, so tensors, streams and graphs are torch's own. A launch goes
to torch's current stream and waits for nothing.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any

import torch

__all__ = ["CaptureError", "Driver", "DriverError"]

_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_SHARED_MEMORY_OPT_IN = 97  # CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
_MAX_DYNAMIC_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES


class DriverError(RuntimeError):
    """The driver refused a call."""


class CaptureError(RuntimeError):
    """A kernel would have to be loaded while a CUDA graph is captured, which the driver forbids."""


class Driver:
    """The CUDA driver of this machine; raises DriverError where there is none."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise DriverError(f"the CUDA driver cannot be loaded ({error})") from None
        self._library.cuLaunchKernel.argtypes = [
            *([ctypes.c_void_p] + [ctypes.c_uint] * 7),
            *([ctypes.c_void_p] * 3),
        ]
        self._call("cuInit", 0)

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(status, ctypes.byref(text))
            raise DriverError(f"{name}: {text.value.decode() if text.value else status}")

    @functools.cache  # noqa: B019 - one driver a process
    def _context(self, device: int) -> ctypes.c_void_p:
        """The primary context of a device: torch's."""
        handle, context = ctypes.c_int(), ctypes.c_void_p()
        self._call("cuDeviceGet", ctypes.byref(handle), device)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), handle)
        return context

    def architecture(self, device: int) -> int:
        """The device's compute capability: 90 for 9.0."""
        major, minor = torch.cuda.get_device_capability(device)
        return 10 * major + minor

    @functools.cache  # noqa: B019
    def attribute(self, device: int, number: int) -> int:
        """One of the numbers that the driver knows of a device, by its CU_DEVICE_ATTRIBUTE."""
        handle, value = ctypes.c_int(), ctypes.c_int()
        self._call("cuDeviceGet", ctypes.byref(handle), device)
        self._call("cuDeviceGetAttribute", ctypes.byref(value), number, handle)
        return value.value

    def shared_limit(self, device: int) -> int:
        """Bytes of shared memory that one block may ask for."""
        return self.attribute(device, _SHARED_MEMORY_OPT_IN)

    def load(self, device: int, image: bytes, names: tuple[str, ...]) -> dict[str, ctypes.c_void_p]:
        """Load a cubin or PTX and return its kernels by name. Illegal while a graph is captured."""
        if torch.cuda.is_current_stream_capturing():
            raise CaptureError(
                "expected the kernels to be loaded before a CUDA graph is captured, got a capture without them; "
                "call deblur.ops.warmup() before"
            )
        self._call("cuCtxSetCurrent", self._context(device))
        module = ctypes.c_void_p()
        self._call("cuModuleLoadData", ctypes.byref(module), image)
        functions = {}
        for name in names:
            function = functions[name] = ctypes.c_void_p()
            self._call("cuModuleGetFunction", ctypes.byref(function), module, name.encode())
            self._call("cuFuncSetAttribute", function, _MAX_DYNAMIC_SHARED, self.shared_limit(device))
        return functions

    def launch(
        self,
        function: ctypes.c_void_p,
        device: int,
        grid: int,
        block: int,
        shared_bytes: int,
        arguments: ctypes.Structure,
        tensors: tuple[torch.Tensor, ...],
    ) -> None:
        """Start a kernel on torch's current stream; `tensors` are what its arguments point at."""
        with torch.cuda.device(device):
            # A thread that has not used CUDA yet, as those of autograd, has no current context.
            self._call("cuCtxSetCurrent", self._context(device))
            parameters = (ctypes.c_void_p * 1)(ctypes.addressof(arguments))
            stream = torch.cuda.current_stream(device).cuda_stream
            self._call("cuLaunchKernel", function, grid, 1, 1, block, 1, 1, shared_bytes, stream, parameters, None)
