"""The work behind `deblur blur`: one made exposure, from file to file.

Imported when the command runs, not before: it needs torch.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deblur import images, psf
from deblur.cli.outputs import plan
from deblur.errors import OptionError
from deblur.images import Frame
from deblur.psf.operator import blur
from deblur.restoring import ApplyOptions
from deblur.transfer import TRANSFERS

__all__ = ["Depth", "expose", "expose_frame"]

Depth = Literal["8", "16", "float"]

_SAMPLES: dict[Depth, tuple[Literal["uint8", "uint16", "float32"], float]] = {
    "8": ("uint8", 255.0),
    "16": ("uint16", 65535.0),
    "float": ("float32", 1.0),
}


def expose(
    source: str,
    kernel: str,
    output: str,
    *,
    flip: bool = False,
    boundary: str = "valid",
    sigma: float = 0.0,
    seed: int = 0,
    transfer: str | None = None,
    depth: Depth | None = None,
    force: bool = False,
) -> str:
    """Blur the picture in one file into another and return the line to report; errors as `images` and `psf` raise."""
    if sigma < 0:
        raise OptionError(f"expected a --sigma of 0 or more, got {sigma:g}")
    if sigma >= 1:
        raise OptionError(
            f"expected --sigma as a fraction of full scale below 1, got {sigma:g}; "
            f"for {sigma:g} of 255 levels give {sigma:g}/255"
        )
    plan([source], output, force=force, read=[kernel])
    taps = psf.resolve(kernel, flip=flip)
    frames = images.read_frames(source)
    generator = torch.Generator().manual_seed(seed)
    options = ApplyOptions() if transfer is None else ApplyOptions(transfer=transfer)
    linear = options.transfer == "linear"
    exposed = [
        expose_frame(frame, taps, boundary=boundary, sigma=sigma, generator=generator, linear=linear, depth=depth)
        for frame in frames
    ]
    images.write_frames(output, exposed, force=force)
    before, after = frames[0], exposed[0]
    return (
        f"{source} -> {output}  {before.width} x {before.height} to {after.width} x {after.height} pixels, "
        f"{taps.shape[-1]} x {taps.shape[-2]} taps, boundary {boundary}, sigma {sigma:g}, seed {seed}"
    )


def expose_frame(
    frame: Frame,
    kernel: NDArray[np.float64],
    *,
    boundary: str = "valid",
    sigma: float = 0.0,
    generator: torch.Generator,
    linear: bool = False,
    depth: Depth | None = None,
) -> Frame:
    """Blur the light of a frame, then add white noise to its stored values.

    Hidden colours do not spread: what is transparent weighs nothing, and the alpha is kept as it is.

    Args:
        frame: a sharp frame (C, H, W).
        kernel: (kh, kw) or (C, kh, kw), sum 1.
        boundary: `valid` (the frame shrinks by k - 1), `zero`, `reflect`, `replicate` or `circular`.
        sigma: standard deviation of the noise, as a fraction of full scale.
        generator: where the noise comes from.
        linear: take stored values for light; else the frame's own curve is undone before and applied after.
        depth: another sample type; full scale then becomes that of the type.

    Raises:
        KernelError: a kernel larger than the frame, or one per channel for another number of channels.
    """
    psf.fits(kernel, frame.pixels.shape)
    curve = TRANSFERS["linear"] if linear else frame.transfer
    light, cover = curve.decode(frame.pixels).double(), frame.alpha
    if cover is None:
        light = _per_channel(light, kernel, boundary)
    else:
        missing = _per_channel((1 - cover.double()).expand_as(light), kernel, boundary)
        light = _per_channel(light * cover, kernel, boundary) / (1 - missing).clamp_min(1e-6)
        if boundary == "valid":
            top, left = ((taps - 1) // 2 for taps in kernel.shape[-2:])
            cover = cover[top : top + light.shape[1], left : left + light.shape[2]]
    pixels = curve.encode(light.float())
    if sigma > 0:
        pixels += sigma * torch.randn(pixels.shape, generator=generator)
    made = dataclasses.replace(frame, pixels=pixels, alpha=cover)
    if depth is None:
        return made
    dtype, white = _SAMPLES[depth]
    return dataclasses.replace(made, dtype=dtype, black=0.0, white=white)


def _per_channel(planes: Tensor, kernel: NDArray[np.float64], boundary: str) -> Tensor:
    """Blur channel by channel: the transforms of one at a time are in memory."""
    kernels = kernel if kernel.ndim == 3 else kernel[None]
    one_for_all = len(kernels) == 1
    return torch.cat([blur(plane[None], kernels[0 if one_for_all else c], boundary) for c, plane in enumerate(planes)])
