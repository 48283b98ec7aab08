"""`deblur evaluate`: how near a restored picture comes to the truth."""

from __future__ import annotations

from typing import Annotated

import typer

from deblur.cli import console
from deblur.cli.options import Json
from deblur.errors import ShapeError

__all__ = ["evaluate"]

_FORMATS = {"psnr": "PSNR {:.2f} dB", "ssim": "SSIM {:.4f}", "shift_tolerant_psnr": "PSNR at the best shift {:.2f} dB"}


def evaluate(
    restored: Annotated[str, typer.Argument(metavar="RESTORED", help="A restored picture; - is stdin.")],
    truth: Annotated[str, typer.Argument(metavar="TRUTH", help="The sharp one; its size may differ by k - 1.")],
    as_json: Json = False,
) -> None:
    """Measure how near a picture comes to the truth.

    PSNR and SSIM, and the PSNR at the best small shift.
    """
    from deblur import images, metrics
    from deblur.cli.jobs.scores import score

    estimates, truths = images.read_frames(restored), images.read_frames(truth)
    if len(estimates) != len(truths):
        raise ShapeError(f"{restored} has {len(estimates)} page(s), {truth} has {len(truths)}; expected as many")
    for estimate, true in zip(estimates, truths, strict=True):
        if len(estimate.pixels) != len(true.pixels):
            got = f"{restored} has {len(estimate.pixels)}, {truth} has {len(true.pixels)}"
            raise ShapeError(f"expected as many channels in both, {got}; convert one of them")
        pair = metrics.common_part(estimate.pixels, true.pixels)
        record = {name: score(metric, *pair) for name, metric in metrics.METRICS.items()}
        if as_json:
            console.json_line({"restored": restored, "truth": truth, **record})
        else:
            console.line(
                ", ".join(_FORMATS.get(name, name + " {:.4g}").format(value) for name, value in record.items())
            )
