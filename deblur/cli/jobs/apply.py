"""The work behind `deblur apply`: what is done to every picture of the batch with the kernel.

Imported when the command runs, not before: it needs torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from deblur import masking, psf, restoring
from deblur.cli.jobs import batch
from deblur.images import Frame
from deblur.options import ApplyOptions
from deblur.progress import OnStep
from deblur.restoration import Restoration

__all__ = ["Settings", "run"]


@dataclass(frozen=True, kw_only=True)
class Settings(batch.FileOptions, ApplyOptions):
    """What a configuration file for `apply` may hold: the options of a restoration and how files are read and written.

    Attributes:
        flip_kernel: turn a kernel file by 180 degrees as it is read (it stores a correlation kernel).
    """

    flip_kernel: bool = False

    def __post_init__(self) -> None:
        """Check both."""
        ApplyOptions.__post_init__(self)
        batch.FileOptions.__post_init__(self)


def run(
    sources: Sequence[str],
    kernel: str,
    settings: Settings,
    *,
    output: str | None = None,
    truth: str | None = None,
    force: bool = False,
    as_json: bool = False,
    read: Sequence[str] = (),
) -> int:
    """Restore every picture and report on each; returns how many failed.

    What concerns all of them (kernel, truth, the outputs' names) is checked first and raises.

    Args:
        kernel: a kernel file or a made one by name.
        settings: how to restore, read and write.
        sources, output, truth, force, as_json, read: as `deblur.cli.jobs.batch.run` takes them.
    """
    known = psf.resolve(kernel, flip=settings.flip_kernel)
    files = [name for name in (settings.prior, masking.file_of(settings.mask)) if name is not None]
    settings = dataclasses.replace(settings, mask=masking.mask_named(settings.mask))  # read once

    def process(part: Frame, whole: Frame, on_step: OnStep) -> Restoration:
        return restoring.restore(part, known, settings, whole=whole, on_step=on_step)

    # a restored pixel depends on all others, less with every kernel width
    rows, columns = (max(3 * side, 48) for side in known.shape[-2:])
    task = batch.Task(
        process=process,
        result_label="deblurred",
        source_label="blurred",
        margin=(rows, columns),
        kernel=known,
        dithers=True,
        hint="a larger --strength or another --method",
    )
    read = [*read, kernel, *files]
    return batch.run(sources, task, settings, output=output, truth=truth, force=force, as_json=as_json, read=read)
