"""Packages that only some formats need: they are asked for when such a file comes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from deblur.errors import FileError

__all__ = ["imported"]


def imported(module: str, extra: str, what: str, instead: str) -> Any:
    """A package that may not be installed.

    Args:
        module: what to import.
        extra: the extra of this project that brings it.
        what: what it reads.
        instead: what to do without it.

    Raises:
        FileError: it is not there.

    Example:
        >>> imported("math", "photo", "a picture", "export it").pi > 3
        True
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0].replace("_", "-")
        raise FileError(
            f"got {what}, for which {package} is missing; pip install 'deblur-wavefront[{extra}]', or {instead}"
        ) from error
