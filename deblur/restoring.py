"""The main job: restore a picture with a kernel, choosing everything that was not said.

`restore` is the whole pipeline, for a `Picture` as a file stores it:

    stored values -> linear light -> mask, noise level -> restorer (in tiles) -> stored values

`deblur.deblurring.apply` wraps it for arrays, tensors and files. The command line calls `restore`.
"""

from __future__ import annotations

import dataclasses
import math
import time
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from deblur import kernel_trial, psf, trusting
from deblur.conversion import KernelLike, kernel_of
from deblur.device import device_named, using_threads
from deblur.dithering import dithered
from deblur.errors import DivergedError, ShapeError
from deblur.fourier import seconds_of_a_transform
from deblur.masking import masked
from deblur.measuring import Measurements, measure, pose
from deblur.options import ApplyOptions
from deblur.outliers import without_outliers
from deblur.picture import Picture, check_picture, with_hidden
from deblur.progress import OnStep, Step, part_of
from deblur.psf import Kernel
from deblur.psf.operator import each_channel
from deblur.restoration import Restoration, Restorer, auto
from deblur.restoration.tiles import Tile, cut

__all__ = ["restore", "restored", "settled"]

_PictureT = TypeVar("_PictureT", bound=Picture)


TILE = 2048
"""Side of a tile in pixels, overlap included, for colour. Gray tiles may hold three times as many pixels. A picture
that fits into one tile is restored whole; methods that need little memory (`lean`) take pictures three times as large
whole: that takes the memory of 24 megapixels in tiles."""

OVERLAP = 64
"""Pixels by which a tile's core grows on every side that has a neighbour, beyond what the kernel's reach asks for."""

REACH = 16
"""How far, in kernel sizes, the guess of what lies outside a tile may still be seen inside its border."""

CLEAR = 0.002
"""By how many nats a frequency a frame speaks for a reading of the kernel, at least."""

NEGLIGIBLE = 1e-6
"""The share of a kernel's light that its margins may hold and be left out."""

FURTHEST = 400
"""The reach in pixels that is enough for large kernels, as long as it is four times their size."""


def restore(
    picture: Picture,
    kernel: KernelLike,
    options: ApplyOptions | None = None,
    *,
    whole: Picture | None = None,
    measured: Measurements | None = None,
    on_step: OnStep | None = None,
) -> Restoration:
    """Restore one picture.

    Args:
        picture: pixels (C, H, W) in stored values with black 0 and white 1, and all that goes with them.
        kernel: a `Kernel`, an `Estimate`, an array (kh, kw) or (C, kh, kw), a file, or a made kernel by name.
        options: what the user chose.
        whole: the frame that the picture is a part of, where it is: what is chosen automatically is chosen for that.
        measured: what that frame shows about itself, if that is known already (`deblur.measuring.measure`).
        on_step: told after every step of every tile.

    Returns:
        The record; its image is (C, H, W) in stored values, and `sigma` the noise's standard deviation in those. A
        method that diverges is a status of the record, not an exception. With a kernel of a single tap it is the
        picture itself, unless nothing is to be drawn towards it (`trust="none"`).

    Raises:
        ShapeError, KernelError, OptionError, UnstableInverseError: what was given does not fit together.
        FileError: the kernel's file cannot be read.

    Example:
        >>> gray = Picture(pixels=torch.full((1, 32, 32), 0.5))
        >>> restore(gray, np.full((3, 3), 1 / 9)).image.shape
        torch.Size([1, 32, 32])
    """
    check_picture(picture)
    start, options = time.perf_counter(), options or ApplyOptions()
    given = masked(picture, whole, options.mask)
    picture, notes = dataclasses.replace(given.picture, pixels=given.picture.pixels.detach()), [*given.notes]
    pixels, alpha = picture.pixels, picture.alpha
    kernel = _fitting(kernel_of(kernel, options.reading), pixels, options)
    device = device_named(options.device)
    if kernel.still and options.trust == "auto":
        return _left(given.stored, time.perf_counter() - start)
    with using_threads(options.threads, picture.height * picture.width):
        frame = picture if whole is None else given.frame
        kernel = settled(kernel, frame, options)
        notes += kernel.notes
        measured = trusting.tried(measured or measure(frame, kernel, options), frame, kernel, options)
        method, restorer = auto.choose(
            tuple(frame.pixels.shape),
            kernel,
            options.method,
            boundary=options.boundary,
            prior=options.prior,
            settings=options.settings,
            quiet=not measured.linear and measured.at(0.5) < auto.QUIET,
        )
        picture, found = without_outliers(picture, frame, kernel, measured, options)
        notes += [*measured.notes, *found]
        if restorer.least_noise * measured.shown > measured.deviations[0] and measured.even:
            least = restorer.least_noise * measured.shown
            told = measured.deviations[0]
            notes.append(f"the frame shows noise of {measured.shown:.2g}: {method} takes {least:.2g}, not {told:.2g}")
            measured = dataclasses.replace(measured, deviations=(least,))
        curve = measured.curve(picture)
        groups = _groups(pixels, restorer, measured)
        tiles = _tiles(pixels[groups[0]], kernel, options, restorer)
        parts = [(channels, tile) for channels in groups for tile in tiles]
        image = _zeros_like(pixels)
        records = []
        for index, (channels, tile) in enumerate(parts):
            part = picture.window(*tile.window).of_channels(channels)
            fitting = kernel.at(picture.placed(tile.window)).of_channels(channels)
            problem = pose(part, fitting, measured, options, restorer.caution, device)
            if index == 0 and on_step is not None:
                values = sum(t.take(pixels[c]).numel() for c, t in parts)
                seconds = restorer.effort(problem) * values * seconds_of_a_transform(device)
                total = len(parts) * restorer.expected_steps(problem)
                on_step(Step(0, total, seconds=time.perf_counter() - start + seconds))
            record = restorer(problem, part_of(on_step, index, len(parts)))
            restored_part = curve.encode(record.image.mul_(measured.scale).cpu())
            records.append(dataclasses.replace(record, image=pixels.new_empty(0)))  # a view would keep all of it
            if record.status == "diverged":
                image = pixels.clone()
                break
            tile.add(image[channels], restored_part)
        drawn = trusting.drawn(picture, image, kernel, measured, options)
        notes += drawn.notes
    image, seconds = given.kept(with_hidden(drawn.image, pixels, alpha)), time.perf_counter() - start
    return _summary(records, image, method, measured, seconds, notes, drawn.trusted)


