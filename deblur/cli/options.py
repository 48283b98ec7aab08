"""The options that several commands share, and how their values are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deblur.config import number
from deblur.errors import ConfigError

if TYPE_CHECKING:
    from deblur.psf import Reading

__all__ = [
    "Black",
    "Color",
    "Config",
    "Device",
    "FlipKernel",
    "Force",
    "Json",
    "Kernel",
    "KernelBackground",
    "KernelChannels",
    "KernelOrigin",
    "KernelTransfer",
    "Mask",
    "Noise",
    "OnExists",
    "Part",
    "Prior",
    "Quality",
    "Saturation",
    "Strength",
    "Threads",
    "Truth",
    "White",
    "reading",
    "real",
    "real_or",
    "region",
]

Kernel = Annotated[
    str,
    typer.Option(
        "--kernel",
        "-k",
        metavar="FILE|SPEC",
        help="The blur kernel: a .npy, .npz, .png, .tif, .mat, .csv or .txt file, or one by name, "
        "such as motion:length=15,angle=30, defocus:radius=4 or gaussian:sigma=2.",
    ),
]
FlipKernel = Annotated[
    bool | None,
    typer.Option(
        "--flip-kernel/--no-flip-kernel", help="Turn the kernel by 180 degrees: its file stores a correlation kernel."
    ),
]
KernelTransfer = Annotated[
    Literal["auto", "linear", "srgb"] | None,
    typer.Option(
        help="What a kernel's picture holds: linear, light; srgb, values coded like a photograph's. Default: auto, "
        "light unless the frame shows otherwise."
    ),
]
KernelBackground = Annotated[
    str | None,
    typer.Option(
        metavar="VALUE", help="The stored value of a kernel file that stands for no light. Default: auto, by its rim."
    ),
]
KernelOrigin = Annotated[
    Literal["auto", "centre", "mass", "corner"] | None,
    typer.Option(
        help="The tap of a kernel file that is its origin: the middle one, the one at the centre of mass, or the "
        "first, as an FFT has it. Default: auto, centre unless all light lies around the corner."
    ),
]
KernelChannels = Annotated[
    bool | None,
    typer.Option(
        "--kernel-channels/--no-kernel-channels", help="The planes of a kernel file are one for each channel."
    ),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite files that exist already.")]
OnExists = Annotated[
    Literal["skip", "error", "overwrite"] | None,
    typer.Option(
        help="What becomes of a picture whose output exists already: skip it with a line (default for several "
        "pictures), stop with an error (default for one), or overwrite (the same as --force)."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line, in place of text.")]
Color = Literal["auto", "srgb", "linear"]
Noise = Annotated[
    str | None,
    typer.Option(
        metavar="SIGMA",
        help="Standard deviation of the noise as a fraction of full scale: 0.01 or 2.5/255. "
        "Default: auto, estimated from the picture.",
    ),
]
Saturation = Annotated[
    str | None,
    typer.Option(
        metavar="LEVEL",
        help="Pixels at or above this fraction of full scale count as clipped and are left out. "
        "Default: auto, the picture's own ceiling; none: every pixel counts.",
    ),
]
Mask = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="A gray picture of the same size, 0 where a pixel is not to be believed. Default: auto, which leaves out "
        "black bars, empty corners and all outside a round field; none: every pixel counts.",
    ),
]
Black = Annotated[
    str | None, typer.Option(metavar="VALUE", help="The stored value that is black, where a sensor adds a pedestal.")
]
White = Annotated[
    str | None,
    typer.Option(metavar="VALUE", help="The stored value that is full scale: 4095 for 12-bit data in a 16-bit file."),
]
Strength = Annotated[
    str | None,
    typer.Option(
        metavar="FACTOR", help="Factor of the smoothing that the noise asks for: above 1 smoother, below 1 sharper."
    ),
]
Prior = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="A prior made by deblur train-prior, used in place of the one that comes with deblur."
    ),
]
Quality = Annotated[
    int | None, typer.Option(min=1, max=100, help="Quality of JPEG and WebP output, 1 to 100. Default: high.")
]
Part = Annotated[
    str | None,
    typer.Option("--region", metavar="x,y,w,h", help="Process only this part of the picture, for a quick look."),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"] | None,
    typer.Option(help="Where to compute. Default: auto, a GPU where there is one."),
]
Truth = Annotated[
    str | None, typer.Option(metavar="FILE", help="The sharp picture: the summary then shows PSNR and SSIM.")
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Number of processor threads. Default: as many as PyTorch takes.")
]
Config = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="A YAML file with options; what is given on the command line comes before it."),
]


def reading(transfer: str | None, background: str | None, origin: str | None, channels: bool | None) -> Reading:
    """How a kernel file is to be read, from the four options that say so; else a usage error."""
    from deblur.psf import Reading

    level = real_or(background, "--kernel-background", "auto")
    return Reading(
        transfer=transfer or "auto",
        background="auto" if level is None else level,
        origin=origin or "auto",
        channels=bool(channels),
    )


def real(text: str | None, option: str) -> float | None:
    """The value of an option that is a number, `0.01` or `2.5/255`; else a usage error."""
    if text is None:
        return None
    try:
        return number(text)
    except ConfigError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def real_or(text: str | None, option: str, *words: str) -> float | str | None:
    """The same for a number or one of a few words."""
    if text is None or text in words:
        return text
    try:
        return number(text)
    except ConfigError:
        expected = " or ".join(("a number like 0.01 or 2.5/255", *words))
        raise typer.BadParameter(f"expected {expected}, got {text!r}", param_hint=option) from None


def region(text: str | None, option: str = "--region") -> tuple[int, int, int, int] | None:
    """`x,y,w,h` in pixels: the left and top edge of a rectangle, its width and height."""
    if text is None:
        return None
    try:
        x, y, width, height = (int(word) for word in text.split(","))
    except ValueError:
        x = y = width = height = -1
    if min(x, y) < 0 or min(width, height) < 1:
        raise typer.BadParameter(
            f"expected x,y,w,h in whole pixels (x, y from 0, w, h from 1), like 100,80,256,256, got {text!r}",
            param_hint=option,
        )
    return x, y, width, height
