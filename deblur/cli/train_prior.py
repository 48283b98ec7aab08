"""`deblur train-prior`: learn what pictures look like, as a normalizing flow, from a folder of them."""

from __future__ import annotations

from typing import Annotated

import typer

from deblur.cli.options import Device, Force, Json, Threads

__all__ = ["train_prior"]


def train_prior(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="FOLDER|FILE", help="Folders of pictures, pictures, or .npz files with an array x."),
    ],
    config: Annotated[
        str, typer.Option(metavar="FILE", help="YAML: the model, the objective, the data and the training.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The prior, .pt; its log and state go beside it.")
    ],
    steps: Annotated[
        int | None, typer.Option(min=1, help="Number of optimizer steps. Default: from the configuration file.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Random seed of weights, crops and noise. Default: from the configuration file."),
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="FILE", help="A prior to start from, in place of random weights.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run that wrote this output.")] = False,
    force: Force = False,
    threads: Threads = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train a prior: a density of pictures, learnt from a folder of them.

    Beside prior.pt go prior.csv (the log), prior.png (samples) and prior.state/ (what --resume goes on from, after
    Ctrl-C too). Start it with torchrun to use several processes.
    """
    if resume and force:
        raise typer.BadParameter("goes on with a run, --force starts again; give one of them", param_hint="--resume")
    from deblur.cli.jobs import train_prior as job

    job.run(
        sources,
        config,
        output,
        steps=steps,
        seed=seed,
        start=start,
        resume=resume,
        force=force,
        threads=threads,
        device=device or "auto",
        as_json=as_json,
    )
