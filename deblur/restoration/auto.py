"""Which method restores a frame, when and why: the one place where `method="auto"` is decided."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from deblur.config import replaced
from deblur.errors import OptionError, did_you_mean
from deblur.psf import Kernel
from deblur.restoration import RESTORERS
from deblur.restoration.restorer import Restorer

__all__ = [
    "DEFAULT_METHOD",
    "LARGE",
    "LARGE_SETTINGS",
    "QUIET",
    "SMALL_METHOD",
    "WORDS",
    "choose",
    "configured",
    "named",
]

DEFAULT_METHOD = "hyperlaplacian"
"""The best method that takes seconds for megapixels (see `benchmarks/`)."""

SMALL_METHOD = "flow"
"""The best method for small frames whose kernel is exactly known: it takes seconds there."""

SMALLEST, SMALL = 64, 2**16
"""A frame is small that has so many pixels on its shorter side at least, and so many values in all at most."""

QUIET = 0.004
"""Standard deviation of a photograph's noise, in stored values, below which the learned prior takes more than it gives:
on sixteen photographs of 96 pixels with noise of .002 it lost .33 dB in the mean, and with .01 it gained .65."""

WORDS: Mapping[str, str] = {"fast": "wiener", "best": SMALL_METHOD}
"""What a user may say in the place of a method, whatever the frame."""

LARGE = 2**19
"""Pixels from which on a method has its `LARGE_SETTINGS`."""

LARGE_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "flow": {"inner": 10, "prior": {"steps": 10}, "descent": {"steps": 8, "coarse": 8}}
}
"""Settings that make a slow method affordable in large frames: a megapixel takes less than half a minute."""


def choose(
    shape: tuple[int, ...],
    kernel: Kernel,
    method: str | Restorer = "auto",
    *,
    boundary: str = "unknown",
    prior: str | None = None,
    settings: Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> tuple[str, Restorer]:
    """Which method restores a frame, and with which settings.

    A method that is asked for is taken. `auto` takes

    - a method with a learned prior, where a file of one is given;
    - `flow`, the most accurate, where it takes seconds and is sure to be better: in a frame of at least 64 pixels a
      side and at most 65,536 values (256 x 256 in gray), whose kernel is exactly known, whose outside is not made up,
      where no settings of another method are given, and which is no photograph without noise;
    - `hyperlaplacian` elsewhere.

    In a frame of half a megapixel or more a slow method has lighter settings, unless some are given.

    Args:
        shape: (C, H, W) of the whole frame, also where only a part of it is restored.
        kernel: what blurred it.
        method: a name in `RESTORERS`, `auto`, `fast`, `best`, or a restorer, which is taken as it is.
        boundary: what lies outside the frame.
        prior: the file of a learned prior, or None.
        settings: fields of the method to change.
        quiet: whether it is a photograph whose noise is below `QUIET`.

    Returns:
        The method's name and the restorer.

    Raises:
        OptionError: an unknown method or setting (the closest known one is named), or a prior or settings for a method
            that takes none.
        FileError: the prior cannot be used.

    Example:
        >>> kernel = Kernel([[1.0, 1.0]])
        >>> [choose(shape, kernel)[0] for shape in ((1, 256, 256), (3, 256, 256))]
        ['flow', 'hyperlaplacian']
        >>> choose((1, 256, 256), kernel.replaced(confidence=0.9))[0]
        'hyperlaplacian'
    """
    if isinstance(method, Restorer):
        if prior is not None or settings:
            raise OptionError(
                "expected neither prior nor settings beside a restorer, which has its own; leave them out"
            )
        return type(method).__name__, method
    small = min(shape[-2:]) >= SMALLEST and math.prod(shape) <= SMALL
    plain = boundary in ("unknown", "circular") and not settings and prior is None and not quiet
    name = SMALL_METHOD if method == "auto" and small and plain and kernel.known else named(method, prior)
    if not settings and math.prod(shape[-2:]) >= LARGE:
        settings = LARGE_SETTINGS.get(name)
    return name, configured(name, settings, prior)


def named(method: str, prior: str | None = None) -> str:
    """The name in `RESTORERS` that a name or `auto` stands for in a frame that is not small.

    Args:
        method: a name in `RESTORERS`; `fast` or `best`; or `auto`: the default, or the first that takes a learned prior
            where there is one.
        prior: the file of a learned prior, or None.

    Raises:
        OptionError: an unknown method (the closest known one is named), or a prior for one that takes none.

    Example:
        >>> named("auto", "prior.pt")
        'flow'
    """
    known, method = list(RESTORERS), WORDS.get(method, method)
    if method not in ("auto", *known):
        raise OptionError(f"unknown method {method!r}{did_you_mean(method, ['auto', *WORDS, *known])}")
    if prior is None:
        return DEFAULT_METHOD if method == "auto" else method
    learned = [name for name in known if RESTORERS[name].learned]
    if method == "auto":
        return DEFAULT_METHOD if DEFAULT_METHOD in learned else learned[0]
    if method not in learned:
        raise OptionError(f"{method} takes no learned prior; use {' or '.join(learned)}, or leave out {prior}")
    return method


def configured(method: str, settings: Mapping[str, Any] | None = None, prior: str | None = None) -> Restorer:
    """The method `method` with some of its settings changed; `auto` is what `named` says.

    Args:
        method: a name in `RESTORERS`, or `auto`.
        settings: new values by field name; a mapping for a field that is itself a record (`{"prior": {"power":
            0.7}}`).
        prior: a checkpoint in place of the learned prior that comes with the package.

    Raises:
        OptionError: an unknown method or field (the closest known one is named), a value of the wrong type or range, or
            a prior for a method that takes none.
        FileError: the checkpoint cannot be used.

    Example:
        >>> configured("wiener", {"weight": 50}).weight
        50.0
    """
    name = named(method, prior)
    restorer: Restorer = replaced(RESTORERS[name], settings or {}, name)
    return restorer if prior is None else replaced(restorer, {"prior": {"file": prior}}, name)
