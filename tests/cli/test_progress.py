"""What a job says of its progress stands beside its bar."""

from __future__ import annotations

import io
import sys
from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data

from deblur.cli.console import Bar
from deblur.progress import Step


class Terminal(io.StringIO):
    """Takes what is drawn."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fit", "b.png", "--sharp", "s.png", "--transfer", "linear", "-o", "k.npy"], ["9 x 9 taps", "done"]),
        (["apply", "b.png", "-k", "box:size=3", "--method", "tv", "-o", "r.png"], ["residual"]),
        (["denoise", "b.png", "--noise", "0.1", "-o", "d.png"], ["0/1"]),
    ],
)
def test_the_text_of_a_step_is_shown(
    run: Any, monkeypatch: pytest.MonkeyPatch, words: list[str], said: list[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for name in ("b.png", "s.png"):
        cv2.imwrite(name, data.camera()[100:180, 100:190])
    assert run(*words).code == 0
    for text in said:
        assert text in terminal.getvalue(), text


def test_a_share_becomes_a_step() -> None:
    assert Step.share(0.5, "half") == Step(500, 1000, "half")
    assert [Step.share(x).index for x in (-1.0, 2.0, np.float64(1))] == [0, 1000, 1000]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in its only entry."""
    now = [100.0]
    monkeypatch.setattr("deblur.cli.console.time.monotonic", lambda: now[0])
    return now


def test_a_job_that_takes_long_says_how_long_before_its_first_step(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    with Bar("a.png", "restoring") as bar:
        bar(Step(0, 10, seconds=42.0))
        bar(Step(1, 10))
        clock[0] += 11
        bar(Step(2, 10))
        clock[0] += 40  # longer than was said
        bar(Step(6, 10))
        bar(Step(10, 10))
    with Bar("short.png") as bar:
        bar(Step(0, 10, seconds=4.0))
    assert capsys.readouterr().err.splitlines() == [
        "a.png: restoring, about 42 s left",
        "a.png: restoring, 20%, about 31 s left",
        "a.png: restoring, 60%, about 34 s left",
    ]


def test_a_job_says_how_far_it_is_every_ten_seconds_at_most(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    with Bar("a.png", "finding the blur") as bar:
        for index in range(1, 101):
            clock[0] += 0.3
            bar(Step(index, 100))
        bar.stage("restoring")  # its time counts from here, its lines from the last one
        for index in range(1, 6):
            clock[0] += 2
            bar(Step(index, 10, "residual 0.1"))
    assert capsys.readouterr().err.splitlines() == [
        "a.png: finding the blur, 34%, about 20 s left",
        "a.png: finding the blur, 68%, about 10 s left",
        "a.png: restoring, 10%, about 18 s left",
    ]


def test_a_short_job_says_nothing(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    with Bar("a.png", "finding the blur") as bar:
        for index in range(1, 10):
            clock[0] += 1.1
            bar(Step(index, 10))
        bar(Step(10, 10))
    assert capsys.readouterr().err == ""


def test_a_stage_has_a_bar_of_its_own_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Bar("a.png", "finding the blur") as bar:
        bar(Step(1, 10))
        bar.stage("restoring")
        bar(Step(1, 10))
    assert "a.png: finding the blur:" in terminal.getvalue()
    assert "a.png: restoring:" in terminal.getvalue()
