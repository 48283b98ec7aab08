"""`deblur evaluate-prior`: how well a prior tells what pictures look like."""

from __future__ import annotations

from typing import Annotated

import typer

from deblur.cli import console
from deblur.cli.options import Device, Json, Threads

__all__ = ["evaluate_prior"]


def evaluate_prior(
    prior: Annotated[str, typer.Argument(metavar="PRIOR", help="A file from deblur train-prior.")],
    sources: Annotated[
        list[str],
        typer.Argument(metavar="FOLDER|FILE", help="Folders of pictures, pictures, or .npz files with an array x."),
    ],
    crop: Annotated[
        int | None,
        typer.Option(min=1, help="Pixels a side of a crop, for a model that takes any size. Default: its training's."),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="Number of crops at most, evenly spread. Default: all that do not overlap."),
    ] = None,
    threads: Threads = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure a prior on pictures it was not trained on: bits per dim, and how well it denoises.

    The pictures are cut into crops that do not overlap. Says how many seconds one takes.
    """
    import dataclasses
    import time

    from deblur.device import device_named, using_threads
    from deblur.training import pictures
    from deblur.training.crops import Tiles
    from deblur.training.prior import load
    from deblur.training.validation import figures

    place = device_named(device or "auto")
    loaded = load(prior, place)
    size = crop or loaded.recipe.data.crop
    data = dataclasses.replace(loaded.recipe.data, crop=size, factors=(1.0,), validation=0.0)
    (stacks,) = pictures.read(sources, data, console.note).training
    tiles = Tiles(stacks, size, count)
    with using_threads(threads), console.Bar(prior) as bar:
        start = time.perf_counter()
        found = figures(loaded.objective, loaded.model, tiles, device=place, on_step=bar)
        seconds = (time.perf_counter() - start) / len(tiles)
    if as_json:
        record = {"prior": prior, "sources": sources, "crops": len(tiles), "size": size}
        console.json_line({**record, **found, "seconds_per_crop": seconds})
    else:
        numbers = ", ".join(f"{name} {value:.4f}" for name, value in found.items())
        console.line(f"{prior}: {numbers}; {len(tiles)} crops of {size} x {size} pixels, {seconds:.4f} s each")
