"""`deblur apply`: restore pictures, by a kernel that is known or found first."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from deblur.cli import outputs
from deblur.cli.options import (
    Black,
    Color,
    Config,
    Device,
    FlipKernel,
    Force,
    Json,
    KernelBackground,
    KernelChannels,
    KernelOrigin,
    KernelTransfer,
    Mask,
    Noise,
    OnExists,
    Part,
    Prior,
    Quality,
    Saturation,
    Strength,
    Threads,
    Truth,
    White,
    real,
    real_or,
    region,
)

__all__ = ["apply"]


def apply(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE", help="Blurred pictures; - is stdin.")],
    kernel: Annotated[
        str | None,
        typer.Option(
            "--kernel",
            "-k",
            metavar="FILE|SPEC|NAME",
            help="The blur kernel: a .npy, .npz, .png, .tif, .mat, .csv or .txt file, or one by name, such as "
            "motion:length=15,angle=30, defocus:radius=4 or gaussian:sigma=2. motion, defocus or gaussian alone: how "
            "long, how wide is found from each picture; points: read off its stars or "
            "beads. Default: the kernel is found from each picture.",
        ),
    ] = None,
    flip_kernel: FlipKernel = None,
    kernel_transfer: KernelTransfer = None,
    kernel_background: KernelBackground = None,
    kernel_origin: KernelOrigin = None,
    kernel_channels: KernelChannels = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|FOLDER",
            help="A file, a folder (existing, or ending in / and then made; keeps each name), or - for stdout. "
            "Default: NAME.deblurred.EXT beside each picture.",
        ),
    ] = None,
    force: Force = False,
    on_exists: OnExists = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Method: auto (default), fast (wiener), best (flow, slow), hyperlaplacian, tv, rl or exact.",
        ),
    ] = None,
    noise: Noise = None,
    strength: Strength = None,
    boundary: Annotated[
        Literal["unknown", "reflect", "replicate", "zero", "circular"] | None,
        typer.Option(help="How the scene goes on outside the frame. Default: unknown, right for a camera's picture."),
    ] = None,
    saturation: Saturation = None,
    mask: Mask = None,
    outliers: Annotated[
        Literal["auto", "none"] | None,
        typer.Option(
            help="auto (default): leave out what no noise explains, hot and dead pixels, burnt-in dates; none: don't."
        ),
    ] = None,
    black: Black = None,
    white: White = None,
    transfer: Annotated[
        Color | None,
        typer.Option(
            help="auto (default): restore in light, as the file declares or shows it, else as sRGB; srgb: take the "
            "picture as sRGB; linear: take stored values as they are."
        ),
    ] = None,
    confidence: Annotated[
        str | None,
        typer.Option(metavar="0..1", help="How far to trust the kernel. Default: what deblur fit wrote beside it."),
    ] = None,
    trust: Annotated[
        Literal["auto", "none"] | None,
        typer.Option(
            help="auto (default): the result is drawn towards the file where the kernel does not explain it; none: not."
        ),
    ] = None,
    preconditioner: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Preconditioner of the linear solver (affects speed, not the result): "
            "auto, circulant or four-quadrant.",
        ),
    ] = None,
    prior: Prior = None,
    quality: Quality = None,
    region_: Part = None,
    threads: Threads = None,
    device: Device = None,
    config: Config = None,
    compare: Annotated[
        bool | None,
        typer.Option("--compare/--no-compare", help="Also write NAME.compare.png: blurred, restored, kernel inset."),
    ] = None,
    kernel_out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|FOLDER",
            help="Also write the kernel that is found, as deblur fit does; into a folder as NAME.kernel.npy.",
        ),
    ] = None,
    report: Annotated[
        str | None, typer.Option(metavar="PNG", help="Also draw kernel, blurred, restored and residual side by side.")
    ] = None,
    truth: Truth = None,
    as_json: Json = False,
) -> None:
    """Restore blurred pictures: find the blur of each and undo it, or undo one that is known.

    One summary line a picture: the blur, how sure it is, what was done, seconds; with a kernel that is given method,
    noise, steps, seconds. Where one picture of many fails, its error line is printed, the others are restored, and the
    exit status is 1.
    """
    flags = {
        "flip_kernel": flip_kernel,
        "kernel_transfer": kernel_transfer,
        "kernel_background": real_or(kernel_background, "--kernel-background", "auto"),
        "kernel_origin": kernel_origin,
        "kernel_channels": kernel_channels,
        "method": method,
        "noise": real_or(noise, "--noise", "auto"),
        "strength": real(strength, "--strength"),
        "boundary": boundary,
        "saturation": real_or(saturation, "--saturation", "auto", "none"),
        "mask": mask,
        "outliers": outliers,
        "black": real(black, "--black"),
        "white": real(white, "--white"),
        "transfer": transfer,
        "confidence": real(confidence, "--confidence"),
        "trust": trust,
        "preconditioner": preconditioner,
        "prior": prior,
        "quality": quality,
        "region": region(region_),
        "threads": threads,
        "device": device,
        "compare": compare,
    }
    from deblur.cli.jobs import apply as job
    from deblur.config import load

    settings = load(job.Settings, config, flags)
    read = [] if config is None else [config]
    failed = job.run(
        images,
        kernel,
        settings,
        output=output,
        kernel_out=kernel_out,
        report=report,
        truth=truth,
        exists=outputs.on_exists(on_exists, force, len(images)),
        as_json=as_json,
        read=read,
    )
    if failed:
        raise typer.Exit(1)
