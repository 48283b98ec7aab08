"""What `apply` and `denoise` share: picture after picture from file to file, a bad one not stopping the others.

Imported when the command runs, not before: it needs torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from deblur import images
from deblur.cli import console
from deblur.cli.jobs.file import FileOptions, Task, process_file
from deblur.cli.outputs import STREAM, Exists, plan
from deblur.errors import OptionError

__all__ = ["run"]


def run(
    sources: Sequence[str],
    task: Task,
    options: FileOptions,
    *,
    output: str | None = None,
    kernel_out: str | None = None,
    report: str | None = None,
    truth: str | None = None,
    exists: Exists = "error",
    as_json: bool = False,
    read: Sequence[str] = (),
) -> int:
    """Restore every picture and report on each; returns how many failed.

    What concerns all of them (truth, the outputs' names) is checked first and raises.

    Args:
        sources, output: as `deblur.cli.outputs.plan` takes them.
        task: what to do to them.
        options: how to read and write.
        kernel_out, report: where to write the kernel that is found, and a report, as `plan` takes them.
        truth: the file of the sharp picture.
        exists: what becomes of a picture whose output exists, as `plan` takes it.
        as_json: report in JSON.
        read: further files that the command has read and so must not be written.
    """
    jobs = plan(
        sources,
        output,
        result_label=task.result_label,
        compare=options.compare,
        kernel=kernel_out,
        report=report,
        exists=exists,
        read=[*read, *([] if truth is None else [truth])],
    )
    streaming = any(job.output == STREAM for job in jobs)
    if streaming and sys.stdout is None:
        raise OptionError("standard output is closed; give -o FILE")
    if streaming and sys.stdout.isatty():
        raise OptionError("a picture can't be shown on the terminal; send stdout to a file or give -o FILE")
    if STREAM in sources and sys.stdin is not None and sys.stdin.isatty():
        raise OptionError("a picture can't be typed; send a file to stdin or name it")
    truths = None if truth is None else images.read_frames(truth)
    failed = 0
    for job in jobs:
        if job.skipped:
            console.skipped(job.source, job.skipped, as_json=as_json, on_stderr=streaming)
            continue
        try:
            for told in process_file(job, task, options, truths=truths, force=exists == "overwrite", as_json=as_json):
                told.tell(as_json=as_json, on_stderr=streaming)
        except Exception as error:
            if os.environ.get("DEBLUR_DEBUG"):
                raise
            failed += 1
            console.error(console.blamed(job.source, error))
            if as_json:
                console.json_line({"image": job.source, "error": console.describe(error)}, on_stderr=streaming)
    return failed
