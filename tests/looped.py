"""One test for one fact: loops over choices of which `pytest.mark.parametrize` would make a test each."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable
from typing import Any

Test = Callable[..., None]

BOTH = (False, True)


def looped(**choices: Iterable[Any]) -> Callable[[Test], Test]:
    """Call a test once for every combination of its arguments `choices`; other arguments are fixtures as ever.

    All combinations are tried. Those that fail are named in the message, and the first failure is its cause.

    Example:
        >>> @looped(row=(1, 2), column=(3, 4))
        ... def test_that_the_row_is_small(row, column):
        ...     assert row < 2
        >>> test_that_the_row_is_small()
        Traceback (most recent call last):
        ...
        AssertionError: fails with row=2, column=3; row=2, column=4 (2 of 4): ...
    """
    every = [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def of_all(**fixtures: Any) -> None:
            failed: list[tuple[str, Exception]] = []
            for chosen in every:
                try:
                    test(**fixtures, **chosen)
                except Exception as error:
                    failed.append((", ".join(f"{name}={_word(value)}" for name, value in chosen.items()), error))
            if failed:
                first = failed[0][1]
                names = "; ".join(name for name, _ in failed)
                message = f"fails with {names} ({len(failed)} of {len(every)}): {type(first).__name__}: {first}"
                raise AssertionError(message) from first

        signature = inspect.signature(test)
        fixtures = [each for name, each in signature.parameters.items() if name not in choices]
        of_all.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        return of_all

    return decorate


def _word(value: object) -> str:
    return value.__name__ if callable(value) and hasattr(value, "__name__") else str(value)
