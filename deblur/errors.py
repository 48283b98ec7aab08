"""The errors of the package: one family, so that the command line catches it in one place.

Every message is one line that says what was expected, what came and what to do. Each child also inherits the builtin
that a NumPy user would catch.

Example:
    >>> try:
    ...     raise KernelError("a kernel needs a positive sum, this one sums to 0; check the file")
    ... except ValueError as error:
    ...     print(error)
    a kernel needs a positive sum, this one sums to 0; check the file
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DeblurError",
    "DeblurWarning",
    "DivergedError",
    "DtypeError",
    "FileError",
    "KernelError",
    "OptionError",
    "ShapeError",
    "SingularAnchorError",
    "UnstableInverseError",
    "did_you_mean",
]


class DeblurError(Exception):
    """Whatever the package refuses to do, with the reason in one line."""


class DeblurWarning(UserWarning):
    """What a function of the package had to guess or left out, in one line with what to type if it is wrong."""


class ShapeError(DeblurError, ValueError):
    """An array whose shape does not fit."""


class DtypeError(DeblurError, TypeError):
    """An array whose type is not supported."""


class OptionError(DeblurError, ValueError):
    """A setting outside its range, or an unknown name."""


class ConfigError(OptionError):
    """A configuration file that cannot be used: an unknown key, a wrong type, broken YAML."""


class FileError(DeblurError, OSError):
    """A file that cannot be read, understood or written."""


class DivergedError(DeblurError, ArithmeticError):
    """An iteration whose numbers became infinite or undefined."""


class KernelError(DeblurError, ValueError):
    """A blur kernel that cannot be one: empty, all zero, not finite, or of a wrong shape."""


class SingularAnchorError(DeblurError, ValueError):
    """The anchor of a masked convolution is not invertible, so neither is the convolution."""


class UnstableInverseError(DeblurError, ArithmeticError):
    """An exact inverse that exists on paper but amplifies rounding or noise without bound."""


def did_you_mean(word: str, known: Iterable[str], listed: str = "") -> str:
    """The end of an error about an unknown word: the closest known one, if any is close, and all of them.

    Args:
        word: what was given.
        known: what would have been right.
        listed: the known words as a text that says more about them.

    Example:
        >>> did_you_mean("wienr", ["wiener", "tv"])
        ", did you mean 'wiener'? Known: tv, wiener"
    """
    words = sorted(known)
    near = difflib.get_close_matches(word, words, n=1)
    return f"{f', did you mean {near[0]!r}?' if near else ';'} Known: {listed or ', '.join(words)}"
