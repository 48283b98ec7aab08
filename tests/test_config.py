"""Settings from YAML: default < file < flag, and every mistake refused by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from deblur import config
from deblur.errors import ConfigError, FileError, OptionError


@dataclass(frozen=True, kw_only=True)
class Inner:
    depth: int = 2
    name: str = "a"


@dataclass(frozen=True, kw_only=True)
class Options:
    method: str = "auto"
    noise: float | Literal["auto"] = "auto"
    boundary: Literal["unknown", "zero"] = "unknown"
    threads: int | None = None
    compare: bool = False
    strength: float = 1.0
    region: tuple[int, int, int, int] | None = None
    weights: tuple[float, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.strength <= 0:
            raise OptionError(f"expected a strength above 0, got {self.strength:g}")


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        path = tmp_path / "x.yaml"
        path.write_text(text)
        return path

    return write


def test_precedence_is_default_then_file_then_flag(file: Any) -> None:
    path = file("method: tv\nboundary: zero\n")
    made = config.load(Options, path, {"method": "wiener", "boundary": None, "threads": 3})
    assert made == Options(method="wiener", boundary="zero", threads=3)


def test_no_file_and_no_flags_are_the_defaults() -> None:
    assert config.load(Options, None) == Options()


def test_an_empty_file_changes_nothing(file: Any) -> None:
    assert config.load(Options, file("# nothing\n")) == Options()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("noise: 0.01", {"noise": 0.01}),
        ("noise: 2.5/255", {"noise": 2.5 / 255}),
        ("noise: 1e-3", {"noise": 1e-3}),
        ("settings: {tolerance: 1e-3}", {"settings": {"tolerance": 1e-3}}),  # text to YAML 1.1
        ("noise: auto", {"noise": "auto"}),
        ("threads: null", {"threads": None}),
        ("region: [1, 2, 3, 4]", {"region": (1, 2, 3, 4)}),
        ("weights: [1, 0.5]", {"weights": (1.0, 0.5)}),
        ("settings: {steps: 3}", {"settings": {"steps": 3}}),
        ("inner: {depth: 5}", {"inner": Inner(depth=5)}),
    ],
)
def test_values_become_what_the_annotation_says(file: Any, text: str, expected: dict[str, Any]) -> None:
    made = config.load(Options, file(text))
    assert made == Options(**expected)
    (name,) = expected
    assert type(getattr(made, name)) is type(expected[name])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metod: tv", "unknown key 'metod', did you mean 'method'? Known: boundary, compare"),
        ("qqq: 1", "unknown key 'qqq'; Known:"),
        ("inner: {dept: 5}", "unknown key 'inner.dept', did you mean 'depth'? Known: depth, name"),
        ("inner: {depth: deep}", "inner.depth: expected a whole number, got 'deep'"),
        ("inner: 3", "inner: expected `key: value` lines, got 3"),
        ("method: 3", "method: expected text, got 3"),
        ("method: [tv]", "method: expected text, got a list"),
        ("compare: 1", "compare: expected true or false, got 1"),
        ("threads: true", "threads: expected a whole number, got True"),
        ("threads: 2.5", "threads: expected a whole number, got 2.5"),
        ("noise: loud", "noise: expected a number or 'auto', got 'loud'"),
        ("noise: .inf", "noise: expected a number or 'auto', got inf"),
        ("noise: 1/0", "noise: expected a number or 'auto', got '1/0'"),
        ("boundary: reflec", "boundary: expected one of unknown, zero, got 'reflec'"),
        ("region: [1, 2]", "region: expected 4 values, got 2"),
        ("weights: [1, x]", "weights[1]: expected a number like 0.01 or 2.5/255, got 'x'"),
        ("settings: {1: 2}", "settings: expected names as keys, got 1"),
        ("- a\n- b", "expected `key: value` lines, got a list"),
        ("tv", "expected `key: value` lines, got 'tv'"),
        ("method: tv\nmethod: rl", "line 2: not valid YAML, key 'method' stands twice"),
        ("method: [tv", "line 1: not valid YAML"),
        ("method: !!python/object/apply:os.getcwd []", "line 1: not valid YAML, expected numbers, texts, lists and"),
        ("? [a]\n: b", "not valid YAML"),
        ("{1: a}", "unknown key '1'"),
    ],
)
def test_a_mistake_is_refused_with_file_and_key(file: Any, text: str, message: str) -> None:
    path = file(text)
    with pytest.raises(ConfigError) as caught:
        config.load(Options, path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mistake_in_the_file_is_refused_even_where_a_flag_overrides_it(file: Any) -> None:
    with pytest.raises(ConfigError, match="threads"):
        config.load(Options, file("threads: many"), {"threads": 2})


def test_a_refused_value_names_the_file_only_where_it_stands_there(file: Any) -> None:
    path = file("strength: -1")
    with pytest.raises(ConfigError) as caught:
        config.load(Options, path)
    assert str(caught.value) == f"{path}: expected a strength above 0, got -1"
    with pytest.raises(OptionError) as refused:
        config.load(Options, file("method: tv"), {"strength": -2.0})
    assert str(refused.value) == "expected a strength above 0, got -2"


def test_a_missing_file_is_a_file_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such configuration file"):
        config.load(Options, tmp_path / "none.yaml")
    with pytest.raises(FileError, match="cannot be read"):
        config.load(Options, tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xff\xfe\x00method")
    with pytest.raises(ConfigError, match="UTF-8"):
        config.load(Options, path)


@pytest.mark.parametrize(("text", "value"), [("51/255", 0.2), ("0.5", 0.5), ("1e-3", 1e-3), ("-2", -2.0)])
def test_numbers_as_people_write_them(text: str, value: float) -> None:
    assert config.number(text) == pytest.approx(value, abs=0)


@pytest.mark.parametrize("text", ["", "a", "1/0", "1/2/3", "nan", "inf", "1,5"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a number like"):
        config.number(text)


def test_a_record_is_changed_from_plain_values() -> None:
    record = Options(strength=2.0)
    changed = config.replaced(record, {"strength": 3, "inner": {"depth": 5}, "threads": 4}, "options")
    assert changed == Options(strength=3.0, inner=Inner(depth=5), threads=4)
    assert type(changed.strength) is float
    assert record == Options(strength=2.0)
    assert config.replaced(record, {"inner": Inner(name="b")}, "options").inner.name == "b"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strenght": 1.0}, "unknown setting of options 'strenght', did you mean 'strength'? Known: boundary"),
        ({"inner": {"dept": 1}}, "unknown setting of options.inner 'dept', did you mean 'depth'? Known: depth, name"),
        ({"compare": True}, "unknown setting of options 'compare'; Known: boundary"),
        ({"strength": "1"}, "expected options.strength to be a float like 1.0, got '1'"),
        ({"inner": {"depth": True}}, "expected options.inner.depth to be a int like 2, got True"),
        ({"strength": -1}, "expected a strength above 0, got -1"),
    ],
)
def test_a_change_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        config.replaced(Options(), changes, "options", fixed=["compare"])
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 5000 + "]" * 5000, "nested too deep"),
        ("a: &a [x, x]\nb: &b [*a, *a]\n" + "".join(f"k{i}: &k{i} [{'*b, ' * 9}]\n" for i in range(2)), None),
        ("a: &a [" + "x, " * 400 + "]\nb: &b [" + "*a, " * 400 + "]\n", "more by mentions of an anchor"),
        ("&a {model: *a}", "a value contains itself"),
        ("model: !!set {a, b}", "got the tag 'set'"),
        ("model: !!binary x", "got the tag 'binary'"),
        ("model: !!bool x", "not of the kind that its tag says"),
        ("n: " + "9" * 5000, "not valid YAML"),
        ("a: 2001-01-01", None),
        ("x" * 300_000 + ": 1", "of at most"),
    ],
)
def test_yaml_that_asks_too_much_is_refused_in_one_line(tmp_path: Path, text: str, message: str | None) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    if message is None:
        assert config.read(path)
        return
    with pytest.raises(ConfigError, match=message):
        config.read(path)


@dataclass(frozen=True)
class Needing:
    a: int


@dataclass(frozen=True)
class Holding:
    needing: Needing
    b: int = 0


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"expected needing, got none"):
        config.build(Holding, {})
    with pytest.raises(ConfigError, match=r"expected needing\.a, got none"):
        config.build(Holding, {"needing": {}})
