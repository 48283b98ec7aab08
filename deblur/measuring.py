"""What a frame shows about itself, measured once before it is restored: curve, range, what clips, noise by level.

The record is made from the whole frame; tiles and regions take it, so that all parts are restored alike. It is plain
numbers and can be written down.

Noise is measured where it matters: in what the kernel leaves unexplained. A first restoration, blurred again, misses
the frame by noise, by what coding did, and by the kernel's own error; the median of the misses in each of a few levels
of brightness says how much each level is to be believed:

    sigma(level)^2 = (SHARE * miss(level))^2 + coding^2 + (caution * misfit * span)^2

A restoration follows white noise in part; the frame's highest frequencies show that, so the miss is no less than they.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deblur.jpeg_error import CORRELATION, jpeg_sigma
from deblur.lattice import earlier_save
from deblur.layout import middle
from deblur.light import believed_pixels, brightest, curve_of, sample, saturation_level
from deblur.linearity import rises
from deblur.noise import deviation_of, effective_sigma, estimate_sigma, mean_around, span
from deblur.options import ApplyOptions
from deblur.photometry import photon_transfer
from deblur.picture import Picture, without_hidden
from deblur.psf import Kernel
from deblur.psf.operator import of_channel
from deblur.restoration import Problem, RichardsonLucy
from deblur.transfer import TRANSFERS, Transfer

__all__ = ["Measurements", "measure", "pose"]

SHARE = 0.9
"""What the median of the misses counts: the first restoration follows some of the noise, but not all structure."""

LEVELS = 12
"""Levels of brightness that noise is told for."""

FEW, FEWEST = 200, 400
"""Pixels that the noise of all of them is told by at least, and that of a level."""

COLOUR = 0.25
"""What the colour differences of a photograph count in the data term, beside brightness."""

STRADDLE = 1.5
"""Standard deviations below white from which on a pixel may be one that clips."""

SIDE = 1024
"""Pixels a side of the middle of a frame that a first restoration looks at: more does not sharpen the levels."""

BLACK = 0.5 / 255
"""A stored value up to which a pixel says only "at most so bright"."""


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """What a frame shows about itself.

    Args:
        linear: whether its values are taken as light.
        scale: what light is divided by.
        span: of its values, from the darkest to the brightest thousandth.
        white: the stored value at which it clips; None where nothing shows that it does.
        shown: standard deviation of its noise in stored values, as its highest frequencies show it.
        coding: that of the error that a JPEG's coding left.
        levels, deviations: the noise in stored values at some of them; of one level: alike everywhere.
        shares: of the pixels, that have each of the levels.
        told: whether the noise was told, not measured.
        chroma: what colour differences count beside brightness.
        trust: the probability that the kernel's restoration is better than the frame; None where none was looked for.
        notes: lines that a user should see.

    Example:
        >>> record = Measurements(linear=False, levels=(0.0, 1.0), deviations=(0.02, 0.01))
        >>> Measurements.of(record.plain()) == record
        True
    """

    linear: bool
    scale: float = 1.0
    span: float = 1.0
    white: float | None = None
    shown: float = 0.0
    coding: float = 0.0
    levels: tuple[float, ...] = (0.5,)
    deviations: tuple[float, ...] = (0.0,)
    shares: tuple[float, ...] = (1.0,)
    told: bool = False
    chroma: float = 1.0
    trust: float | None = None
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """The record as a dict of numbers, texts and lists of them, for JSON or YAML."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(self).items()}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Measurements:
        """The record of what `plain` gave."""
        fields: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in plain.items()}
        return cls(**fields)

    @property
    def even(self) -> bool:
        """Whether the noise is alike everywhere."""
        return len(self.levels) == 1

    def deviation(self, stored: float) -> float:
        """The noise's standard deviation at a stored value."""
        return float(np.interp(stored, self.levels, self.deviations))

    def at(self, share: float) -> float:
        """The same at a share of the brightest values."""
        return self.deviation(share * self.scale)

    def stored(self, problem: Problem, light: Tensor) -> Tensor:
        """Stored values of light as its problem has it, which takes the place of the light."""
        return problem.curve.encode(light.mul_(self.scale))

    def curve(self, picture: Picture) -> Transfer:
        """Between stored values and light."""
        return TRANSFERS["linear"] if self.linear else (picture.transfer or TRANSFERS["srgb"])


def measure(picture: Picture, kernel: Kernel, options: ApplyOptions) -> Measurements:
    """Look at a whole frame, and at what a first restoration by its kernel leaves unexplained.

    Args:
        picture: the whole frame, its pixels (C, H, W) in stored values.
        kernel: what blurred it.
        options: what the user told: transfer, noise, saturation.
    """
    pixels = picture.pixels
    curve, notes = curve_of(picture, options.transfer)
    if picture.ceiling is not None and picture.ceiling < 0.5:
        notes.append(
            f"the brightest value is {picture.ceiling:.3g} of full scale and saturated; --white N sets the range"
        )
    white = saturation_level(options.saturation, picture.ceiling)
    believed = believed_pixels(picture, math.inf)
    window, counted = sample(without_hidden(pixels, picture.alpha), believed)
    linear = curve.name == "linear"
    if math.isfinite(white) and (share := float((pixels >= white).float().mean())) > 0.5:
        notes.append(f"{share:.0%} of the pixels are saturated and say only that they are so bright; see --saturation")
    if (earlier := earlier_save(picture)) is not None:
        notes.append(earlier.note)
    below = window < white if math.isfinite(white) else torch.ones_like(window, dtype=torch.bool)
    counted = below if counted is None else below & counted
    shown = estimate_sigma(window, counted)
    record = Measurements(
        linear=linear,
        scale=(brightest(window) or 1.0) if linear else 1.0,
        span=span(window, counted),
        white=white if math.isfinite(white) else None,
        shown=shown,
        coding=jpeg_sigma(picture, earlier),
        chroma=COLOUR if len(pixels) == 3 and not linear else 1.0,
        notes=tuple(notes),
    )
    if isinstance(options.noise, float | int):
        return dataclasses.replace(record, deviations=(float(options.noise),), told=True)
    guess = CORRELATION * math.hypot(shown, record.coding) if record.coding else shown
    first = dataclasses.replace(record, deviations=(guess,))
    if linear and not rises(photon_transfer(window.mean(0))):
        return first
    return _with_levels(first, picture, kernel, options)


