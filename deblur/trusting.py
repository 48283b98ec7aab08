"""Never worse than the file: a restoration is drawn towards it where it is not to be trusted.

How likely the kernel is at all is one number of the whole frame (`deblur.kernel_trial`), which its regions and tiles
share. Where the restoration, blurred again, misses the file by far more than its noise (something moved by itself, or
stood still), a region is trusted less than that. What is trusted is not touched.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from deblur.kernel_trial import probability
from deblur.measuring import Measurements
from deblur.noise import mean_around
from deblur.options import ApplyOptions
from deblur.picture import Picture
from deblur.psf import Kernel
from deblur.psf.operator import Blur

__all__ = ["Drawn", "drawn", "tried"]

LOCAL, FREE_LOCAL = 12.0, 0.6
"""What the logarithm of a region's misses beside the noise counts, and up to where it costs nothing."""

ENDS = 0.25
"""Probabilities this near to 0 and 1 are taken as that: what is trusted is not touched at all."""

BLOCK, AROUND = 16, 5
"""Pixels of a block, and blocks a side that a region's misses are the mean of."""

NOTED = 0.02
"""The share of a picture that a note is made for."""


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A restoration drawn towards its file.

    Attributes:
        image: (C, H, W) in stored values; the restoration itself where it is trusted.
        weights: (1, H, W) in [0, 1], its share.
        notes: what a user should be told.
    """

    image: Tensor
    weights: Tensor
    notes: tuple[str, ...] = ()

    @property
    def trusted(self) -> float:
        """The mean share of the restoration."""
        return float(self.weights.mean())


def tried(measured: Measurements, picture: Picture, kernel: Kernel, options: ApplyOptions) -> Measurements:
    """The record of a whole frame with the probability of its kernel, if that is asked for and not yet known."""
    if options.trust == "none" or measured.trust is not None:
        return measured
    return dataclasses.replace(measured, trust=probability(picture, kernel, measured, options))


def drawn(picture: Picture, image: Tensor, kernel: Kernel, measured: Measurements, options: ApplyOptions) -> Drawn:
    """Draw a restoration towards its file where it is not to be trusted.

    Args:
        picture: the frame, or a part of it, (C, H, W).
        image: its restoration, (C, H, W) in stored values.
        kernel: what it was restored by.
        measured: of the whole frame, with its `trust`; None there is trusted.
        options: what the user chose.
    """
    if options.trust == "none":
        return Drawn(image, image.new_ones(1, *image.shape[1:]))
    height, width = picture.height, picture.width
    trust = 1.0 if measured.trust is None else measured.trust
    top, left = (at % BLOCK for at in picture.place)
    doubt = LOCAL * (_misses(picture, image, kernel, measured, options, (top, left)) - FREE_LOCAL).clamp_min_(0)
    share = torch.sigmoid(math.log(max(trust, 1e-12) / max(1 - trust, 1e-12)) - doubt)
    share = ((share - ENDS) / (1 - 2 * ENDS)).clamp_(0, 1)
    weights = F.interpolate(share[None, None], scale_factor=BLOCK, mode="bilinear")[0]
    weights = weights[:, top : top + height, left : left + width].to(image)
    if picture.mask is not None:  # what is not believed is no better than an estimate
        weights = weights.masked_fill(~picture.mask.bool().all(0, keepdim=True).to(weights.device), 1)
    if bool((weights == 1).all()):
        return Drawn(image, weights)
    stored = picture.pixels.detach().to(image)
    mixed = torch.where(weights == 0, stored, torch.lerp(stored, image, weights))
    mixed = torch.where(weights == 1, image, mixed)
    return Drawn(mixed, weights, _notes(float((weights < 0.5).float().mean()), float(weights.mean())))


def _notes(part: float, trusted: float) -> tuple[str, ...]:
    if 1 - trusted < NOTED:
        return ()
    where = f"in {part:.0%} of the picture" if part >= NOTED else f"by {1 - trusted:.0%}"
    return (f"drawn towards the file {where}: the kernel does not explain it (--trust none leaves the restoration)",)


def _misses(
    picture: Picture,
    image: Tensor,
    kernel: Kernel,
    measured: Measurements,
    options: ApplyOptions,
    start: tuple[int, int],
) -> Tensor:
    """By how much the restoration misses the file around every block, the logarithm of what its noise would."""
    stored, curve = picture.pixels.detach().to(torch.float32), measured.curve(picture)
    blur = Blur(kernel, (picture.height, picture.width), options.boundary)
    light = curve.decode(image.to(torch.float32).clamp_min(0))
    predicted = curve.encode(blur(blur.extend(light.div_(measured.scale))).mul_(measured.scale))
    rest = (stored - predicted).sum(0).square_().div_(len(stored))
    noise = torch.from_numpy(np.interp(stored.mean(0).numpy(), measured.levels, measured.deviations)).float()
    expected = noise.square_().add_((kernel.misfit * measured.span) ** 2 + 1e-10)
    counted = _free(picture, measured).all(0)
    for axis, size in enumerate(kernel.shape[-2:]):  # the restoration does not say what lies outside
        counted.narrow(axis, 0, size // 2).fill_(False)
        counted.narrow(axis, counted.shape[axis] - size // 2, size // 2).fill_(False)
    sums = torch.stack([rest.mul_(counted), expected.mul_(counted), counted.float()])
    rows, columns = (at + length for at, length in zip(start, sums.shape[-2:], strict=True))
    sums = F.pad(sums, (start[1], -columns % BLOCK, start[0], -rows % BLOCK))
    missed, noise, share = mean_around(F.avg_pool2d(sums, BLOCK), AROUND)
    ratio = 0.5 * torch.log((missed + 1e-12) / (noise + 1e-12))
    return torch.where(share < 0.1, torch.zeros_like(ratio), ratio)


def _free(picture: Picture, measured: Measurements) -> Tensor:
    """Which pixels say how bright they are: believed, and neither white nor black."""
    pixels = picture.pixels
    free = torch.ones_like(pixels, dtype=torch.bool) if measured.linear else pixels > 1 / 255
    if measured.white is not None:
        free = free & (pixels < measured.white - 0.015)
    if picture.alpha is not None:
        free = free & (picture.alpha > 0)
    return free if picture.mask is None else free & picture.mask.bool()
