"""`deblur denoise`: remove the noise of pictures."""

from __future__ import annotations

from typing import Annotated

import typer

from deblur.cli import outputs
from deblur.cli.options import (
    Black,
    Config,
    Device,
    Force,
    Json,
    Noise,
    OnExists,
    Part,
    Prior,
    Quality,
    Strength,
    Threads,
    Truth,
    White,
    real,
    real_or,
    region,
)

__all__ = ["denoise"]


def denoise(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE", help="Noisy pictures; - is stdin.")],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|FOLDER",
            help="A file, a folder (existing, or ending in / and then made; keeps each name), or - for stdout. "
            "Default: NAME.denoised.EXT beside each picture.",
        ),
    ] = None,
    force: Force = False,
    on_exists: OnExists = None,
    noise: Noise = None,
    strength: Strength = None,
    prior: Prior = None,
    black: Black = None,
    white: White = None,
    quality: Quality = None,
    region_: Part = None,
    threads: Threads = None,
    device: Device = None,
    config: Config = None,
    compare: Annotated[
        bool | None, typer.Option("--compare/--no-compare", help="Also write NAME.compare.png: noisy, denoised.")
    ] = None,
    truth: Truth = None,
    as_json: Json = False,
) -> None:
    """Remove the noise of pictures that are not blurred.

    One summary line a picture: method, noise, tiles, seconds. Where one picture of many fails, its error line is
    printed, the others are denoised, and the exit status is 1.
    """
    flags = {
        "noise": real_or(noise, "--noise", "auto"),
        "strength": real(strength, "--strength"),
        "prior": prior,
        "black": real(black, "--black"),
        "white": real(white, "--white"),
        "quality": quality,
        "region": region(region_),
        "threads": threads,
        "device": device,
        "compare": compare,
    }
    from deblur.cli.jobs import denoise as job
    from deblur.config import load

    settings = load(job.Settings, config, flags)
    read = [] if config is None else [config]
    if job.run(
        images,
        settings,
        output=output,
        truth=truth,
        exists=outputs.on_exists(on_exists, force, len(images)),
        as_json=as_json,
        read=read,
    ):
        raise typer.Exit(1)
