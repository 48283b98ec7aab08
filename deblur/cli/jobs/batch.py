"""What `apply` and `denoise` share: picture after picture from file to file, a bad one not stopping the others.

Imported when the command runs, not before: it needs torch.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from deblur import images, metrics
from deblur.cli import console
from deblur.cli.evaluate import score
from deblur.cli.jobs import comparison
from deblur.cli.jobs.window import Window, crop
from deblur.cli.outputs import STREAM, Job, plan
from deblur.errors import DeblurError, OptionError, ShapeError
from deblur.images import Frame
from deblur.progress import OnStep
from deblur.restoration import Restoration

__all__ = ["FileOptions", "Report", "Scores", "Task", "run"]


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """How files are read and written.

    Attributes:
        black: the stored value that is black; None for the format's own.
        white: the stored value that is full scale; None for the format's own.
        quality: of JPEG and WebP files, 1 to 100; None for high.
        region: x, y, width and height of the part to restore; None for all of it.
        compare: also write a picture of before and after.
    """

    black: float | None = None
    white: float | None = None
    quality: int | None = None
    region: tuple[int, int, int, int] | None = None
    compare: bool = False

    def __post_init__(self) -> None:
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise OptionError(f"expected a quality of 1 to 100, got {self.quality}")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is done to every picture, and how it is spoken of.

    Attributes:
        restore: the record of a frame, or of a part of the frame that comes second; the third argument is told after
            every step.
        made: what the picture is then: it goes to `NAME.made.EXT`.
        came: what it was before.
        context: rows and columns around a part of a frame that what becomes of it depends on.
        kernel: shown in a comparison, or None.
        advice: what to try where it diverges.
    """

    restore: Callable[[Frame, Frame, OnStep], Restoration]
    made: str
    came: str
    context: tuple[int, int]
    kernel: NDArray[np.float64] | None = None
    advice: str


