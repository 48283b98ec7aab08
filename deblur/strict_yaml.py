"""YAML files as plain values, strictly: no objects, no key twice, numbers as everybody else writes them."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from deblur import sources
from deblur.errors import ConfigError, FileError

__all__ = ["read"]


def read(path: str | Path) -> dict[str, object]:
    """The mapping a YAML file holds; an empty file is an empty mapping.

    Raises:
        FileError: the file cannot be read.
        ConfigError: not a text, not YAML, a doubled key, or something else than a mapping.
    """
    try:
        text = sources.read_bytes(path).decode("utf-8")
    except FileNotFoundError:
        raise FileError(f"{path}: there is no such configuration file; check the name") from None
    except UnicodeDecodeError:
        raise ConfigError(
            f"{path}: expected a YAML text file, got bytes that are no UTF-8 text; save it as text"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{path}: cannot be read ({reason})") from error
    if len(text) > _LONGEST:
        raise ConfigError(f"{path}: expected a YAML file of at most {_LONGEST} characters, got {len(text)}")
    try:
        values = yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ConfigError(f"{path}: {line}not valid YAML, {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML, {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(f"{path}: expected values within a few others, got them nested too deep") from None
    except ValueError as error:  # a number that Python has no value for
        raise ConfigError(f"{path}: not valid YAML, {error}") from None
    except (KeyError, IndexError, TypeError, AttributeError):  # what PyYAML makes of a tag that its text does not have
        raise ConfigError(f"{path}: not valid YAML, a value is not of the kind that its tag says") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: expected `key: value` lines, got {'a list' if isinstance(values, list) else repr(values)}"
        )
    return values


_LONGEST = 1 << 18
"""Characters; PyYAML reads a million in a minute."""

_MOST = 100_000
"""Values that a file stands for when each mention of an anchor is written out."""

_PLAIN = {
    f"tag:yaml.org,2002:{kind}" for kind in ("bool", "float", "int", "map", "merge", "null", "seq", "str", "value")
}


class _StrictLoader(yaml.SafeLoader):
    """Plain YAML values only; a key given twice is an error, not a silent last word."""

    def get_single_node(self) -> yaml.Node | None:
        """The whole file, which holds numbers, texts, lists and mappings, and not too many of them."""
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            self._count(node, {})
        return node

    def _count(self, node: yaml.Node, counted: dict[int, int]) -> int:
        """How many values a node stands for; `counted` knows it of others, 0 of those that it stands within."""
        if node.tag not in _PLAIN:
            kind = node.tag.removeprefix("tag:yaml.org,2002:")
            raise self._refusal(node, f"expected numbers, texts, lists and mappings, got the tag {kind!r}")
        if id(node) in counted:
            if counted[id(node)] == 0:
                raise self._refusal(node, "a value contains itself")
            return counted[id(node)]
        counted[id(node)] = 0
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            inner = list(node.value)
        elif isinstance(node, yaml.MappingNode):
            inner = [each for pair in node.value for each in pair]
        total = counted[id(node)] = 1 + sum(self._count(each, counted) for each in inner)
        if total > _MOST:
            raise self._refusal(node, f"expected at most {_MOST} values, got more by mentions of an anchor")
        return total

    def _refusal(self, node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
        return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)

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

# A date is the text that it is written as.
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if not tag.endswith(":timestamp")]
    for first, known in _StrictLoader.yaml_implicit_resolvers.items()
}
