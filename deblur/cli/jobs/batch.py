"""What `apply` and `denoise` share: picture after picture from file to file, a bad one not stopping the others.

Imported when the command runs, not before: it needs torch.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from deblur import images, masking, metrics, restoring
from deblur.cli import console
from deblur.cli.jobs import figures
from deblur.cli.jobs.scores import Scores
from deblur.cli.jobs.window import Window
from deblur.cli.outputs import STREAM, Job, plan
from deblur.dithering import dithered
from deblur.errors import OptionError, ShapeError
from deblur.files import write_together
from deblur.images import Frame
from deblur.progress import OnStep
from deblur.psf import Kernel
from deblur.restoration import Restoration

__all__ = ["FileOptions", "Report", "Task", "run"]


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
        process: process(part, whole, on_step) processes `part`, which is `whole` or a region of it.
        result_label: the word for the result, `deblurred`: the file is NAME.deblurred.EXT.
        source_label: the word for what came in, `blurred`; used in comparisons.
        margin: rows and columns of surroundings that a region needs to come out as in the whole picture.
        kernel: shown in a comparison, or None.
        dithers: whether a result that is smoother than the steps of an 8-bit file is dithered.
        hint: what to try where it diverges.
    """

    process: Callable[[Frame, Frame, OnStep], Restoration]
    result_label: str
    source_label: str
    margin: tuple[int, int]
    kernel: Kernel | None = None
    dithers: bool = False
    hint: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is said of one restored picture (of one page, where a file has several)."""

    image: str
    output: str
    source_label: str
    restoration: Restoration
    scores: Scores | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        result = self.restoration
        parts = [result.method]
        if np.isfinite(result.sigma):
            levels = zip(("dark", "middle", "bright"), result.noise, strict=False)
            apart = ", ".join(f"{name} {255 * sigma:.1f}" for name, sigma in levels)
            parts.append(f"sigma {result.sigma:.4f} ({255 * result.sigma:.2f}/255{apart and '; ' + apart})")
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
            **({"noise": list(result.noise)} if result.noise else {}),
            "status": result.status,
            "residual": result.residual,
            "steps": result.steps,
            "seconds": round(result.seconds, 4),
            **({} if self.scores is None else self.scores.record(self.source_label)),
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
    jobs = plan(sources, output, result_label=task.result_label, compare=options.compare, force=force, read=read)
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
    read = images.read_frames(job.source, black=options.black, white=options.white, missing=True)
    frames = [masking.without_nan(frame) for frame in read]
    file_format = frames[0].format if job.output == STREAM else images.output_format(job.output)
    images.check_storable(frames, file_format, options.quality)
    if truths is not None and len(truths) != len(frames):
        raise ShapeError(f"expected a truth of {len(frames)} page(s) like the picture, got {len(truths)}")
    if job.compare is not None and len(frames) > 1:
        raise OptionError(f"a comparison shows one picture, this file has {len(frames)} pages; leave --compare out")
    shown, reports = [], []
    for page, frame in enumerate(frames):
        window = Window.around(options.region, (frame.height, frame.width), task.margin)
        before = frame.window(*window.shown)
        truth = None if truths is None else _part_of_truth(truths[page], frame, before, window)
        name = job.source if len(frames) == 1 else f"{job.source} page {page + 1}"
        result = _restored(frame.window(*window.seen), frame, task, Path(name).name)
        restored = dataclasses.replace(before, pixels=result.image[(slice(None), *window.inside)])
        scores = None if truth is None else Scores.of(before.pixels, restored.pixels, truth)
        report = Report(
            image=name,
            output=job.output,
            source_label=task.source_label,
            restoration=result,
            scores=scores,
            notes=(*frame.notes, *result.notes),
        )
        reports.append(report)
        lossless = file_format not in ("JPEG", "WebP")
        if task.dithers and frame.dtype == "uint8" and lossless:
            seen, step = frame.window(*window.seen), 1 / (frame.white - frame.black)
            written = dithered(result.image, seen.pixels, seen.place, step)[(slice(None), *window.inside)]
            restored = dataclasses.replace(restored, pixels=written)
        shown.append(restored)
    outputs: list[tuple[str, Callable[..., None]]] = []
    if job.compare is not None:
        shown_both = figures.side_by_side(before, shown[0], task.kernel)
        outputs.append((job.compare, partial(images.write_frames, job.compare, [shown_both])))
    outputs.append((job.output, partial(images.write_frames, job.output, shown, quality=options.quality)))
    write_together(outputs, force=force)
    return reports


def _restored(frame: Frame, whole: Frame, task: Task, name: str) -> Restoration:
    with console.Bar(name) as bar:
        result = task.process(frame, whole, bar)
    restoring.restored(frame, result, f"{task.hint}; nothing was written")
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
