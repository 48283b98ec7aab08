"""Blur kernels (point spread functions): made by name, read from files, described, and factored for exact solves.

The taps of a kernel are a float64 array (kh, kw) with sum 1, or (C, kh, kw) with one kernel per channel. It blurs by
convolution,

    y[p] = sum_t taps[t] x[p - (t - origin)],

so it is the picture of a single point of light. **Its origin is the tap (kh // 2, kw // 2), even sizes included**: a
restored pixel p shows the scene at the blurred pixel p. Rows count downwards, angles counter-clockwise from the x axis
as one sees the picture.

    Kernel      the record: taps, and what is known about them
    make        the taps of a kernel from a text: "motion:length=15,angle=30"; SHAPES lists the makers
    read, save  kernels in files, with what is known about them; resolve takes either a file or a text
    Reading, understood, remarks        what the numbers of a kernel stand for
    check, fits, flip, trim, origin     the array itself
    describe, draw                      what one wants to know of a kernel, and see
    masked_form                         the blur as a masked convolution, where it is one
    factorize                           four masked convolutions for P = K^T K + q L^T L
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deblur.psf.airy import airy
from deblur.psf.array import check, fits, flip, origin, trim
from deblur.psf.box import box
from deblur.psf.defocus import defocus
from deblur.psf.draw import draw
from deblur.psf.exponential import exponential
from deblur.psf.files import READERS, check_name, encode, read, save
from deblur.psf.gaussian import gaussian
from deblur.psf.kernel import Kernel
from deblur.psf.laplace import laplace
from deblur.psf.motion import motion
from deblur.psf.quadrant import MaskedForm, masked_form
from deblur.psf.reading import Reading, remarks, understood
from deblur.psf.shake import shake
from deblur.psf.shape import make_from

if TYPE_CHECKING:
    from deblur.psf.description import Description, describe
    from deblur.psf.factorization import Factors, factorize

__all__ = [
    "SHAPES",
    "Description",
    "Factors",
    "Kernel",
    "MaskedForm",
    "Reading",
    "airy",
    "box",
    "check",
    "check_name",
    "defocus",
    "describe",
    "draw",
    "encode",
    "exponential",
    "factorize",
    "fits",
    "flip",
    "gaussian",
    "laplace",
    "make",
    "masked_form",
    "motion",
    "origin",
    "read",
    "remarks",
    "resolve",
    "save",
    "shake",
    "trim",
    "understood",
]

SHAPES: dict[str, Callable[..., NDArray[np.float64]]] = {
    "airy": airy,
    "box": box,
    "defocus": defocus,
    "exponential": exponential,
    "gaussian": gaussian,
    "laplace": laplace,
    "motion": motion,
    "shake": shake,
}

_LAZY = {  # these need torch, which takes seconds to import
    "Description": "deblur.psf.description",
    "describe": "deblur.psf.description",
    "Factors": "deblur.psf.factorization",
    "factorize": "deblur.psf.factorization",
}


def make(spec: str) -> NDArray[np.float64]:
    """Make a kernel from a text ``name:parameter=value,...``.

    Raises:
        OptionError: an unknown name or parameter (the closest known one is named), a parameter missing, given twice,
            not a number or outside its range.

    Example:
        >>> make("box:size=3").round(3)
        array([[0.111, 0.111, 0.111],
               [0.111, 0.111, 0.111],
               [0.111, 0.111, 0.111]])
        >>> make("box:size=0")
        Traceback (most recent call last):
        deblur.errors.OptionError: box: expected size in 0.1 to 500 px, got 0
    """
    return make_from(SHAPES, spec)


def resolve(text: str | os.PathLike[str], *, flip: bool = False, reading: Reading | None = None) -> Kernel:
    """The kernel that a user asks for: a file where the text names one (by a suffix or a folder), else a made one.

    Args:
        text: a path, or ``name:parameter=value,...``.
        flip: the file stores a correlation kernel (a made one is turned round just the same).
        reading: what the numbers of a file stand for; a made kernel needs none.

    Raises:
        FileError, KernelError, OptionError: as `read` and `make` do.
    """
    if isinstance(text, os.PathLike) or _names_a_file(text):
        return read(text, flip=flip, **asdict(reading or Reading()))
    kernel = Kernel(make(text), source=text)
    return kernel.flipped() if flip else kernel


def _names_a_file(text: str) -> bool:
    path = Path(text)
    if path.suffix.lower() in READERS:
        return True
    head = text.partition(":")[0]
    return head not in SHAPES and (path.suffix[1:].isalpha() or "/" in head or "\\" in text)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
