"""YAML files as plain values, strictly: no objects, no key twice, numbers as everybody else writes them."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from deblur.errors import ConfigError, FileError

__all__ = ["read"]


def read(path: str | Path) -> dict[str, object]:
    """The mapping a YAML file holds; an empty file is an empty mapping.

    Raises:
        FileError: the file cannot be read.
        ConfigError: not a text, not YAML, a doubled key, or something else than a mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileError(f"{path}: there is no such configuration file; check the name") from None
    except UnicodeDecodeError:
        raise ConfigError(
            f"{path}: expected a YAML text file, got bytes that are no UTF-8 text; save it as text"
        ) from None
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        values = yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ConfigError(f"{path}: {line}not valid YAML, {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML, {' '.join(str(error).split())}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: expected `key: value` lines, got {'a list' if isinstance(values, list) else repr(values)}"
        )
    return values


class _StrictLoader(yaml.SafeLoader):
    """Plain YAML values only; a key given twice is an error, not a silent last word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # an unhashable key: refused below
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


# PyYAML follows YAML 1.1, to which 1e-3 is text for want of a point.
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)
