"""Which file each picture and each kernel goes to, decided and checked before any work is done."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from deblur.errors import FileError, OptionError

__all__ = ["STREAM", "Exists", "Job", "check", "is_folder", "kernel_file", "on_exists", "plan", "sidecar"]

STREAM = "-"
"""Stands for stdin among the inputs and for stdout as the output."""


Exists: TypeAlias = Literal["skip", "error", "overwrite"]
"""What becomes of a picture whose output exists already."""


def on_exists(asked: Exists | None, force: bool, count: int) -> Exists:
    """What becomes of outputs that exist, by what was asked for and the number of pictures.

    Raises:
        OptionError: `--force` beside another wish.

    Example:
        >>> on_exists(None, False, 1), on_exists(None, False, 20), on_exists(None, True, 20)
        ('error', 'skip', 'overwrite')
    """
    if force and asked not in (None, "overwrite"):
        raise OptionError(f"--force overwrites what exists, --on-exists {asked} does not; give one of them")
    if force:
        return "overwrite"
    return asked or ("skip" if count > 1 else "error")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One picture to restore: where it comes from and where it goes, and what is written beside it.

    `named` is whether the output's format is the one that its suffix stands for, because the user named it; otherwise
    it is that of the source, as its bytes show it. `skipped` says why nothing is done, where that is so.
    """

    source: str
    output: str
    compare: str | None = None
    kernel: str | None = None
    report: str | None = None
    named: bool = False
    skipped: str = ""

    @property
    def targets(self) -> list[str]:
        """The files that this job writes."""
        paths = [self.output, self.compare, self.report, self.kernel, self.kernel and sidecar(self.kernel)]
        return [path for path in paths if path is not None and path != STREAM]


def plan(
    sources: Sequence[str],
    output: str | None,
    *,
    result_label: str = "deblurred",
    compare: bool = False,
    kernel: str | None = None,
    report: str | None = None,
    exists: Exists = "error",
    read: Sequence[str] = (),
) -> list[Job]:
    """One job per source, or an error before anything was read.

    Args:
        sources: the pictures, as given; `-` is stdin.
        output: None (`NAME.LABEL.EXT` beside each picture), a file (for one picture), a folder (existing, or ending
            in `/` and then made later) that keeps the names, or `-` for stdout.
        result_label: the word for what the pictures become, LABEL above.
        compare: also plan `NAME.compare.png` beside the output, NAME being the picture's.
        kernel: also plan a file for the kernel that is found: this one (for one picture), or `NAME.kernel.npy` in this
            folder.
        report: also plan this picture of kernel, blurred, restored and residual, for one picture.
        exists: what becomes of a picture with a file that exists: it is skipped, an error, or the file is overwritten,
            but never a picture that is being read.
        read: further files that are read and so must not be written (the kernel, the truth).

    Raises:
        OptionError: the words do not fit together (several pictures for one file, a comparison beside a stream).
        FileError: two jobs write one file, a job would overwrite what is read, a file exists, a folder is missing, the
            suffix of `output` names no format. A picture that is missing or no picture is found when its turn comes.
    """
    from deblur.images import output_format
    from deblur.psf import check_name

    if sources.count(STREAM) > 1:
        raise OptionError("stdin can be read once only, got '-' twice among the images")
    if len(sources) > 1 and output is not None and not is_folder(output):
        what = "stdout" if output == STREAM else f"the one file {output}"
        raise OptionError(
            f"{len(sources)} images can't go to {what}; give -o a folder, ending in '/' where it is to be made"
        )
    if len(sources) > 1 and kernel is not None and not is_folder(kernel):
        raise OptionError(
            f"{len(sources)} kernels can't go to the one file {kernel}; give --kernel-out a folder, ending in '/'"
        )
    if len(sources) > 1 and report is not None:
        raise OptionError(f"--report shows one picture, got {len(sources)}; give --compare, or name one")
    jobs = [_job(source, output, result_label, compare, kernel, report) for source in sources]
    skipped = check([(job.source, job.targets) for job in jobs], (output, kernel), read=read, exists=exists)
    for job in jobs:
        if job.kernel is not None:
            check_name(job.kernel)
    for path in (output, report):
        if path is not None and path != STREAM and not is_folder(path):
            output_format(path)
    return [replace(job, skipped=skipped.get(job.source, "")) for job in jobs]


