"""Ctrl-C ends a command within a second, whatever its threads do, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
from skimage import data

SECONDS = 1.0
"""Within which it ends; the tests allow as much again, for a machine that is busy."""

THREADS = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from deblur import estimation, images
from deblur.cli import main

def busy(*_, **__):
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.map(time.sleep, 8 * [20])
        print("begun", flush=True)
        for _ in waiting:
            pass

@dataclass(frozen=True, kw_only=True)
class Busy:
    size: int | None = None

    def __call__(self, frames, **_):
        busy()

def write(file, *_):
    file.write(b"half")
    busy()

estimation.ESTIMATORS["busy"] = Busy
if "apply" in sys.argv:
    images.FORMATS["PNG"] = images.FORMATS["PNG"]._replace(write=write)
sys.exit(main())
"""
"""A command whose work is done by threads that take long: an estimator, or a picture that is being written."""


@pytest.mark.parametrize(
    "words",
    [
        ["fit", "b.png", "--model", "busy", "-o", "k.npy"],
        ["apply", "b.png", "-k", "box:size=3", "--method", "wiener", "-o", "new/"],
    ],
    ids=["finding", "writing"],
)
def test_ctrl_c_ends_at_once_and_leaves_nothing(folder: Path, words: list[str]) -> None:
    cv2.imwrite("b.png", data.camera()[100:180, 100:190])
    before = sorted(folder.rglob("*"))
    command = subprocess.Popen([sys.executable, "-c", THREADS, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert command.stdout is not None
    assert command.stderr is not None
    assert command.stdout.readline() == b"begun\n", command.stderr.read()
    start = time.monotonic()
    command.send_signal(signal.SIGINT)
    assert command.wait(timeout=20) == 130
    assert time.monotonic() - start < 2 * SECONDS
    assert (command.stdout.read(), command.stderr.read()) == (b"", b"")
    assert sorted(folder.rglob("*")) == before
