"""The work behind `deblur fit`: a picture in, its kernel out, with what goes beside it; all of the files or none.

Imported when the command runs, not before: it needs torch.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from deblur import fitting, images, masking, psf, restoring, words
from deblur.cli import console
from deblur.cli.jobs import figures, findings
from deblur.cli.outputs import Exists, check, is_folder, kernel_file, sidecar
from deblur.conversion import step_of
from deblur.errors import DeblurError, OptionError
from deblur.estimation import Estimate
from deblur.files import write_together
from deblur.images import Frame
from deblur.light import curve_of
from deblur.options import FitOptions
from deblur.progress import OnStep

__all__ = ["Settings", "Targets", "run"]


@dataclass(frozen=True, kw_only=True)
class Settings(FitOptions):
    """What a configuration file for `fit` may hold: the options of an estimation and how files are read.

    Attributes:
        black: the stored value that is black; None for the format's own.
        white: the stored value that is full scale; None for the format's own.
    """

    black: float | None = None
    white: float | None = None


@dataclass(frozen=True, kw_only=True)
class Targets:
    """The files to be written.

    Attributes:
        kernel: of the kernel; a folder, for `NAME.kernel.npy` of each picture in it; None for that beside the picture.
        restored: of the picture, restored, or None.
        report: of kernel, blurred, restored and residual side by side, or None.
        picture: of the drawn kernel, or None.
    """

    kernel: str | None = None
    restored: str | None = None
    report: str | None = None
    picture: str | None = None

    @property
    def shown(self) -> list[str]:
        """The pictures among them."""
        return [path for path in (self.restored, self.report, self.picture) if path is not None]

    def of(self, sources: Sequence[str], masked: bool) -> Targets:
        """Those of one kernel that is found from these pictures, with its file named."""
        return dataclasses.replace(self, kernel=kernel_file(sources[0], self.kernel, ".npz" if masked else ".npy"))


def run(
    sources: Sequence[str],
    sharp: str | None,
    settings: Settings,
    targets: Targets,
    *,
    together: bool = False,
    exists: Exists = "error",
    as_json: bool = False,
    read: Sequence[str] = (),
) -> int:
    """Find the kernel of every picture, write it and what was asked for, and say what was found.

    What concerns all of them (names, the mask) is checked first and raises; returns how many failed.

    Args:
        sources: the blurred pictures' files.
        sharp: the sharp picture's file, or None; beside one there is one kernel for all.
        settings: how to look, and how to read.
        targets: where to write.
        together: whether one blur is looked for that all pictures share.
        exists: what becomes of a picture with a file that exists, as `deblur.cli.outputs.plan` takes it.
        as_json: say it in JSON.
        read: further files that the command has read and so must not be written.
    """
    masked, mask = settings.model == "masked", masking.file_of(settings.mask)
    groups = [list(sources)] if together or sharp is not None else [[source] for source in sources]
    _check_number(len(sources), len(groups), targets)
    each = [targets.of(group, masked) for group in groups]
    for one in each:
        psf.check_name(str(one.kernel), factored=masked)
    for path in targets.shown:
        images.output_format(path)
    read = [*read, *([] if mask is None else [mask]), *([] if sharp is None else [sharp])]
    written = [
        (source, [str(one.kernel), sidecar(str(one.kernel)), *one.shown] if source == group[0] else [])
        for group, one in zip(groups, each, strict=True)
        for source in group
    ]
    skipped = check(written, [targets.kernel], read=read, exists=exists)
    settings = dataclasses.replace(settings, mask=masking.mask_named(settings.mask))  # read once
    failed = 0
    for group, one in zip(groups, each, strict=True):
        if group[0] in skipped:
            console.skipped(group[0], skipped[group[0]], as_json=as_json)
            continue
        try:
            _fit(group, sharp, settings, one, force=exists == "overwrite", as_json=as_json)
        except Exception as error:
            if os.environ.get("DEBLUR_DEBUG"):
                raise
            failed += 1
            console.error(console.blamed(group[0], error))
            if as_json:
                console.json_line({"images": group, "error": console.describe(error)})
    return failed


def _check_number(pictures: int, kernels: int, targets: Targets) -> None:
    """Refuse one file for what there are several of."""
    if pictures > 1 and (targets.restored or targets.report):
        raise OptionError("--restore and --report show one picture; run deblur apply for several")
    if kernels > 1 and targets.picture:
        raise OptionError("--picture shows one kernel; run deblur psf show for several")
    if kernels > 1 and targets.kernel is not None and not is_folder(targets.kernel):
        raise OptionError(
            f"{kernels} kernels can't go to the one file {targets.kernel}; give -o a folder, ending in '/' where it is "
            "to be made, or --together for one kernel of all pictures"
        )


def _fit(
    sources: Sequence[str], sharp: str | None, settings: Settings, targets: Targets, *, force: bool, as_json: bool
) -> None:
    """Find one kernel, write it, and say what was found."""
    kernel = str(targets.kernel)
    blurred = [_frame(source, settings) for source in sources]
    scenes = [] if sharp is None else [_frame(sharp, settings)]
    restored = None
    if targets.restored is not None:  # what its format can't hold is told before the work
        format = images.output_format(targets.restored)
        images.check_storable(blurred[:1], format)
        for note in images.losses(blurred[:1], format):
            console.note(f"{sources[0]}: {note}")
    with console.Bar(Path(sources[0]).name, "finding the blur") as bar:
        with _naming(sources, sharp):
            found = fitting.estimate(blurred, settings, sharp=scenes, on_step=bar)
        if targets.restored is not None or targets.report is not None:
            bar.stage("restoring")
            restored = _restored(blurred[0], found, settings, targets, bar)
    write_together(_outputs(found, blurred[0], restored, targets, settings), force=force)
    if as_json:
        about = {"images": list(sources), "sharp": sharp, "output": kernel, "found": words.of_kernel(found.kernel)}
        console.json_line({**about, **findings.record(found)})
    else:
        console.line(_summary(sources, found, kernel))
    for frame, source in zip(blurred, sources, strict=True):
        for note in frame.notes:
            console.note(f"{source}: {note}")
    for note in found.notes:
        console.note(f"{', '.join(sources)}: {note}")


def _frame(source: str, settings: Settings) -> Frame:
    frames = images.read_frames(source, black=settings.black, white=settings.white, missing=True, fewer_bits=True)
    if len(frames) > 1:
        raise OptionError(f"{source}: expected one picture, this file has {len(frames)} pages; save one of them alone")
    with _naming([source], None):
        return masking.without_nan(frames[0])


@contextmanager
def _naming(sources: Sequence[str], sharp: str | None) -> Iterator[None]:
    """Let an error about the pictures name their files."""
    try:
        yield
    except DeblurError as error:
        names = ", ".join([*sources, *([] if sharp is None else [sharp])])
        raise type(error)(f"{names}: {error}") from error


def _restored(frame: Frame, found: Estimate, settings: Settings, targets: Targets, on_step: OnStep) -> Frame:
    options = settings.restoring()
    if found.kernel.factors:
        options = dataclasses.replace(options, method="exact", boundary=found.boundary)
    result = restoring.restore(frame, found, options, on_step=on_step)
    lossless = targets.restored is not None and images.output_format(targets.restored) not in images.LOSSY
    step = step_of(targets.restored, frame) if lossless else None
    return restoring.restored(frame, result, "leaving --restore out; nothing was written", step=step)


def _outputs(
    found: Estimate, blurred: Frame, restored: Frame | None, targets: Targets, settings: Settings
) -> list[tuple[str, Callable[..., None]]]:
    """What to write, the kernel last: once it is there, all is."""
    outputs: list[tuple[str, Callable[..., None]]] = []

    def frame_to(path: str, frame: Frame) -> None:
        images.check_storable([frame], images.output_format(path))
        outputs.append((path, partial(images.write_frames, path, [frame])))

    if targets.picture is not None:
        drawn = torch.from_numpy(psf.draw(found.kernel)).float()[None] / 255
        frame_to(targets.picture, Frame(pixels=drawn))
    if restored is not None and targets.restored is not None:
        frame_to(targets.restored, restored)
    if restored is not None and targets.report is not None:
        curve, _ = curve_of(blurred, settings.transfer)
        frame_to(targets.report, figures.panels(blurred, restored.pixels, found.kernel, curve=curve))
    return [*outputs, *findings.files(str(targets.kernel), found)]


def _summary(sources: Sequence[str], found: Estimate, output: str) -> str:
    rows, columns = found.size
    parts = [f"{columns} x {rows} taps", found.kernel.source if ":" in found.kernel.source else found.method]
    if np.isfinite(found.sigma):
        parts.append(f"sigma {found.sigma:.4f} ({255 * found.sigma:.2f}/255)")
    if found.region is not None:
        parts.append("region " + ",".join(map(str, found.region)))
    line = "; ".join([*findings.said(found), ", ".join(parts), f"{found.seconds:.1f} s"])
    return "; ".join([f"{', '.join(sources)} -> {output}: {line}", *(f"warning: {each}" for each in found.warnings)])
