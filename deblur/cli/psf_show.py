"""`deblur psf show`: what a kernel is like, in numbers and as a picture."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from deblur.cli import console
from deblur.cli.options import (
    FlipKernel,
    Force,
    Json,
    KernelBackground,
    KernelChannels,
    KernelOrigin,
    KernelTransfer,
    reading,
)

if TYPE_CHECKING:
    from deblur.psf import Description

__all__ = ["show"]


def show(
    kernel: Annotated[str, typer.Argument(metavar="KERNEL", help="A kernel file, or one by name: motion:length=15.")],
    flip_kernel: FlipKernel = None,
    kernel_transfer: KernelTransfer = None,
    kernel_background: KernelBackground = None,
    kernel_origin: KernelOrigin = None,
    kernel_channels: KernelChannels = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="PNG", help="Also write a picture of the kernel.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Show what a blur kernel is like.

    Its size, sum, centroid, support and conditioning, and whether it can be inverted directly.
    """
    import torch

    from deblur import images, psf

    if output is not None:
        images.output_format(output)
        images.check_writable(output, force, sources=[kernel])
    read = reading(kernel_transfer, kernel_background, kernel_origin, kernel_channels)
    array = psf.resolve(kernel, flip=bool(flip_kernel), reading=read)
    description, notes = psf.describe(array), psf.remarks(array)
    if output is not None:
        picture = torch.from_numpy(psf.draw(array)).float()[None] / 255
        images.write_frames(output, [images.Frame(pixels=picture)], force=force)
    if as_json:
        console.json_line({"kernel": kernel, **dataclasses.asdict(description), "notes": notes})
        return
    for name, text in _lines(description).items():
        console.line(f"{name:15} {text}")
    for note in notes:
        console.note(note)


def _lines(figures: Description) -> dict[str, str]:
    """The description in words; width before height, as one speaks of pictures."""
    (rows, columns), (top, left) = figures.size, figures.origin
    channels = f", one of {figures.channels} channels" if figures.channels > 1 else ""
    down, right = figures.centroid
    return {
        "size": f"{columns} x {rows} taps{channels}",
        "origin": f"column {left}, row {top}",
        "sum": f"{figures.sum:g}",
        "taps": f"{figures.smallest:.3g} to {figures.largest:.3g}",
        "centroid": f"{right:+.3f} right, {down:+.3f} down of the origin (a restored picture is shifted by as much)",
        "spread": f"{figures.spread[1]:.3f} across, {figures.spread[0]:.3f} down (standard deviation in pixels)",
        "support": f"{figures.support[1]} x {figures.support[0]}: {figures.support_taps} taps carry 99 % of the light",
        "conditioning": f"detail keeps {figures.least_gain:.3g} of its contrast at worst; "
        f"{100 * figures.weak_share:.1f} % of the frequencies keep less than 0.01",
        "direct inverse": figures.verdict,
    }
