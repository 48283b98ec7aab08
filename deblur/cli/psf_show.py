"""`deblur psf show`: what a kernel is like, in numbers and as a picture."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from deblur.cli import console
from deblur.cli.options import FlipKernel, Force, Json

__all__ = ["show"]


def show(
    kernel: Annotated[str, typer.Argument(metavar="KERNEL", help="A kernel file, or one by name: motion:length=15.")],
    flip_kernel: FlipKernel = None,
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
    from deblur.files import check_writable

    if output is not None:
        check_writable(output, force)
    array = psf.resolve(kernel, flip=bool(flip_kernel))
    record = dataclasses.asdict(psf.describe(array))
    if as_json:
        console.json_line(record)
    else:
        for key, value in record.items():
            console.line(f"{key.replace('_', ' '):24} {_text(value)}")
    if output is not None:
        picture = torch.from_numpy(psf.picture(array)).float()[None] / 255
        images.write_frames(output, [images.Frame(pixels=picture)], force=force)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)
