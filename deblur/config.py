"""Settings from a YAML file, strictly: into a dataclass, with unknown names and wrong types refused helpfully.

Precedence: the dataclass's default, then the file, then what was given by hand (a flag).

Example:
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Options:
    ...     method: str = "auto"
    ...     strength: float = 1.0
    >>> build(Options, {"strength": 2})
    Options(method='auto', strength=2.0)
    >>> build(Options, {"strenght": 2})
    Traceback (most recent call last):
    ...
    deblur.errors.ConfigError: unknown key 'strenght', did you mean 'strength'? Known: method, strength
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from deblur.errors import ConfigError, OptionError, did_you_mean
from deblur.strict_yaml import read

__all__ = ["LARGEST", "build", "load", "number", "read", "replaced"]

T = TypeVar("T")

LARGEST = 2**53
"""Of a whole number: a float holds all of them up to here."""


def load(cls: type[T], path: str | Path | None, flags: Mapping[str, object] | None = None) -> T:
    """Make `cls` from its defaults, then the YAML file (if any), then the flags whose value is not None.

    Args:
        cls: a dataclass; its annotations say which keys and types the file may hold.
        path: the YAML file, or None for none.
        flags: values given by hand; None means "not given".

    Raises:
        FileError: the file cannot be read.
        ConfigError: broken YAML, an unknown or doubled key, a value of the wrong type or one that `cls` refuses; the
            message starts with the file and names the key.
        OptionError: `cls` refuses what the flags say.
    """
    values = {} if path is None else read(path)
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    # the file is checked as a whole, even where a flag overrides it
    values = _fields(cls, values, f"{path}: " if path is not None else "", "")
    try:
        return cls(**{**values, **given})
    except OptionError as error:
        if path is not None and _refuses(cls, values):
            raise ConfigError(f"{path}: {error}") from None
        raise


def _refuses(cls: type[Any], values: Mapping[str, Any]) -> bool:
    """Whether these values are wrong by themselves."""
    try:
        cls(**values)
    except OptionError:
        return True
    return False


def build(cls: type[T], values: Mapping[str, object]) -> T:
    """Make the dataclass `cls` from plain values, as a YAML file holds them; errors as for `load`."""
    return _made(cls, _fields(cls, values, "", ""))


def replaced(record: T, changes: Mapping[str, Any], what: str, *, fixed: Collection[str] = ()) -> T:
    """A copy of a record with some fields changed, from plain values.

    A value must be of the type that the field holds now; an int serves for a float, a mapping changes a field that is
    itself a record, and a field that holds None takes anything, which the record itself has to check.

    Args:
        record: an instance of a dataclass.
        changes: new values by field name.
        what: the record's name in messages.
        fixed: the fields that may not be changed; they count as unknown.

    Raises:
        OptionError: an unknown field (the closest known one is named), a value of another type, or one that the record
            refuses.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Prior:
        ...     weight: float = 1.0
        >>> replaced(Prior(), {"weight": 2}, "prior")
        Prior(weight=2.0)
        >>> replaced(Prior(), {"weight": "much"}, "prior")
        Traceback (most recent call last):
        ...
        deblur.errors.OptionError: expected prior.weight to be a float like 1.0, got 'much'
    """
    kept = {field.name: getattr(record, field.name) for field in dataclasses.fields(typing.cast(Any, record))}
    known = [name for name in kept if name not in fixed]
    made = {}
    for name, value in changes.items():
        if name not in known:
            raise OptionError(f"unknown setting of {what} {name!r}{did_you_mean(name, known)}")
        made[name] = _of_the_kind(kept[name], value, f"{what}.{name}")
    return typing.cast(T, dataclasses.replace(typing.cast(Any, record), **made))


def _of_the_kind(present: Any, value: Any, what: str) -> Any:
    """`value` for a field that now holds `present`, or OptionError."""
    if dataclasses.is_dataclass(present) and isinstance(value, Mapping):
        return replaced(present, value, what)
    if type(present) is float and type(value) is int:
        return float(value)
    if present is not None and type(value) is not type(present):
        raise OptionError(f"expected {what} to be a {type(present).__name__} like {present!r}, got {value!r}")
    return value


def number(text: str) -> float:
    """A number as people write it: `0.01`, `1e-3` or a fraction like `2.5/255`.

    Raises:
        ConfigError: anything else; infinite and undefined values too.

    Example:
        >>> number("51/255")
        0.2
    """
    top, slash, bottom = text.partition("/")
    try:
        value = float(top) / float(bottom) if slash else float(top)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"expected a number like 0.01 or 2.5/255, got {text!r}")
    return value


def _fields(cls: type[Any], values: Mapping[Any, object], start: str, where: str) -> dict[str, Any]:
    """The checked keyword arguments for `cls`; `start` names the file and `where` the place in it, for messages."""
    known = {field.name for field in dataclasses.fields(cls) if field.init}
    hints = typing.get_type_hints(cls)
    made = {}
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{start}unknown key {where + str(key)!r}{did_you_mean(str(key), known)}")
        try:
            made[key] = _convert(hints[key], value, where + key)
        except (_MismatchError, ConfigError) as error:
            raise ConfigError(f"{start}{error}") from None
        except OptionError as error:  # what a record in this place refuses
            raise ConfigError(f"{start}{where}{key}: {error}") from None
    return made


def _made(cls: type[T], values: dict[str, Any], where: str = "") -> T:
    """The record of these values; what it has no default for must be there."""
    for field in dataclasses.fields(typing.cast(Any, cls)):
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if field.init and needed and field.name not in values:
            raise ConfigError(f"expected {where}{field.name}, got none")
    return cls(**values)


class _MismatchError(Exception):
    """A value that is not of the type its key asks for; carries the message."""


def _convert(hint: Any, value: object, where: str) -> Any:
    """`value` as the annotation `hint` wants it, or _MismatchError."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or hint is object:
        return value
    if origin in (typing.Union, types.UnionType):
        return _convert_union(hint, value, where)
    if origin is typing.Literal:
        if any(value == choice and type(value) is type(choice) for choice in arguments):
            return value
        raise _MismatchError(f"{where}: expected one of {', '.join(map(str, arguments))}, got {value!r}")
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return _made(typing.cast(Any, hint), _fields(typing.cast(Any, hint), value, "", f"{where}."), f"{where}.")
    if hint is float and not isinstance(value, bool) and isinstance(value, int | float | str):
        return _real(value, where)
    if hint is int and type(value) is int and abs(value) > LARGEST:
        raise _MismatchError(f"{where}: expected a whole number of at most {LARGEST}, got {value:.3g}")
    if hint in (int, bool, str) and type(value) is hint:
        return value
    if (origin or hint) in (tuple, list) and isinstance(value, list):
        return _convert_sequence(origin or hint, arguments, value, where)
    if (origin or hint) in (dict, Mapping) and isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise _MismatchError(f"{where}: expected names as keys, got {', '.join(map(repr, value))}")
        inner = arguments[1] if arguments else Any
        return {key: _convert(inner, item, f"{where}.{key}") for key, item in value.items()}
    raise _MismatchError(f"{where}: expected {_name(hint)}, got {_kind(value)}")


