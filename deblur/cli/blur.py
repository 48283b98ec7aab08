"""`deblur blur`: blur a sharp picture as a camera does."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from deblur.cli import console
from deblur.cli.options import (
    Color,
    FlipKernel,
    Force,
    Kernel,
    KernelBackground,
    KernelChannels,
    KernelOrigin,
    KernelTransfer,
    reading,
    real,
)

__all__ = ["blur"]


def blur(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="A sharp picture; - is stdin.")],
    kernel: Kernel,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="The blurred picture; - is stdout.")],
    flip_kernel: FlipKernel = None,
    kernel_transfer: KernelTransfer = None,
    kernel_background: KernelBackground = None,
    kernel_origin: KernelOrigin = None,
    kernel_channels: KernelChannels = None,
    boundary: Annotated[
        Literal["valid", "zero", "reflect", "replicate", "circular"],
        typer.Option(help="What lies outside the picture. valid: nothing is made up, the frame shrinks by k - 1."),
    ] = "valid",
    noise: Annotated[
        str,
        typer.Option(
            "--noise",
            "--sigma",
            metavar="SIGMA",
            help="Standard deviation of the added white noise as a fraction of full scale: 0.01 or 2.5/255.",
        ),
    ] = "0",
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the added noise.")] = 0,
    transfer: Annotated[
        Color | None,
        typer.Option(
            help="auto (default): blur in light, as the file declares or shows it, else as sRGB; srgb: take the "
            "picture as sRGB; linear: blur the stored values as they are."
        ),
    ] = None,
    depth: Annotated[
        Literal["8", "16", "float"] | None, typer.Option(help="Bits of a sample of the output. Default: the input's.")
    ] = None,
    force: Force = False,
) -> None:
    """Blur a sharp picture as a camera does.

    By default the frame shrinks to the part that nothing outside the picture blurs into.
    """
    from deblur.cli.jobs import blur as job

    report = job.run(
        image,
        kernel,
        output,
        flip=bool(flip_kernel),
        reading=reading(kernel_transfer, kernel_background, kernel_origin, kernel_channels),
        boundary=boundary,
        noise=real(noise, "--noise") or 0.0,
        seed=seed,
        transfer=transfer,
        depth=depth,
        force=force,
    )
    console.line(report, on_stderr=output == "-")
