"""`deblur fit`: find the blur kernel of each picture, of several with one blur, or of a pair."""

from __future__ import annotations

from typing import Annotated

import typer

from deblur.cli import outputs
from deblur.cli.options import (
    Black,
    Color,
    Config,
    Device,
    Force,
    Json,
    Mask,
    Noise,
    OnExists,
    Saturation,
    Threads,
    White,
    real,
    real_or,
    region,
)

__all__ = ["fit"]


def fit(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE", help="Blurred pictures; - is stdin.")],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|FOLDER",
            help="The file for the kernel, .npy (.npz for a masked model), or a folder (existing, or ending in / and "
            "then made); a .json of the same name goes beside it. Default: NAME.kernel.npy beside each picture.",
        ),
    ] = None,
    together: Annotated[
        bool, typer.Option("--together", help="The pictures share one blur: find one kernel for all of them.")
    ] = False,
    sharp: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The sharp picture of the same scene, as large or larger by k - 1."),
    ] = None,
    force: Force = False,
    on_exists: OnExists = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="TAPS", help="Taps a side, an odd number. Default: auto, found from the picture."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="auto (default): what explains the picture best, a named blur, points, free taps or no blur; taps: "
            "free taps; masked: masked convolutions that are inverted exactly, from a pair.",
        ),
    ] = None,
    parametric: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Fit a named blur in place of free taps, robust where there is little texture: "
            "motion, defocus, gaussian, auto for the likeliest of them, or points: read off stars or beads.",
        ),
    ] = None,
    noise: Noise = None,
    saturation: Saturation = None,
    mask: Mask = None,
    black: Black = None,
    white: White = None,
    transfer: Annotated[
        Color | None,
        typer.Option(
            help="auto (default): look for the blur in light, as the file declares or shows it, else as sRGB; srgb: "
            "take the picture as sRGB; linear: take stored values as they are."
        ),
    ] = None,
    region_: Annotated[
        str | None,
        typer.Option(
            "--region",
            metavar="x,y,w,h",
            help="Look for the blur only in this part of the picture; choose one with texture.",
        ),
    ] = None,
    threads: Threads = None,
    device: Device = None,
    config: Config = None,
    restore: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also restore the picture with the kernel, into this file.")
    ] = None,
    report: Annotated[
        str | None, typer.Option(metavar="PNG", help="Also draw kernel, blurred, restored and residual side by side.")
    ] = None,
    picture: Annotated[str | None, typer.Option(metavar="PNG", help="Also draw the kernel.")] = None,
    as_json: Json = False,
) -> None:
    """Find the blur kernel of each picture.

    One summary line a picture: the blur, how sure it is, size, noise, seconds, and what one should know before the
    kernel is used. Where one picture of many fails, its error line is printed, the others go on, and the exit status
    is 1.
    """
    if output is None and len(images) > 1 and (together or sharp is not None):
        raise typer.BadParameter("one kernel of several pictures needs the name of its file", param_hint="--output")
    flags = {
        "size": _size(size),
        "model": model,
        "parametric": parametric,
        "noise": real_or(noise, "--noise", "auto"),
        "saturation": real_or(saturation, "--saturation", "auto", "none"),
        "mask": mask,
        "black": real(black, "--black"),
        "white": real(white, "--white"),
        "transfer": transfer,
        "region": region(region_),
        "threads": threads,
        "device": device,
    }
    from deblur.cli.jobs import fit as job
    from deblur.config import load

    settings = load(job.Settings, config, flags)
    targets = job.Targets(kernel=output, restored=restore, report=report, picture=picture)
    read = [] if config is None else [config]
    if job.run(
        images,
        sharp,
        settings,
        targets,
        together=together,
        exists=outputs.on_exists(on_exists, force, 1 if together or sharp else len(images)),
        as_json=as_json,
        read=read,
    ):
        raise typer.Exit(1)


def _size(text: str | None) -> int | str | None:
    if text is None or text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"expected an odd number of taps or auto, got {text!r}", param_hint="--size") from None
