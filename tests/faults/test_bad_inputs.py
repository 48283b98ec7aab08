"""Bad inputs of every kind: done right, or refused in one line, with nothing left behind, soon and in little memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.child import run_all
from faults.corpus import KINDS, faults
from faults.fault import Fault
from faults.law import held

GROUPS = (tuple(KINDS)[:6], tuple(KINDS)[6:])
EACH = 6
"""Inputs of a kind in a quick run; all of them in a slow one."""


def findings(kinds: tuple[str, ...], most: int | None) -> list[str]:
    counts: dict[str, list[str]] = {}
    for kind, fault in faults(0, tuple(dict.fromkeys(kinds))):
        counts.setdefault(kind, []).append(fault.name)
    chosen = [
        (kind, index)
        for kind, names in counts.items()
        for index in range(0, len(names), 1 if most is None else max(1, len(names) // most))
    ]
    return [f"{kind} {counts[kind][index]}: {wrong}" for kind, index, wrong in run_all(0, chosen) if wrong]


@pytest.mark.parametrize("kinds", GROUPS, ids=" ".join)
def test_some_of_every_kind_keep_to_the_law(kinds: tuple[str, ...]) -> None:
    assert findings(kinds, EACH) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_all_of_a_kind_keep_to_the_law(kind: str) -> None:
    assert findings((kind,), None) == []


def says(text: str, code: int = 1) -> Callable[[list[str]], int]:
    def main(words: list[str]) -> int:
        os.write(2, text.encode())
        return code

    return main


def leaves(name: str, code: int) -> Callable[[list[str]], int]:
    def main(words: list[str]) -> int:
        Path(name).write_bytes(b"x")
        os.write(2, b"deblur: error: no\n" if code else b"")
        return code

    return main


def fills(words: list[str]) -> int:
    held = bytearray(3 << 29)
    return 1 + os.write(2, b"deblur: error: no\n") * 0 + len(held) * 0


def raises(words: list[str]) -> int:
    raise ValueError("no")


@pytest.mark.parametrize(
    ("main", "finding"),
    [
        (says("deblur: error: no\n"), None),
        (says(""), "status 1 with 0 error lines"),
        (says("deblur: error: a\ndeblur: error: b\n"), "status 1 with 2 error lines"),
        (says("libpng warning: x\ndeblur: error: no\n"), "not our line"),
        (says("deblur: error: internal error, KeyError\n"), "internal error"),
        (says("deblur: error: \x1b[2J\n"), "characters that no terminal shows"),
        (says("deblur: error: " + "x" * 2000 + "\n"), "a line of 2015 characters"),
        (says("", 3), "status 3"),
        (leaves("o.png", 1), "left behind: o.png"),
        (leaves("o.png", 0), "o.png cannot be read"),
        (leaves("x", 0), "written: x"),
        (leaves("a.png", 1), "a.png is another one"),
        (fills, "MiB"),
        (raises, "raises ValueError"),
    ],
)
def test_the_law_finds_what_breaks_it(main: Callable[[list[str]], int], finding: str | None) -> None:
    found = held(Fault("x", ("apply", "a.png"), {"a.png": b"1"}), main)
    assert found == [] if finding is None else any(finding in each for each in found)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_process_that_dies_is_a_finding(tmp_path: Path) -> None:
    from faults.child import Child

    with Child(0) as child:
        assert child.problems("tables", 0) == []
        assert child._process is not None
        child._process.kill()
        child._process.wait()
        assert child.problems("tables", 0) == ["the process died (-9: SIGKILL)"]
        assert child.problems("tables", 0) == []