def _convert_union(hint: Any, value: object, where: str) -> Any:
    if value is None and type(None) in typing.get_args(hint):
        return None
    members = [member for member in typing.get_args(hint) if member is not type(None)]
    if len(members) == 1:
        return _convert(members[0], value, where)
    for member in members:
        try:
            return _convert(member, value, where)
        except _MismatchError:
            continue
    raise _MismatchError(f"{where}: expected {_name(hint)}, got {_kind(value)}")


def _convert_sequence(kind: Any, arguments: tuple[Any, ...], value: list[Any], where: str) -> Any:
    if not arguments:
        return kind(value)
    if kind is list or (len(arguments) == 2 and arguments[1] is Ellipsis):
        inner: list[Any] = [arguments[0]] * len(value)
    else:
        inner = list(arguments)
    if len(inner) != len(value):
        raise _MismatchError(f"{where}: expected {len(inner)} values, got {len(value)}")
    return kind(_convert(one, item, f"{where}[{i}]") for i, (one, item) in enumerate(zip(inner, value, strict=True)))


def _real(value: float | str, where: str) -> float:
    try:
        return number(str(value))
    except ConfigError as error:
        raise _MismatchError(f"{where}: {error}") from None


def _name(hint: Any) -> str:
    """A type in a user's words."""
    words = {float: "a number", int: "a whole number", bool: "true or false", str: "text", type(None): "null"}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_name(member) for member in arguments)
    if origin is typing.Literal:
        return " or ".join(map(repr, arguments))
    if (origin or hint) in (tuple, list):
        return "a list"
    if (origin or hint) in (dict, Mapping) or dataclasses.is_dataclass(hint):
        return "`key: value` lines"
    return words.get(hint) or str(hint)


def _kind(value: object) -> str:
    """A value in a user's words."""
    if isinstance(value, Mapping):
        return "`key: value` lines"
    if isinstance(value, list):
        return "a list"
    return "null" if value is None else repr(value)
