"""`deblur`: restore blurred pictures, with masked convolutions whose inverse is computed exactly.

The public names load what they need when they are first used, so that `import deblur` costs next to nothing.

    apply           restore a picture, with a kernel that is known or that it finds first
    fit             find the kernel from a blurred picture, or from a sharp and a blurred one
    denoise         remove noise from a picture
    blur            blur a sharp picture as a camera does

Each of them takes an array (H, W[, C]), a tensor (H, W), (C, H, W) or (B, C, H, W), a `Picture`, or the name of a
picture file, and has its options as keywords. Beneath them lie the jobs for a `Picture` and a record of options, with a
record of how it went:

    Picture         pixels (C, H, W) as they are stored, and all that goes with them
    restore         restore a picture; what may be chosen: ApplyOptions
    estimate        find a kernel; what may be chosen: FitOptions
    remove_noise    remove noise; what may be chosen: DenoiseOptions

`deblur.psf` has kernels, `deblur.ops` the masked convolution and its inverse, `deblur.metrics` the measures.

Example:
    >>> import deblur, numpy
    >>> deblur.apply(numpy.full((32, 32), 0.5), "motion:length=5,angle=30", transfer="linear").shape
    (32, 32)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deblur.blurring import blur
    from deblur.deblurring import apply
    from deblur.denoising import denoise, remove_noise
    from deblur.fitting import estimate, fit
    from deblur.options import ApplyOptions, DenoiseOptions, FitOptions
    from deblur.picture import Picture
    from deblur.restoring import restore

__all__ = [
    "ApplyOptions",
    "DenoiseOptions",
    "FitOptions",
    "Picture",
    "__version__",
    "apply",
    "blur",
    "denoise",
    "estimate",
    "fit",
    "remove_noise",
    "restore",
]

__version__ = "0.1.0"

_LAZY = {
    "ApplyOptions": "deblur.options",
    "DenoiseOptions": "deblur.options",
    "FitOptions": "deblur.options",
    "Picture": "deblur.picture",
    "apply": "deblur.deblurring",
    "blur": "deblur.blurring",
    "denoise": "deblur.denoising",
    "estimate": "deblur.fitting",
    "fit": "deblur.fitting",
    "remove_noise": "deblur.denoising",
    "restore": "deblur.restoring",
}


_MODULES = ("errors", "images", "metrics", "ops", "psf")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"deblur.{name}")
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