def pose(
    part: Picture,
    kernel: Kernel,
    record: Measurements,
    options: ApplyOptions,
    caution: float = 1.0,
    device: torch.device | str = "cpu",
) -> Problem:
    """The problem of a frame, or of a part of one whose record is given.

    Args:
        part: pixels (C, H, W), with all that goes with them.
        kernel: what blurred it, for that part.
        record: of the whole frame.
        options: what the user chose.
        caution: what the kernel's misfit counts for the method.
        device: where to solve it.
    """
    pixels, curve = without_hidden(part.pixels.detach(), part.alpha).to(device), record.curve(part)
    trust = {"strength": options.strength, "caution": caution}
    sigmas = [
        effective_sigma(s / record.scale, record.span / record.scale, kernel.misfit, **trust) for s in record.deviations
    ]
    sigma, deviation = _weights(pixels, record, sigmas)
    clipped = None
    if record.white is not None:
        top = (
            record.white if record.linear and record.even else record.white - STRADDLE * record.deviation(record.white)
        )
        clipped = pixels >= top
    crushed = None if record.linear else pixels <= BLACK
    return Problem(
        blurred=curve.decode(pixels).div_(record.scale),
        kernel=kernel,
        sigma=sigma,
        boundary=options.boundary,
        mask=_on(believed_pixels(part, math.inf), device),
        weights=_on(part.weights, device),
        preconditioner="circulant" if options.preconditioner == "auto" else options.preconditioner,
        curve=curve,
        deviation=deviation,
        clipped=clipped if clipped is not None and bool(clipped.any()) else None,
        crushed=crushed if crushed is not None and bool(crushed.any()) else None,
        chroma=record.chroma,
    )


def _on(planes: Tensor | None, device: torch.device | str) -> Tensor | None:
    return None if planes is None else planes.to(device)


def _with_levels(record: Measurements, picture: Picture, kernel: Kernel, options: ApplyOptions) -> Measurements:
    """The record with the noise of each level, from what a first restoration of the middle of the frame misses."""
    window = middle(picture.height, SIDE), middle(picture.width, SIDE)
    part = picture.window(*window)
    problem = pose(part, kernel.at(picture.placed(window)), record, options)
    predicted, stored = record.stored(problem, problem.blur(_FIRST.last(problem))), part.pixels
    misses = stored - predicted
    seen = torch.ones_like(stored, dtype=torch.bool) if problem.mask is None else problem.mask.expand_as(stored)
    for bound in (problem.clipped, problem.crushed):
        seen = seen if bound is None else seen & ~bound
    alive = stored.amax((1, 2)) > stored.amin((1, 2))  # a channel that holds nothing misses nothing, and says nothing
    if bool(alive.any()) and not bool(alive.all()):
        misses, stored, seen, predicted = misses[alive], stored[alive], seen[alive], predicted[alive]
    luma = misses.sum(0) / math.sqrt(len(misses))
    together = deviation_of(luma[seen.all(0)], FEW)
    apart = max(deviation_of(misses[seen], FEW), 1e-5 * record.scale)
    low, high = (0.0, 1.0) if not record.linear else (float(stored.min()), float(record.white or stored.max()))
    at = low + (high - low) * (np.arange(LEVELS) + 0.5) / LEVELS
    index = ((predicted - low) * (LEVELS / max(high - low, 1e-12))).clamp(0, LEVELS - 1).int()
    found = [deviation_of(misses[seen & (index == level)], FEWEST) for level in range(LEVELS)]
    told = [level for level in range(LEVELS) if found[level] > 0]
    if not told:
        return record
    shares = torch.bincount(index.flatten(), minlength=LEVELS).double() / index.numel()
    shape = np.interp(at, at[told], [found[level] for level in told])
    shape = np.convolve(np.pad(shape, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    deviations = np.hypot(max(SHARE * together, record.shown) * shape / apart, record.coding)
    return dataclasses.replace(
        record, levels=tuple(at.tolist()), deviations=tuple(deviations.tolist()), shares=tuple(shares.tolist())
    )


_FIRST = RichardsonLucy(coarse=40, limit=10)


def _weights(pixels: Tensor, record: Measurements, sigmas: list[float]) -> tuple[float, Tensor | None]:
    """The noise that stands for all, whose inverse square is the mean of theirs, and each pixel's relative to it."""
    if len(sigmas) == 1:
        return sigmas[0], None
    fine = np.linspace(record.levels[0], record.levels[-1], 256)
    table = torch.from_numpy(np.interp(fine, record.levels, sigmas)).to(pixels)
    deviation = torch.empty_like(pixels)
    for index in range(len(pixels)):
        plane = of_channel(pixels, slice(index, index + 1))
        around = mean_around(plane, 5)
        place = (around - fine[0]).mul_(255 / (fine[-1] - fine[0])).round_().clamp_(0, 255).int()
        deviation[index] = table.index_select(0, place.reshape(-1)).reshape(around.shape[1:])
    sigma = float((record.shares / np.square(sigmas)).sum() ** -0.5)
    return sigma, deviation.div_(sigma)
