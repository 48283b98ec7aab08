"""The work behind `deblur denoise`: what is done to every picture of the batch.

Imported when the command runs, not before: it needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deblur import denoising
from deblur.cli.jobs import batch, file
from deblur.cli.outputs import Exists
from deblur.images import Frame
from deblur.options import DenoiseOptions
from deblur.progress import OnStep
from deblur.restoration import Restoration

__all__ = ["Settings", "run"]

_MARGIN = 64  # pixels: what a denoised one sees reaches less far


@dataclass(frozen=True, kw_only=True)
class Settings(file.FileOptions, DenoiseOptions):
    """What a configuration file for `denoise` may hold: how to denoise, and how files are read and written."""

    def __post_init__(self) -> None:
        """Check both."""
        DenoiseOptions.__post_init__(self)
        file.FileOptions.__post_init__(self)


def run(
    sources: Sequence[str],
    settings: Settings,
    *,
    output: str | None = None,
    truth: str | None = None,
    exists: Exists = "error",
    as_json: bool = False,
    read: Sequence[str] = (),
) -> int:
    """Remove the noise of every picture and report on each; returns how many failed.

    Args:
        settings: how to denoise, read and write.
        sources, output, truth, exists, as_json, read: as `deblur.cli.jobs.batch.run` takes them.
    """

    def process(part: Frame, _: Frame, on_step: OnStep) -> Restoration:
        return denoising.remove_noise(part, settings, on_step=on_step)

    work = file.Work(process=process, margin=(_MARGIN, _MARGIN))
    task = file.Task(
        begin=lambda *_: work,
        result_label="denoised",
        source_label="noisy",
        doing="denoising",
        hint="another --prior",
    )
    read = [*read, *([] if settings.prior is None else [settings.prior])]
    return batch.run(sources, task, settings, output=output, truth=truth, exists=exists, as_json=as_json, read=read)
