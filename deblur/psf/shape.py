"""What a made kernel is: a function of named, bounded parameters, and its text form ``name:parameter=value,...``.

A maker is a plain function whose keyword-only parameters are annotated with their range and unit::

    @shape(example="defocus:radius=4")
    def defocus(*, radius: Annotated[float, Within(0.1, 200, "px")], size: Size = None) -> Array: ...

From that one signature follow the range checks of a call from Python, the strict parsing of the text a user types, and
the list of parameters in an error. The array that a maker returns is normalised to sum 1 on its way out.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, ParamSpec, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from deblur.errors import OptionError, did_you_mean
from deblur.psf.array import check

__all__ = [
    "LARGEST",
    "Angle",
    "Array",
    "Parameter",
    "Size",
    "Within",
    "frame",
    "make_from",
    "offsets",
    "parameters",
    "shape",
]

Array = NDArray[np.float64]
Maker = Callable[..., Array]
P = ParamSpec("P")

LARGEST = 1025  # taps a side: a made kernel larger than that is a mistyped unit


@dataclass(frozen=True)
class Within:
    """The closed range of a parameter and its unit."""

    low: float
    high: float
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g} {self.unit}".rstrip()


Angle = Annotated[float, Within(-360, 360, "degrees")]
Size = Annotated[int | None, Within(1, LARGEST, "taps")]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a maker, read off its signature; not `required` where there is a default (None is one)."""

    name: str
    range: Within
    integer: bool
    required: bool
    default: float | None

    def __str__(self) -> str:
        default = "" if self.default is None else f", default {self.default:g}"
        return f"{self.name} ({self.range}{default})"

    def checked(self, value: object, maker: str) -> float:
        """The value as a number inside the range, else OptionError."""
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise OptionError(f"{maker}: expected {self.name} as a number ({self.range}), got {value!r}")
        if self.integer and float(value) != int(value if math.isfinite(value) else 0):
            raise OptionError(f"{maker}: expected {self.name} as a whole number ({self.range}), got {value:g}")
        if not self.range.low <= value <= self.range.high:  # a NaN fails here too
            raise OptionError(f"{maker}: expected {self.name} in {self.range}, got {value:g}")
        return int(value) if self.integer else float(value)


def shape(example: str) -> Callable[[Callable[P, Array]], Callable[P, Array]]:
    """Make a kernel maker of a function: ranges checked on the way in, sum 1 on the way out, `example` its text."""

    def decorate(maker: Callable[P, Array]) -> Callable[P, Array]:
        @functools.wraps(maker)
        def made(*args: P.args, **kwargs: P.kwargs) -> Array:
            known = parameters(made)
            for name, value in kwargs.items():
                if value is not None and name in known:
                    kwargs[name] = known[name].checked(value, maker.__name__)
            return check(maker(*args, **kwargs))

        made.example = example  # type: ignore[attr-defined]
        return made

    return decorate


@functools.cache
def parameters(maker: Maker) -> dict[str, Parameter]:
    """The parameters of a maker, in the order of its signature."""
    function = inspect.unwrap(maker)
    hints = get_type_hints(function, include_extras=True)
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        kind, range_ = get_args(hints[name])[:2]
        required = parameter.default is parameter.empty
        default = None if required else parameter.default
        found[name] = Parameter(name, range_, kind is int or int in get_args(kind), required, default)
    return found


def make_from(shapes: Mapping[str, Maker], spec: str) -> Array:
    """The kernel that a text such as ``motion:length=15,angle=30`` names; OptionError says what is wrong with it."""
    name, _, rest = spec.partition(":")
    name = name.strip().lower()
    if name not in shapes:
        raise OptionError(f"unknown kernel {name!r}{did_you_mean(name, shapes)}, or a file")
    maker, given = shapes[name], {}
    known, example = parameters(maker), getattr(maker, "example", name)
    for item in filter(None, (part.strip() for part in rest.split(","))):
        key, equals, text = (part.strip() for part in item.partition("="))
        if not equals or not key or not text:
            raise OptionError(f"{name}: expected parameter=value, got {item!r}; as in {example}")
        if key not in known:
            listed = ", ".join(map(str, known.values()))
            raise OptionError(f"{name}: unknown parameter {key!r}{did_you_mean(key, known, listed)}")
        if key in given:
            raise OptionError(f"{name}: {key} is given twice; keep one")
        given[key] = _number(text, known[key], name)
    missing = [str(parameter) for parameter in known.values() if parameter.required and parameter.name not in given]
    if missing:
        raise OptionError(f"{name} needs {' and '.join(missing)}, as in {example}")
    return maker(**given)


def frame(maker: str, reach: tuple[float, float], size: int | None, *, cut: bool) -> tuple[int, int]:
    """Rows and columns of the smallest odd kernel that reaches so many pixels from its origin tap, or of `size`.

    `cut` says whether a smaller `size` may cut the shape's tails off (a Gaussian's); otherwise it is an error.
    """
    rows, columns = (2 * math.ceil(r - 1e-9) + 1 for r in reach)
    if size is None:
        if max(rows, columns) > LARGEST:
            wide = max(rows, columns)
            raise OptionError(f"{maker}: this kernel would be {wide} taps wide, at most {LARGEST} are made; give size=")
        return rows, columns
    if not cut and (size - 1) // 2 < max(rows, columns) // 2:
        raise OptionError(f"{maker}: expected a size of {max(rows, columns)} or more for this kernel, got {size}")
    return size, size


def offsets(count: int) -> Array:
    """The positions of `count` taps in a row relative to the origin tap ``count // 2``."""
    return np.arange(count, dtype=np.float64) - count // 2


def _number(text: str, parameter: Parameter, maker: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise OptionError(f"{maker}: expected {parameter.name} as a number ({parameter.range}), got {text!r}") from None
    return parameter.checked(value, maker)
