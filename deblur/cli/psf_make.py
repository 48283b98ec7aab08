"""`deblur psf make`: write a kernel that is made from a shape and its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from deblur.cli import console
from deblur.cli.options import Force

__all__ = ["make", "spec"]


def make(
    shape: Annotated[
        list[str],
        typer.Argument(
            metavar="SHAPE [--PARAMETER VALUE]...",
            help="airy, box, defocus, exponential, gaussian, laplace, motion or shake, and its parameters; "
            "a shape without any says which it takes.",
        ),
    ],
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="The kernel, a .npy file.")],
    force: Force = False,
) -> None:
    """Make a blur kernel.

    deblur psf make motion --length 15 --angle 30 -o k.npy
    """
    text = spec(shape)
    from deblur import psf
    from deblur.files import check_writable

    check_writable(output, force)
    kernel = psf.make(text)
    psf.save(output, kernel, force)
    console.line(f"{output}: {text}, {kernel.shape[-1]} x {kernel.shape[-2]} taps")


def spec(words: Sequence[str]) -> str:
    """The text `motion:length=15,angle=30` for the words `motion --length 15 --angle=30`; else a usage error."""
    names, pairs = [], []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            names.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise typer.BadParameter(f"expected a value after {word}", param_hint="SHAPE")
            value = rest.pop(0)
        pairs.append(f"{name.replace('-', '_')}={value}")
    if len(names) != 1:
        raise typer.BadParameter(
            f"expected one shape and --parameter value pairs, got {' '.join(words)!r}", param_hint="SHAPE"
        )
    if not pairs:
        return names[0]
    return f"{names[0]}{',' if ':' in names[0] else ':'}{','.join(pairs)}"
