"""The work behind `deblur fit`: pictures in, one kernel out, with what goes beside it; all of the files or none.

Imported when the command runs, not before: it needs torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

import deblur
from deblur import fitting, images, masking, psf, restoring
from deblur.cli import console
from deblur.cli.jobs import figures
from deblur.errors import DeblurError, FileError, OptionError
from deblur.estimation import Estimate
from deblur.files import atomic_write, check_writable, write_together
from deblur.images import Frame
from deblur.light import curve_of
from deblur.options import FitOptions

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
    """The files to be written: the kernel, and what was asked for beside it."""

    kernel: str
    restored: str | None = None
    report: str | None = None
    picture: str | None = None

    @property
    def sidecar(self) -> str:
        """The JSON file beside the kernel."""
        return str(Path(self.kernel).with_suffix(".json"))

    def check(self, masked: bool, force: bool, read: Sequence[str]) -> None:
        """Refuse names that could not be written, before any work."""
        psf.check_name(self.kernel, factored=masked)
        pictures = [path for path in (self.restored, self.report, self.picture) if path is not None]
        for path in pictures:
            images.output_format(path)
        paths = [self.kernel, self.sidecar, *pictures]
        names = [str(Path(path).resolve()) for path in paths]
        for path, name in zip(paths, names, strict=True):
            if names.count(name) > 1:
                raise FileError(f"{path}: would be written twice; choose another name")
            if name in {str(Path(source).resolve()) for source in read}:
                raise FileError(f"{path}: is read and would be written too; choose another name")
            check_writable(path, force, sources=read)


def run(
    sources: Sequence[str],
    sharp: str | None,
    settings: Settings,
    targets: Targets,
    *,
    force: bool = False,
    as_json: bool = False,
    read: Sequence[str] = (),
) -> None:
    """Find the kernel, write it and what was asked for, and say what was found.

    Args:
        sources: the blurred pictures' files.
        sharp: the sharp picture's file, or None.
        settings: how to look, and how to read.
        targets: where to write.
        force: overwrite.
        as_json: say it in JSON.
        read: further files that the command has read and so must not be written.
    """
    masked = settings.model == "masked"
    mask = masking.file_of(settings.mask)
    read = [*read, *([] if mask is None else [mask])]
    targets.check(masked, force, [*read, *sources, *([] if sharp is None else [sharp])])
    if len(sources) > 1 and (targets.restored or targets.report):
        raise OptionError("--restore and --report show one picture; run deblur apply for several")
    settings = dataclasses.replace(settings, mask=masking.mask_named(settings.mask))  # read once
    blurred = [_frame(source, settings) for source in sources]
    scenes = [] if sharp is None else [_frame(sharp, settings)]
    with console.Bar(Path(sources[0]).name) as bar, _naming(sources, sharp):
        found = fitting.estimate(blurred, settings, sharp=scenes, on_step=bar)
    restored = None
    if targets.restored is not None or targets.report is not None:
        restored = _restored(blurred[0], found, settings, Path(sources[0]).name)
    write_together(_outputs(found, blurred[0], restored, targets, settings), force=force)
    record = {"images": list(sources), "sharp": sharp, "output": targets.kernel, **_record(found)}
    if as_json:
        console.json_line(record)
    else:
        console.line(_summary(found, targets.kernel))
    for frame, source in zip(blurred, sources, strict=True):
        for note in frame.notes:
            console.note(f"{source}: {note}")
    for note in found.notes:
        console.note(f"{', '.join(sources)}: {note}")


def _frame(source: str, settings: Settings) -> Frame:
    frames = images.read_frames(source, black=settings.black, white=settings.white, missing=True)
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


def _restored(frame: Frame, found: Estimate, settings: Settings, name: str) -> Frame:
    options = settings.restoring()
    if found.kernel.factors:
        options = dataclasses.replace(options, method="exact", boundary=found.boundary)
    with console.Bar(f"{name}, restored") as bar:
        result = restoring.restore(frame, found, options, on_step=bar)
    restoring.restored(frame, result, "leaving --restore out; nothing was written")
    return dataclasses.replace(frame, pixels=result.image)


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
    about = {str(key): console.finite(value) for key, value in _record(found).items()}
    for path, data in psf.encode(targets.kernel, found.kernel, about=about):
        outputs.append((str(path), partial(atomic_write, path, data)))
    return outputs


def _record(found: Estimate) -> dict[str, object]:
    """What the sidecar and --json say."""
    return {
        "method": found.method,
        "size": list(found.size),
        "sigma": found.sigma,
        "confidence": found.kernel.confidence,
        "misfit": found.kernel.misfit,
        "source": found.kernel.source,
        "status": found.status,
        "warnings": list(found.warnings),
        "notes": list(found.notes),
        "region": None if found.region is None else list(found.region),
        "steps": found.steps,
        "seconds": round(found.seconds, 3),
        "version": deblur.__version__,
        "details": {key: _plain(value) for key, value in found.details.items()},
    }


def _plain(value: object) -> object:
    """Numbers, texts, lists and mappings as JSON has them."""
    if isinstance(value, np.ndarray | torch.Tensor):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _summary(found: Estimate, output: str) -> str:
    rows, columns = found.size
    parts = [f"{columns} x {rows} taps", found.kernel.source if ":" in found.kernel.source else found.method]
    if np.isfinite(found.sigma):
        parts.append(f"sigma {found.sigma:.4f} ({255 * found.sigma:.2f}/255)")
    if found.region is not None:
        parts.append("region " + ",".join(map(str, found.region)))
    parts += [f"confidence {found.confidence:.2f}", f"{found.seconds:.1f} s"]
    line = f"{output}: {', '.join(parts)}"
    return "; ".join([line, *(f"warning: {warning}" for warning in found.warnings)])
