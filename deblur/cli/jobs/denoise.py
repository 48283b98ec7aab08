"""The work behind `deblur denoise`: what is done to every picture of the batch.

Imported when the command runs, not before: it needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deblur import denoising
from deblur.cli.jobs import batch
from deblur.images import Frame
from deblur.progress import OnStep
from deblur.restoration import Restoration

__all__ = ["Settings", "run"]

_CONTEXT = 64  # pixels: what a denoised one sees reaches less far


@dataclass(frozen=True, kw_only=True)
class Settings(batch.FileOptions, denoising.DenoiseOptions):
    """What a configuration file for `denoise` may hold: how to denoise, and how files are read and written."""

    def __post_init__(self) -> None:
        """Check both."""
        denoising.DenoiseOptions.__post_init__(self)
        batch.FileOptions.__post_init__(self)


def run(
    sources: Sequence[str],
    settings: Settings,
    *,
    output: str | None = None,
    truth: str | None = None,
    force: bool = False,
    as_json: bool = False,
    read: Sequence[str] = (),
) -> int:
    """Remove the noise of every picture and report on each; returns how many failed.

    Args:
        settings: how to denoise, read and write.
        sources, output, truth, force, as_json, read: as `deblur.cli.jobs.batch.run` takes them.
    """

    def restore(frame: Frame, _: Frame, on_step: OnStep) -> Restoration:
        return denoising.remove_noise(frame.pixels, settings, alpha=frame.alpha, ceiling=frame.ceiling, on_step=on_step)

    task = batch.Task(
        restore=restore,
        made="denoised",
        came="noisy",
        context=(_CONTEXT, _CONTEXT),
        advice="another --prior",
    )
    read = [*read, *([] if settings.prior is None else [settings.prior])]
    return batch.run(sources, task, settings, output=output, truth=truth, force=force, as_json=as_json, read=read)
