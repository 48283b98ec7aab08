"""Choose one of several by name, with settings: `{name: adam, lr: 1e-3}` in a configuration file.

Example:
    >>> class Half:
    ...     def __init__(self, *, of: float) -> None:
    ...         self.value = of / 2
    >>> chosen({"half": Half}, {"name": "half", "of": 3}, "number").value
    1.5
    >>> chosen({"half": Half}, {"name": "hafl"}, "number")
    Traceback (most recent call last):
    ...
    deblur.errors.ConfigError: number: unknown name 'hafl', did you mean 'half'? Known: half
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from deblur import config
from deblur.errors import ConfigError, did_you_mean

__all__ = ["chosen"]

T = TypeVar("T")


def chosen(choices: Mapping[str, Callable[..., T]], settings: Mapping[str, Any], what: str, *given: Any) -> T:
    """Make the choice that `settings["name"]` names, of the other settings.

    Args:
        choices: dataclasses, or other callables that take their settings by name.
        settings: `name`, and further settings.
        what: the kind of choice, for messages.
        given: what a callable that is no dataclass takes before its settings.

    Raises:
        ConfigError: no name, an unknown one or an unknown setting (the closest is named), or a value that is refused.
    """
    name = settings.get("name")
    if not isinstance(name, str):
        raise ConfigError(f"{what}: expected a name of {', '.join(sorted(choices))}, got {name!r}")
    if name not in choices:
        raise ConfigError(f"{what}: unknown name {name!r}{did_you_mean(name, choices)}")
    choice, others = choices[name], {key: value for key, value in settings.items() if key != "name"}
    try:
        if dataclasses.is_dataclass(choice):
            return config.build(choice, others)  # type: ignore[return-value]
        _check_known(choice, others, len(given))
        return choice(*given, **others)
    except (TypeError, ValueError, LookupError, ArithmeticError, RuntimeError) as error:  # whatever it makes of them
        raise ConfigError(f"{what} {name}: {error}") from error


def _check_known(choice: Callable[..., object], settings: Mapping[str, Any], given: int) -> None:
    known = list(inspect.signature(choice).parameters)[given:]
    for key in settings:
        if key not in known:
            raise ConfigError(f"unknown key {key!r}{did_you_mean(key, known)}")
