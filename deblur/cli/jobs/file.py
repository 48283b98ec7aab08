"""What `apply` and `denoise` do to one picture file: read it, work on every page, write all that was asked for.

Imported when the command runs, not before: it needs torch.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from deblur import images, masking, metrics, restoring
from deblur.cli import console
from deblur.cli.jobs import figures, findings
from deblur.cli.jobs.report import Report
from deblur.cli.jobs.scores import Scores
from deblur.cli.outputs import STREAM, Job
from deblur.conversion import step_of
from deblur.errors import OptionError, ShapeError
from deblur.estimation import Estimate
from deblur.files import atomic_write, write_together
from deblur.images import Frame
from deblur.progress import OnStep
from deblur.psf import Kernel
from deblur.restoration import Restoration
from deblur.transfer import Transfer
from deblur.window import Window

__all__ = ["FileOptions", "Task", "Work", "process_file"]


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
class Work:
    """What is done to one picture.

    Attributes:
        process: process(part, whole, on_step) processes `part`, which is `whole` or a region of it.
        margin: rows and columns of surroundings that a region needs to come out as in the whole picture.
        kernel: shown in a comparison and a report, or None.
        found: how that was found, where it was not given.
        curve: tells, for a report, the one between stored values and light.
    """

    process: Callable[[Frame, Frame, OnStep], Restoration]
    margin: tuple[int, int]
    kernel: Kernel | None = None
    found: Estimate | None = None
    curve: Callable[[], Transfer] | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is done to every picture, and how it is spoken of.

    Attributes:
        begin: begin(whole, bar) looks at a picture, which may take long, and says what is to be done to it.
        result_label: the word for the result, `deblurred`: the file is NAME.deblurred.EXT.
        source_label: the word for what came in, `blurred`; used in comparisons.
        doing: the word for what is done, `restoring`; used in progress.
        dithers: whether a result that is smoother than the steps of an 8-bit file is dithered.
        hint: what to try where it diverges.
    """

    begin: Callable[[Frame, console.Bar], Work]
    result_label: str
    source_label: str
    doing: str
    dithers: bool = False
    hint: str


@dataclass(frozen=True, kw_only=True)
class _Page:
    """One page of a file: as it was, as it is now, and what is said of it."""

    before: Frame
    after: Frame
    work: Work
    told: Report


def process_file(
    job: Job,
    task: Task,
    options: FileOptions,
    *,
    truths: Sequence[Frame] | None = None,
    force: bool = False,
    as_json: bool = False,
) -> list[Report]:
    """Restore all pages of one file and write them, all or none; one report a page."""
    data = images.read_bytes(job.source)
    name = "standard input" if job.source == STREAM else job.source
    read = images.read_frames(data, black=options.black, white=options.white, missing=True, fewer_bits=True, name=name)
    frames = [masking.without_nan(frame) for frame in read]
    file_format = images.output_format(job.output) if job.named else images.written_as(frames[0].format)
    parts = [
        frame.window(*Window.around(options.region, (frame.height, frame.width), (0, 0)).shown) for frame in frames
    ]
    images.check_storable(parts, file_format, options.quality)
    lost = images.losses(parts, file_format)
    if not as_json:
        for line in (*lost, *_disguised(job, file_format)):
            console.note(f"{job.source}: {line}")
    copied = options.region is None and options.quality is None and file_format == frames[0].format
    data = data if copied else b""  # not needed again
    if truths is not None and len(truths) != len(frames):
        raise ShapeError(f"expected a truth of {len(frames)} page(s) like the picture, got {len(truths)}")
    for path, option in ((job.compare, "--compare"), (job.report, "--report"), (job.kernel, "--kernel-out")):
        if path is not None and len(frames) > 1:
            what = {"--compare": "a comparison", "--report": "a report", "--kernel-out": "a kernel file"}[option]
            raise OptionError(f"{what} shows one picture, this file has {len(frames)} pages; leave {option} out")
    pages = [
        _page(
            frame,
            read[page],
            job,
            task,
            options,
            name=job.source if len(frames) == 1 else f"{job.source} page {page + 1}",
            truth=None if truths is None else truths[page],
            lossless=file_format not in images.LOSSY,
        )
        for page, frame in enumerate(frames)
    ]
    outputs = _beside(job, pages[0])
    if copied and all(page.told.restoration.untouched for page in pages):
        outputs.append((job.output, partial(_copy, job.output, data)))
    else:
        shown = [page.after for page in pages]
        write = partial(images.write_frames, job.output, shown, quality=options.quality, format=file_format)
        outputs.append((job.output, write))
    write_together(outputs, force=force)
    if as_json:  # a program reads them with the rest
        return [dataclasses.replace(page.told, notes=(*lost, *page.told.notes)) for page in pages]
    return [page.told for page in pages]


