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


def test_a_run_that_takes_long_says_how_long_before_its_first_step(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bar("a.png") as bar:
        bar(Step(0, 10, seconds=42.0))
        bar(Step(1, 10))
        monkeypatch.setattr("deblur.cli.console.time.monotonic", lambda: 1e9)  # a second step that took for ever
        bar(Step(2, 10))
    with Bar("short.png") as bar:
        bar(Step(0, 10, seconds=4.0))
    assert capsys.readouterr().err.splitlines() == ["a.png: about 42 s"]