@dataclass(frozen=True)
class Scores:
    """How near the truth a picture is, as restored and as it came; see `deblur.metrics`."""

    psnr: float
    ssim: float
    psnr_before: float
    ssim_before: float

    def __str__(self) -> str:
        gain = self.psnr - self.psnr_before
        return (
            f"PSNR {self.psnr_before:.2f} -> {self.psnr:.2f} dB ({gain:+.2f}), "
            f"SSIM {self.ssim_before:.4f} -> {self.ssim:.4f}"
        )

    def record(self, came: str) -> dict[str, float]:
        """The same for a program to read; what the picture came as is in the names."""
        before = {f"psnr_{came}": self.psnr_before, f"ssim_{came}": self.ssim_before}
        return {"psnr": self.psnr, "ssim": self.ssim, **before}


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is said of one restored picture (of one page, where a file has several)."""

    image: str
    output: str
    came: str
    restoration: Restoration
    scores: Scores | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        result = self.restoration
        parts = [result.method]
        if np.isfinite(result.sigma):
            parts.append(f"sigma {result.sigma:.4f} ({255 * result.sigma:.2f}/255)")
        limit = " (the limit)" if result.status == "limit" else ""
        parts += [f"{result.steps} step{'s' * (result.steps != 1)}{limit}", f"{result.seconds:.2f} s"]
        if self.scores is not None:
            parts.append(str(self.scores))
        return f"{self.image} -> {self.output}: {', '.join(parts)}"

    def record(self) -> dict[str, object]:
        """The same for a program to read."""
        result = self.restoration
        return {
            "image": self.image,
            "output": self.output,
            "method": result.method,
            "sigma": result.sigma,
            "status": result.status,
            "residual": result.residual,
            "steps": result.steps,
            "seconds": round(result.seconds, 4),
            **({} if self.scores is None else self.scores.record(self.came)),
            "notes": self.notes,
        }


def run(
    sources: Sequence[str],
    task: Task,
    options: FileOptions,
    *,
    output: str | None = None,
    truth: str | None = None,
    force: bool = False,
    as_json: bool = False,
    read: Sequence[str] = (),
) -> int:
    """Restore every picture and report on each; returns how many failed.

    What concerns all of them (truth, the outputs' names) is checked first and raises.

    Args:
        sources, output: as `deblur.cli.outputs.plan` takes them.
        task: what to do to them.
        options: how to read and write.
        truth: the file of the sharp picture.
        force: overwrite.
        as_json: report in JSON.
        read: further files that the command has read and so must not be written.
    """
    read = [*read, *([] if truth is None else [truth])]
    jobs = plan(sources, output, made=task.made, compare=options.compare, force=force, read=read)
    streaming = any(job.output == STREAM for job in jobs)
    if streaming and sys.stdout.isatty():
        raise OptionError("a picture can't be shown on the terminal; send stdout to a file or give -o FILE")
    if STREAM in sources and sys.stdin.isatty():
        raise OptionError("a picture can't be typed; send a file to stdin or name it")
    truths = None if truth is None else images.read_frames(truth)
    failed = 0
    for job in jobs:
        try:
            for report in _file(job, task, options, truths=truths, force=force):
                _print(report, as_json=as_json, on_stderr=streaming)
        except Exception as error:
            if os.environ.get("DEBLUR_DEBUG"):
                raise
            failed += 1
            console.error(_blame(job, error))
            if as_json:
                console.json_line({"image": job.source, "error": console.describe(error)}, on_stderr=streaming)
    return failed


def _file(
    job: Job, task: Task, options: FileOptions, *, truths: Sequence[Frame] | None = None, force: bool = False
) -> list[Report]:
    """Restore all pages of one file and write them, all or none; one report a page."""
    frames = images.read_frames(job.source, black=options.black, white=options.white)
    file_format = frames[0].format if job.output == STREAM else images.output_format(job.output)
    images.check_storable(frames, file_format, options.quality)
    if truths is not None and len(truths) != len(frames):
        raise ShapeError(f"expected a truth of {len(frames)} page(s) like the picture, got {len(truths)}")
    if job.compare is not None and len(frames) > 1:
        raise OptionError(f"a comparison shows one picture, this file has {len(frames)} pages; leave --compare out")
    shown, reports = [], []
    for page, frame in enumerate(frames):
        window = Window.around(options.region, (frame.height, frame.width), task.context)
        before = crop(frame, window.shown)
        truth = None if truths is None else _part_of_truth(truths[page], frame, before, window)
        name = job.source if len(frames) == 1 else f"{job.source} page {page + 1}"
        result = _restored(crop(frame, window.seen), frame, task, Path(name).name)
        restored = dataclasses.replace(before, pixels=result.image[(slice(None), *window.inside)])
        scores = None if truth is None else _scores(before.pixels, restored.pixels, truth)
        notes = (*frame.notes, *result.notes)
        report = Report(image=name, output=job.output, came=task.came, restoration=result, scores=scores, notes=notes)
        reports.append(report)
        shown.append(restored)
    if job.output != STREAM:
        Path(job.output).parent.mkdir(exist_ok=True)  # a folder that -o asked for
    images.write_frames(job.output, shown, quality=options.quality, force=force)
    if job.compare is not None:
        shown_both = comparison.side_by_side(before, shown[0], task.kernel)
        images.write_frames(job.compare, [shown_both], force=force)
    return reports


def _restored(frame: Frame, whole: Frame, task: Task, name: str) -> Restoration:
    with console.Bar(name) as bar:
        result = task.restore(frame, whole, bar)
    if result.status == "diverged":
        raise DeblurError(
            f"{result.method} diverged after {result.steps} steps, nothing was written; try {task.advice}"
        )
    return result


def _part_of_truth(truth: Frame, frame: Frame, before: Frame, window: Window) -> Tensor:
    """The truth of the part shown, out of one of the whole frame (k - 1 larger, perhaps), or given as that part."""
    if len(truth.pixels) != len(frame.pixels):
        raise ShapeError(
            f"expected a truth of {len(frame.pixels)} channel(s) like the picture, got {len(truth.pixels)}"
        )
    whole = truth.height >= frame.height and truth.width >= frame.width
    pixels = metrics.common_part(truth.pixels, frame.pixels)[0][(slice(None), *window.shown)] if whole else truth.pixels
    metrics.common_part(before.pixels, pixels)  # refuses sizes that can't belong together, before the work
    return pixels


def _scores(came: Tensor, restored: Tensor, truth: Tensor) -> Scores:
    after, before = metrics.common_part(restored, truth), metrics.common_part(came, truth)
    return Scores(
        metrics.psnr(*after), score(metrics.ssim, *after), metrics.psnr(*before), score(metrics.ssim, *before)
    )


def _print(report: Report, *, as_json: bool, on_stderr: bool) -> None:
    if as_json:
        console.json_line(report.record(), on_stderr=on_stderr)
        return
    console.line(str(report), on_stderr=on_stderr)
    for note in report.notes:
        console.note(f"{report.image}: {note}")


def _blame(job: Job, error: Exception) -> str:
    """The error's line, starting with the file it is about."""
    text = console.describe(error)
    name = "standard input" if job.source == STREAM else job.source
    return text if name in text else f"{name}: {text}"