def _disguised(job: Job, file_format: str) -> tuple[str, ...]:
    """The line that says that a file's name stands for another format than its bytes, which the output keeps."""
    if job.output == STREAM or images.format_named(job.output) in (None, file_format):
        return ()
    return (f"its bytes are those of a {file_format} file, and so will be those of {job.output}",)


def _page(
    frame: Frame,
    read: Frame,
    job: Job,
    task: Task,
    options: FileOptions,
    *,
    name: str,
    truth: Frame | None,
    lossless: bool,
) -> _Page:
    """Restore one page, or the part of it that was asked for; `read` has what is not a number in it, too."""
    start = time.perf_counter()
    size = frame.height, frame.width
    asked = Window.around(options.region, size, (0, 0))  # refuses a region before the work
    before = frame.window(*asked.shown)
    sharp = None if truth is None else _part_of_truth(truth, frame, before, asked)
    with console.Bar(Path(name).name, task.doing) as bar:
        work = task.begin(frame, bar)
        window = Window.around(options.region, size, work.margin)
        seen, inside = frame.window(*window.seen), (slice(None), *window.inside)
        bar.stage(task.doing)
        result = work.process(seen, frame, bar)
    step = step_of(job.source, frame) if task.dithers and lossless else None
    done = restoring.restored(seen, result, f"{task.hint}; nothing was written", step=step)
    scores = None if sharp is None else Scores.of(before.pixels, result.image[inside], sharp)
    pixels = read.window(*window.shown).pixels if result.untouched else done.pixels[inside]
    found = work.found
    told = Report(
        image=name,
        output=job.output,
        source_label=task.source_label,
        restoration=result,
        found=found,
        seconds=time.perf_counter() - start,
        kernel=job.kernel,
        scores=scores,
        notes=tuple(dict.fromkeys((*frame.notes, *(() if found is None else _notes(found)), *result.notes))),
    )
    return _Page(before=before, after=dataclasses.replace(before, pixels=pixels), work=work, told=told)


def _notes(found: Estimate) -> tuple[str, ...]:
    return *found.notes, *found.warnings


def _beside(job: Job, page: _Page) -> list[tuple[str, Callable[..., object]]]:
    """What is written beside a picture."""
    outputs: list[tuple[str, Callable[..., object]]] = []
    work = page.work
    if job.compare is not None:
        both = figures.side_by_side(page.before, page.after, work.kernel)
        outputs.append((job.compare, partial(images.write_frames, job.compare, [both])))
    if job.report is not None and work.kernel is not None:
        panels = figures.panels(page.before, page.after.pixels, work.kernel, curve=work.curve and work.curve())
        outputs.append((job.report, partial(images.write_frames, job.report, [panels])))
    if job.kernel is not None and work.found is not None:
        outputs += findings.files(job.kernel, work.found)
    return outputs


def _copy(path: str, data: bytes, *, force: bool) -> None:
    """Write the bytes of a file as they are."""
    if path == STREAM:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        atomic_write(path, data, force=force)


def _part_of_truth(truth: Frame, frame: Frame, before: Frame, window: Window) -> Tensor:
    """The truth of the part shown, out of one of the whole frame (k - 1 larger, perhaps), or given as that part."""
    if len(truth.pixels) != len(frame.pixels):
        raise ShapeError(
            f"expected a truth of {len(frame.pixels)} channel(s) like the picture, got {len(truth.pixels)}"
        )
    if truth.dtype == frame.dtype:  # on the frame's scale
        shift, scale = truth.black - frame.black, truth.white - truth.black
        truth = dataclasses.replace(truth, pixels=(truth.pixels * scale + shift) / (frame.white - frame.black))
    whole = truth.height >= frame.height and truth.width >= frame.width
    pixels = metrics.common_part(truth.pixels, frame.pixels)[0][(slice(None), *window.shown)] if whole else truth.pixels
    metrics.common_part(before.pixels, pixels)  # refuses sizes that can't belong together, before the work
    return pixels
