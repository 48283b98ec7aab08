"""The options of `deblur apply` are those of a restoration, no more and no fewer."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from typing import Any, Literal

import pytest

from deblur.cli.apply import apply
from deblur.cli.blur import blur
from deblur.cli.jobs.apply import Settings
from deblur.psf.operator import BOUNDARIES
from deblur.transfer import TRANSFERS


def _choices(command: Any, option: str) -> set[str]:
    """The words that an option takes, off its annotation."""
    hint = typing.get_type_hints(command)[option]
    for member in (hint, *typing.get_args(hint)):
        if typing.get_origin(member) is Literal:
            return set(typing.get_args(member))
    raise AssertionError(f"{option} takes any word")


def test_every_setting_has_a_flag() -> None:
    flags = {name.rstrip("_") for name in typing.get_type_hints(apply)}
    assert {field.name for field in dataclasses.fields(Settings)} - {"settings"} <= flags


@pytest.mark.parametrize(
    ("command", "option", "known"),
    [
        (apply, "boundary", set(BOUNDARIES)),
        (apply, "transfer", {"auto", *TRANSFERS}),
        (blur, "boundary", {"valid", *BOUNDARIES} - {"unknown"}),
        (blur, "transfer", {"auto", *TRANSFERS}),
    ],
)
def test_the_words_of_an_option_are_those_of_the_package(command: Any, option: str, known: set[str]) -> None:
    assert _choices(command, option) == known


def test_a_flag_that_is_not_given_leaves_the_setting_to_the_file() -> None:
    parameters = inspect.signature(apply).parameters
    for field in dataclasses.fields(Settings):
        if field.name != "settings":
            name = field.name if field.name in parameters else f"{field.name}_"
            assert parameters[name].default is None, name
