"""`deblur`: restore blurred pictures, with masked convolutions whose inverse is computed exactly.

The public names load what they need when they are first used, so that `import deblur` costs next to nothing.

    apply           restore an array with a known kernel
    fit             find the kernel from a blurred array, or from a sharp and a blurred one
    restore         the same for pixels (C, H, W) and all that goes with them, with a record of how it went
    denoise         remove noise from an array
    ApplyOptions    what may be chosen of a restoration
    FitOptions      what may be chosen of an estimation
    DenoiseOptions  what may be chosen of denoising

Example:
    >>> import deblur, numpy
    >>> deblur.apply(numpy.full((32, 32), 0.5), "motion:length=5,angle=30", transfer="linear").shape
    (32, 32)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deblur.denoising import DenoiseOptions, denoise
    from deblur.fitting import FitOptions, fit
    from deblur.restoring import ApplyOptions, apply, restore

__all__ = ["ApplyOptions", "DenoiseOptions", "FitOptions", "__version__", "apply", "denoise", "fit", "restore"]

__version__ = "0.1.0"

_LAZY = {
    "ApplyOptions": "deblur.restoring",
    "DenoiseOptions": "deblur.denoising",
    "FitOptions": "deblur.fitting",
    "apply": "deblur.restoring",
    "denoise": "deblur.denoising",
    "fit": "deblur.fitting",
    "restore": "deblur.restoring",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
