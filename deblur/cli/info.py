"""`deblur info`: what is installed, and what serves the computation here."""

from __future__ import annotations

from deblur.cli import console
from deblur.cli.options import Json

__all__ = ["info"]


def info(as_json: Json = False) -> None:
    """Show versions and what serves here.

    Which native kernels loaded (or why not), threads, GPU, methods and kernel shapes.
    """
    record = _collect()
    if as_json:
        console.json_line(record)
        return
    for key, value in record.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        console.line(f"{key.replace('_', ' '):16} {text}")


def _collect() -> dict[str, object]:
    import platform
    from importlib import import_module

    import torch

    import deblur
    from deblur import psf, restoration
    from deblur.device import processors
    from deblur.ops import _cuda, _native

    native = _native.describe() if _native.available() else f"none, the slower reference serves: {_native.why_not()}"
    packages = ("torch", "numpy", "scipy", "cv2", "skimage", "tifffile")
    gpus = (
        [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    return {
        "deblur": deblur.__version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{name: str(import_module(name).__version__) for name in packages},
        "native_kernels": native,
        "threads": f"{torch.get_num_threads()} of {processors()}",
        "gpu": gpus or "none",
        "cuda_kernels": [_cuda.describe(i) for i in range(len(gpus))] or f"none: {_cuda.why_not()}",
        "methods": list(restoration.RESTORERS),
        "kernel_shapes": list(psf.SHAPES),
    }
