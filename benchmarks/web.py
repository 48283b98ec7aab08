"""How soon the page answers: a region restored again after another strength, and a process gone after a cancel.

    python benchmarks/web.py

A region of 512 x 512 of a photograph of one megapixel, gray and colour, twenty strengths; medians. Only the solver runs
again: what the frame shows about itself is kept.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

import deblur
from deblur.web.preview import Preview
from deblur.worker import Worker

KERNEL = "motion:length=11,angle=25"
CHANGES, CANCELS = 20, 20


def photograph(colour: bool) -> np.ndarray:
    """A picture of about a megapixel, blurred and noisy, as 8 bits."""
    sharp = np.tile(data.astronaut() if colour else data.camera(), (2, 2, 1)[: 3 if colour else 2])
    return np.asarray(deblur.blur(sharp, KERNEL, noise=0.01))


def looks(path: Path, folder: Path) -> list[float]:
    """Seconds of each change of the strength."""
    opened = Preview()
    opened.open(str(path))
    before, after, seconds = str(folder / "b.png"), str(folder / "a.png"), []
    for index in range(CHANGES + 1):
        start = time.perf_counter()
        opened.preview(KERNEL, [200, 200, 512, 512], {"strength": 0.5 + index / 10}, before, after)
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


async def cancels(path: Path, folder: Path) -> list[float]:
    """Seconds from a cancel until the process is gone."""
    seconds = []
    for index in range(CANCELS):
        worker = Worker()
        job = asyncio.create_task(worker.run(["fit", str(path), "-o", str(folder / f"{index}.npy"), "--json"]))
        await asyncio.sleep(3 + index / 5)
        start = time.perf_counter()
        await worker.cancel()
        seconds.append(time.perf_counter() - start)
        await job
    return seconds


def main() -> None:
    """Print the medians."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for colour in (False, True):
            path = folder / f"{'colour' if colour else 'gray'}.jpg"
            Image.fromarray(photograph(colour)).save(path, quality=92)
            seconds = looks(path, folder)
            print(f"{path.stem}: {statistics.median(seconds):.3f} s, at most {max(seconds):.3f} s")
        gone = asyncio.run(cancels(folder / "gray.jpg", folder))
        print(f"cancelled: gone after {statistics.median(gone):.2f} s, at most {max(gone):.2f} s")


if __name__ == "__main__":
    main()