def check(
    written: Sequence[tuple[str, Sequence[str]]],
    folders: Iterable[str | None] = (),
    *,
    read: Sequence[str] = (),
    exists: Exists = "error",
) -> dict[str, str]:
    """Refuse files that could not be written; says of which pictures nothing is to be written, and why.

    Args:
        written: pictures, with the files that are written for each.
        folders: what was given as the place of them; what ends in `/` and is not there will be made.
        read: further files that are read.
        exists: what becomes of a picture with a file that exists.

    Raises:
        FileError: as `plan` does.
    """
    from deblur.files import check_writable

    skipped = _skipped(written) if exists == "skip" else {}
    written = [(source, targets) for source, targets in written if source not in skipped]
    sources = [source for source, _ in written if source != STREAM]
    inputs = {_identity(path) for path in (*read, *sources)}
    seen: dict[str, str] = {}
    for source, targets in written:
        for target in targets:
            key = _identity(target)
            if key in inputs:
                raise FileError(f"{target}: is read and would be written too (for {source}); choose another -o")
            if key in seen:
                both = f"for {seen[key]} and {source}; write them into two folders"
                raise FileError(f"{target}: would be written twice, {both}")
            seen[key] = source
    made = {_to_be_made(folder) for folder in folders if folder is not None and is_folder(folder)}
    for source, targets in written:
        missing = source != STREAM and not Path(source).exists()
        for target in () if missing else targets:
            if _identity(str(Path(target).parent)) not in made:
                check_writable(target, force=exists == "overwrite", sources=sources)
    return skipped


def _skipped(written: Sequence[tuple[str, Sequence[str]]]) -> dict[str, str]:
    """The pictures of which a file exists, or that are themselves what became of another one, with the reason."""
    made = {_identity(target): source for source, targets in written for target in targets}
    reasons: dict[str, str] = {}
    for source, targets in written:
        there = next((target for target in targets if Path(target).exists() and not Path(target).is_dir()), None)
        if source != STREAM and (origin := made.get(_identity(source), source)) != source:
            reasons[source] = f"it is what became of {origin}"
        elif there is not None and _identity(there) != _identity(source):
            reasons[source] = f"{there} exists already"
    return reasons


def is_folder(output: str) -> bool:
    """Whether an output is a folder: one that exists, or by its end a name of one."""
    return output != STREAM and (output.endswith("/") or Path(output).is_dir())


def kernel_file(source: str, output: str | None, suffix: str = ".npy") -> str:
    """The file for the kernel of a picture: `output`, or `NAME.kernel.npy` in that folder or else beside the picture.

    Raises:
        OptionError: a picture from stdin, which has no name.

    Example:
        >>> kernel_file("a/b.jpg", None), kernel_file("a/b.jpg", "k/"), kernel_file("-", "k.npy")
        ('a/b.kernel.npy', 'k/b.kernel.npy', 'k.npy')
    """
    if output is not None and not is_folder(output):
        return output
    if source == STREAM:
        raise OptionError("a picture from stdin has no name to give to its kernel; name a file for that")
    path = Path(source)
    return str((path.parent if output is None else Path(output)) / f"{path.stem}.kernel{suffix}")


def sidecar(kernel: str) -> str:
    """The JSON file beside a kernel."""
    return str(Path(kernel).with_suffix(".json"))


def _job(
    source: str, output: str | None, result_label: str, compare: bool, kernel: str | None, report: str | None
) -> Job:
    from deblur.images import written_name

    if output is None and source != STREAM:
        path = written_name(source)
        target = str(path.with_name(f"{path.stem}.{result_label}{path.suffix}"))
    elif output is None or output == STREAM:
        target = STREAM
    elif not is_folder(output):
        target = output
    elif source == STREAM:
        raise OptionError(f"a picture from stdin has no name to keep in the folder {output}; give -o a file")
    else:
        target = str(Path(output) / written_name(source).name)
    found = None if kernel is None else kernel_file(source, kernel)
    beside = None
    if compare and target == STREAM:
        raise OptionError("--compare writes a file beside the output, so the output can't be stdout; give -o a file")
    if compare:
        name = Path(target if source == STREAM else source).stem
        beside = str(Path(target).with_name(f"{name}.compare.png"))
    named = output is not None and output != STREAM and not is_folder(output)
    return Job(source=source, output=target, compare=beside, kernel=found, report=report, named=named)


def _identity(path: str) -> str:
    """One name for one file, through links and relative paths."""
    try:
        return os.path.realpath(path)  # of a circle of links, too
    except ValueError:  # no name at all
        return path


def _to_be_made(folder: str) -> str | None:
    """One name for a folder that is not there yet, or None for one that is."""
    if Path(folder).exists():
        return None
    if not Path(folder).parent.is_dir():
        raise FileError(f"{folder}: can't be made, the folder {Path(folder).parent} does not exist")
    return _identity(folder)
