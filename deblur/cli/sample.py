"""`deblur sample`: pictures that a prior makes up."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from deblur.cli import console
from deblur.cli.options import Device, Force, Json, Threads, real
from deblur.errors import OptionError

__all__ = ["sample"]

_MOST, _AT_ONCE = 1 << 26, 1 << 21
"""Numbers in the picture of all samples, and of those that are drawn together."""


def sample(
    prior: Annotated[str, typer.Argument(metavar="PRIOR", help="A file from deblur train-prior.")],
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="The picture of all samples.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of pictures to draw.")] = 64,
    temperature: Annotated[
        str,
        typer.Option(
            metavar="FACTOR", help="Below 1 the pictures are likelier and more alike; 1 draws from the density itself."
        ),
    ] = "1",
    size: Annotated[
        int | None,
        typer.Option(min=1, help="Pixels a side, for a model that takes any size. Default: those of its training."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed; the same one gives the same pictures.")] = 0,
    force: Force = False,
    threads: Threads = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Draw samples from a prior, side by side in one picture.

    Says how many seconds one takes.
    """
    heat = real(temperature, "--temperature") or 0.0
    if heat < 0:
        raise OptionError(f"expected a temperature of 0 or more, got {heat:g}")
    import time

    import torch

    from deblur import images
    from deblur.device import device_named, using_threads
    from deblur.training.grid import grid
    from deblur.training.prior import load

    images.check_writable(output, force, sources=[prior])
    images.output_format(output)
    place = device_named(device or "auto")
    loaded = load(prior, place)
    channels, *sides = loaded.shape
    rows, columns = sides if size is None else (size, size)
    shape = (channels, rows, columns)
    if (numbers := count * math.prod(shape)) > _MOST:
        raise OptionError(
            f"expected at most {_MOST // math.prod(shape)} samples of {columns} x {rows} pixels in one picture, "
            f"got {count}, which are {numbers:.2g} numbers; draw fewer"
        )
    generator, at_once = torch.Generator(place).manual_seed(seed), max(1, _AT_ONCE // math.prod(shape))
    with using_threads(threads):
        start = time.perf_counter()
        counts = [min(at_once, count - drawn) for drawn in range(0, count, at_once)]
        parts = [loaded.objective.sample(loaded.model, some, shape, heat, generator).cpu() for some in counts]
        seconds = (time.perf_counter() - start) / count
    drawn = torch.cat(parts) if len(parts) > 1 else parts[0]
    images.write_frames(output, [images.Frame(pixels=grid(drawn))], force=force)
    if as_json:
        record = {"prior": prior, "output": output, "count": count, "size": [rows, columns]}
        console.json_line({**record, "seconds_per_sample": seconds})
    else:
        console.line(f"{output}: {count} samples of {columns} x {rows} pixels, {seconds:.4f} s each")
