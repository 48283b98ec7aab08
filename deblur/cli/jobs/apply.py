"""The work behind `deblur apply`: every picture of the batch is restored with the kernel, found first if none is given.

Imported when the command runs, not before: it needs torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from deblur import deblurring, masking, psf, restoring
from deblur.cli import console
from deblur.cli.jobs import batch, file
from deblur.cli.outputs import Exists
from deblur.errors import OptionError
from deblur.estimation import Estimate
from deblur.images import Frame
from deblur.light import curve_of
from deblur.options import ApplyOptions
from deblur.progress import OnStep
from deblur.psf import Kernel
from deblur.restoration import Restoration

__all__ = ["Settings", "run"]


@dataclass(frozen=True, kw_only=True)
class Settings(file.FileOptions, ApplyOptions):
    """What a configuration file for `apply` may hold: the options of a restoration and how files are read and written.

    Attributes:
        flip_kernel: turn a kernel file by 180 degrees as it is read (it stores a correlation kernel).
    """

    flip_kernel: bool = False

    def __post_init__(self) -> None:
        """Check both."""
        ApplyOptions.__post_init__(self)
        file.FileOptions.__post_init__(self)


def run(
    sources: Sequence[str],
    kernel: str | None,
    settings: Settings,
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

    What concerns all of them (kernel, truth, the outputs' names) is checked first and raises.

    Args:
        kernel: a kernel file or a made one by name; the name alone of a blur, or None: it is found picture by picture.
        settings: how to restore, read and write.
        sources, output, kernel_out, report, truth, exists, as_json, read: as `deblur.cli.jobs.batch.run` takes them.
    """
    files = [name for name in (settings.prior, masking.file_of(settings.mask)) if name is not None]
    settings = dataclasses.replace(settings, mask=masking.mask_named(settings.mask))  # read once
    if deblurring.is_unknown(kernel):
        if settings.flip_kernel:
            raise OptionError("--flip-kernel turns a kernel that is read, here one is found; give its file to --kernel")
        if settings.reading != psf.Reading():
            raise OptionError("--kernel-... options are about a kernel that is read, here one is found; leave them out")
        settings.fitting(kernel)  # refuses an unknown name before the work

        def begin(whole: Frame, bar: console.Bar) -> file.Work:
            bar.stage("finding the blur")
            found = deblurring.found(whole, kernel, settings, on_step=bar)
            return _work(found.kernel, settings, whole, found)

    else:
        if kernel_out is not None:
            raise OptionError(
                f"--kernel-out writes a kernel that is found, here {kernel} is given; leave one of them out"
            )
        known = psf.resolve(str(kernel), flip=settings.flip_kernel, reading=settings.reading)
        files.append(str(kernel))

        def begin(whole: Frame, bar: console.Bar) -> file.Work:
            return _work(restoring.settled(known, whole, settings), settings, whole)

    task = file.Task(
        begin=begin,
        result_label="deblurred",
        source_label="blurred",
        doing="restoring",
        dithers=True,
        hint="a larger --strength or another --method",
    )
    return batch.run(
        sources,
        task,
        settings,
        output=output,
        kernel_out=kernel_out,
        report=report,
        truth=truth,
        exists=exists,
        as_json=as_json,
        read=[*read, *files],
    )


def _work(kernel: Kernel, settings: Settings, whole: Frame, found: Estimate | None = None) -> file.Work:
    def process(part: Frame, whole: Frame, on_step: OnStep) -> Restoration:
        return restoring.restore(part, kernel, settings, whole=whole, on_step=on_step)

    # a restored pixel depends on all others, less with every kernel width
    rows, columns = (max(3 * side, 48) for side in kernel.shape[-2:])
    return file.Work(
        process=process,
        margin=(rows, columns),
        kernel=kernel,
        found=found,
        curve=lambda: curve_of(whole, settings.transfer)[0],
    )