def settled(kernel: Kernel, picture: Picture, options: ApplyOptions) -> Kernel:
    """The kernel as light, where only a whole frame can tell whether its picture is coded; itself where it is settled.

    Its notes say what was decided, and on what it could not be.
    """
    coded = kernel.otherwise
    if coded is None:
        return kernel
    with using_threads(options.threads, picture.height * picture.width):
        measured = measure(picture, kernel, options)
        plain, other = kernel_trial.evidence(picture, (kernel, coded), measured, options)
    if other > plain + CLEAR:
        note = (
            "the frame shows that the kernel's picture is sRGB-coded: it is decoded (--kernel-transfer linear keeps it)"
        )
        return kernel.replaced(taps=psf.trim(coded.taps, NEGLIGIBLE), notes=(*kernel.notes, note), otherwise=None)
    if other < plain - CLEAR:
        return kernel.replaced(otherwise=None)
    note = "the frame does not show whether its kernel's picture is sRGB-coded: taken as light (--kernel-transfer srgb)"
    return kernel.replaced(notes=(*kernel.notes, note), otherwise=None)


def restored(
    picture: _PictureT,
    result: Restoration,
    advice: str = "another method or a larger strength",
    *,
    step: float | None = None,
) -> _PictureT:
    """The picture with its restored pixels; itself where nothing was done to it.

    Args:
        picture: what was restored.
        result: how.
        advice: what to try where that diverged.
        step: of the values that it will be rounded to, full scale 1, where it is to be dithered for them.

    Raises:
        DivergedError: the method diverged; the message ends with the advice.
    """
    if result.status == "diverged":
        raise DivergedError(f"{result.method} diverged after {result.steps} steps; try {advice}")
    if result.untouched:
        return picture
    pixels = result.image if step is None else dithered(result.image, picture.pixels, picture.place, step)
    return dataclasses.replace(picture, pixels=pixels, coding=None)  # no longer what the file coded


def _left(pixels: Tensor, seconds: float) -> Restoration:
    """The record of a picture from which there is nothing to remove."""
    note = "the kernel is a single tap: there is nothing to undo (--trust none restores all the same)"
    return Restoration(pixels.clone(), "converged", 0.0, 0, seconds, method="none", notes=(note,), trusted=0.0)


def _fitting(kernel: Kernel, pixels: Tensor, options: ApplyOptions) -> Kernel:
    """The kernel with the user's own confidence, if it can have blurred these pixels."""
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise ShapeError(f"expected pixels (C, H, W), got {tuple(pixels.shape)}")
    psf.fits(kernel, tuple(pixels.shape))
    taps = psf.trim(kernel.taps, NEGLIGIBLE)
    if taps.shape != kernel.shape:
        kernel = kernel.replaced(taps=taps)
    return kernel if options.confidence is None else kernel.replaced(confidence=options.confidence)


def _zeros_like(pixels: Tensor) -> Tensor:
    """Zeros that take no memory before they are written to; torch's take it at once."""
    return torch.from_numpy(np.zeros(tuple(pixels.shape), np.float64 if pixels.dtype == torch.float64 else np.float32))


def _groups(pixels: Tensor, restorer: Restorer, measured: Measurements) -> list[slice]:
    """The channels that are restored together: one at a time in a large picture, where method and data let them."""
    apart = restorer.apart and measured.linear and pixels.numel() > 3 * TILE**2
    return each_channel(pixels) if apart else [slice(None)]


def _tiles(pixels: Tensor, kernel: Kernel, options: ApplyOptions, restorer: Restorer) -> list[Tile]:
    """The tiles of a picture, or of the channels of it that are restored together."""
    (height, width), size = pixels.shape[-2:], max(kernel.shape[-2:])
    side = TILE if len(pixels) > 1 else math.isqrt(3 * TILE**2)
    overlap = max(4 * size, min(REACH * size, FURTHEST)) + OVERLAP
    lean = restorer.lean and options.preconditioner != "four-quadrant"  # which works on all channels at once
    fits = height * width <= side**2 or (lean and height * width * max(3, len(pixels)) <= 9 * TILE**2)
    whole = restorer.whole or options.boundary != "unknown" or fits
    return cut((height, width), max(height, width) if whole else side - 2 * overlap, overlap)


def _summary(
    records: list[Restoration],
    image: Tensor,
    method: str,
    measured: Measurements,
    seconds: float,
    notes: list[str],
    trusted: float,
) -> Restoration:
    order = ("converged", "limit", "diverged")
    return Restoration(
        image=image,
        status=max((record.status for record in records), key=order.index),
        residual=max(record.residual for record in records),
        steps=max(record.steps for record in records),
        seconds=seconds,
        method=method,
        sigma=measured.at(0.5),
        noise=() if measured.even else tuple(measured.at(level) for level in (0.1, 0.5, 0.9)),
        notes=tuple(dict.fromkeys([*notes, *(note for record in records for note in record.notes)])),
        trusted=trusted,
    )
