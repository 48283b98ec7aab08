"""The work behind `deblur blur`: one made exposure, from file to file.

Imported when the command runs, not before: it needs torch.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import torch

from deblur import images, psf
from deblur.blurring import expose
from deblur.cli import console
from deblur.cli.outputs import STREAM, plan
from deblur.images import Frame
from deblur.light import curve_of
from deblur.options import ApplyOptions

__all__ = ["Depth", "run"]

Depth = Literal["8", "16", "float"]

_SAMPLES: dict[Depth, tuple[Literal["uint8", "uint16", "float32"], float]] = {
    "8": ("uint8", 255.0),
    "16": ("uint16", 65535.0),
    "float": ("float32", 1.0),
}


def run(
    source: str,
    kernel: str,
    output: str,
    *,
    flip: bool = False,
    reading: psf.Reading | None = None,
    boundary: str = "valid",
    noise: float = 0.0,
    seed: int = 0,
    transfer: str | None = None,
    depth: Depth | None = None,
    force: bool = False,
) -> str:
    """Blur the picture in one file into another and return the line to report; errors as `images` and `psf` raise."""
    options = ApplyOptions(noise=noise, transfer=transfer or "auto")  # refuses what is out of range
    plan([source], output, exists="overwrite" if force else "error", read=[kernel])
    known = psf.resolve(kernel, flip=flip, reading=reading)
    for note in psf.remarks(known):
        console.note(f"{kernel}: {note}")
    frames = images.read_frames(source, fewer_bits=True)
    told = [_deeper(frame, depth) for frame in frames]
    format = images.written_as(frames[0].format) if output == STREAM else images.output_format(output)
    images.check_storable(told, format)
    for note in images.losses(told, format):
        console.note(f"{source}: {note}")
    generator = torch.Generator().manual_seed(seed)
    exposed = []
    for frame in frames:
        curve, notes = curve_of(frame, options.transfer)
        for note in (*frame.notes, *notes):
            console.note(f"{source}: {note}")
        deeper = _deeper(frame, depth)
        exposed.append(expose(deeper, known, boundary=boundary, noise=noise, generator=generator, curve=curve))
    images.write_frames(output, exposed, force=force)
    before, after = frames[0], exposed[0]
    return (
        f"{source} -> {output}  {before.width} x {before.height} to {after.width} x {after.height} pixels, "
        f"{known.shape[-1]} x {known.shape[-2]} taps, boundary {boundary}, noise {noise:g}, seed {seed}"
    )


def _deeper(frame: Frame, depth: Depth | None) -> Frame:
    """The frame to be stored with another sample type, whose full scale is then white."""
    if depth is None:
        return frame
    dtype, white = _SAMPLES[depth]
    return dataclasses.replace(frame, dtype=dtype, black=0.0, white=white)
