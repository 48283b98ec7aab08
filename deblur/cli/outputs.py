"""Which file each picture goes to, decided and checked before any work is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deblur.errors import FileError, OptionError

__all__ = ["STREAM", "Job", "plan"]

STREAM = "-"
"""Stands for stdin among the inputs and for stdout as the output."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One picture to restore: where it comes from and where it goes."""

    source: str
    output: str
    compare: str | None = None

    @property
    def targets(self) -> list[str]:
        """The files that this job writes."""
        return [path for path in (self.output, self.compare) if path is not None and path != STREAM]


def plan(
    sources: Sequence[str],
    output: str | None,
    *,
    result_label: str = "deblurred",
    compare: bool = False,
    force: bool = False,
    read: Sequence[str] = (),
) -> list[Job]:
    """One job per source, or an error before anything was read.

    Args:
        sources: the pictures, as given; `-` is stdin.
        output: None (`NAME.LABEL.EXT` beside each picture), a file (for one picture), a folder (existing, or ending
            in `/` and then made later) that keeps the names, or `-` for stdout.
        result_label: the word for what the pictures become, LABEL above.
        compare: also plan `NAME.compare.png` beside the output, NAME being the picture's.
        force: existing files may be overwritten, but never a picture that is being read.
        read: further files that are read and so must not be written (the kernel, the truth).

    Raises:
        OptionError: the words do not fit together (several pictures for one file, a comparison beside a stream).
        FileError: two jobs write one file, a job would overwrite what is read, a file exists, a folder is missing, the
            suffix of `output` names no format. A picture that is missing or no picture is found when its turn comes.
    """
    if sources.count(STREAM) > 1:
        raise OptionError("stdin can be read once only, got '-' twice among the images")
    if len(sources) > 1 and output is not None and not _is_folder(output):
        what = "stdout" if output == STREAM else f"the one file {output}"
        raise OptionError(
            f"{len(sources)} images can't go to {what}; give -o a folder, ending in '/' where it is to be made"
        )
    jobs = [_job(source, output, result_label, compare) for source in sources]
    _check_collisions(jobs, read)
    _check_writable(jobs, output, force)
    return jobs


def _is_folder(output: str) -> bool:
    return output != STREAM and (output.endswith("/") or Path(output).is_dir())


def _job(source: str, output: str | None, result_label: str, compare: bool) -> Job:
    if output is None and source != STREAM:
        path = Path(source)
        target = str(path.with_name(f"{path.stem}.{result_label}{path.suffix}"))
    elif output is None or output == STREAM:
        target = STREAM
    elif not _is_folder(output):
        target = output
    elif source == STREAM:
        raise OptionError(f"a picture from stdin has no name to keep in the folder {output}; give -o a file")
    else:
        target = str(Path(output) / Path(source).name)
    if not compare:
        return Job(source=source, output=target)
    if target == STREAM:
        raise OptionError("--compare writes a file beside the output, so the output can't be stdout; give -o a file")
    name = Path(target if source == STREAM else source).stem
    return Job(source=source, output=target, compare=str(Path(target).with_name(f"{name}.compare.png")))


def _check_collisions(jobs: Sequence[Job], read: Sequence[str]) -> None:
    inputs = {_identity(path) for path in read} | {_identity(job.source) for job in jobs if job.source != STREAM}
    written: dict[str, str] = {}
    for job in jobs:
        for target in job.targets:
            key = _identity(target)
            if key in inputs:
                raise FileError(f"{target}: is read and would be written too (for {job.source}); choose another -o")
            if key in written:
                both = f"{written[key]} and {job.source}"
                raise FileError(f"{target}: would be written twice, for {both}; write them into two folders")
            written[key] = job.source


def _identity(path: str) -> str:
    """One name for one file, through links and relative paths."""
    return str(Path(path).resolve())


def _check_writable(jobs: Sequence[Job], output: str | None, force: bool) -> None:
    from deblur.images import check_writable, output_format

    made = output is not None and output.endswith("/") and not Path(output).exists()
    if made and not Path(output or "").parent.is_dir():
        raise FileError(f"{output}: can't be made, the folder {Path(output or '').parent} does not exist")
    if output is not None and output != STREAM and not _is_folder(output):
        output_format(output)
    sources = [job.source for job in jobs if job.source != STREAM]
    for job in jobs:
        missing = job.source != STREAM and not Path(job.source).exists()
        for target in () if made or missing else job.targets:
            check_writable(target, force=force, sources=sources)
