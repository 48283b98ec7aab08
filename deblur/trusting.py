"""How far a restoration is to be trusted, region by region: where the kernel cannot have blurred it, the file is better.

A wrong kernel does not fail loudly. Its restoration, blurred again, is often nearly the frame, and rings all over. What
gives it away is that its neighbours do as well. So the kernel is tried against controls, in gray at half the size:

- turned by 180 degrees it passes the same frequencies: only their phases are wrong. The truth explains the frame with
  smaller misses and fewer edges than that; a kernel that is wrong does not;
- shrunk by a sixth it is too small for a frame that it truly blurred;
- its misses are to be no more than the noise that the file shows;
- its spectrum has to be seen in the frame's: the marginal likelihood of its zeros and its fall beside that of none
  (`deblur.estimation.marginal`).

Each says by how much it is not met, and the sum is a logit. That is one number for the whole frame (`overall`), which
its regions and tiles share. Where the restoration itself, blurred again, misses the file by far more than its noise
(something moved by itself, or stood still), a region is trusted less than that (`drawn`).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from deblur.estimation.marginal import Evidence, periodogram
from deblur.measuring import Measurements, pose
from deblur.options import ApplyOptions
from deblur.picture import Picture
from deblur.psf import Kernel
from deblur.restoration import Problem, RichardsonLucy, coarse

__all__ = ["Drawn", "drawn", "overall"]

SIDE = 768
"""Pixels a side of the middle of a frame that the kernel is tried on: more does not change the verdict."""

SHRUNK = 1 / 1.2
"""The size of the smaller control."""

SURE = 4.5
"""The logit where nothing speaks against a kernel."""

TURNED, SMALLER, MISSED, UNSEEN = 24.0, 20.0, 16.0, 6.0
"""What each of the four counts (docs/experiments/trust.md)."""

FREE_TURNED, FREE_MISSED = 0.02, -0.05
"""Up to where the first and the third cost nothing: true kernels lie within these."""

FREE_SMALLER = (0.15, 0.4)
"""For the second it is the first of these, and the other divided by the kernel's spread in pixels: what shrinks by less
than a pixel is hardly worse."""

EXPECTED = 0.02
"""Evidence, in nats a frequency, from which on a spectrum counts as seen."""

LOCAL, FREE_LOCAL = 12.0, 0.6
"""The same for the logarithm of a region's misses beside the noise."""

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
        note: what a user should be told, or None.
    """

    image: Tensor
    weights: Tensor
    note: str | None

    @property
    def trusted(self) -> float:
        """The mean share of the restoration."""
        return float(self.weights.mean())


def overall(picture: Picture, kernel: Kernel, measured: Measurements, options: ApplyOptions) -> float:
    """The probability, as far as the frame shows it, that restoring it by the kernel gives more than the file.

    A kernel of a single tap at its origin has nothing to undo, and 0; a frame too small to try a kernel on says
    nothing against it.

    Args:
        picture: the whole frame, pixels (C, H, W) in stored values.
        kernel: what is said to have blurred it.
        measured: of the frame.
        options: what the user chose.

    Example:
        >>> from deblur.measuring import measure
        >>> scene = torch.rand(1, 12, 12, generator=torch.Generator().manual_seed(0)).repeat_interleave(9, 1)
        >>> picture, kernel = Picture(pixels=scene.repeat_interleave(9, 2)), Kernel(np.ones((9, 9)))
        >>> overall(picture, kernel, measure(picture, kernel, ApplyOptions()), ApplyOptions()) < 0.01
        True
    """
    taps = _gray_taps(kernel)
    if _still(taps):
        return 0.0
    window = _middle(picture)
    part = picture.window(*window)
    size = len(taps)
    if min(part.height, part.width) < max(48, 3 * size):
        return 1.0
    problem = _gray(pose(part, kernel.at(window), measured, options), taps)
    floor = math.hypot(_noise(measured), kernel.misfit * measured.span)
    missed, edges = _tried(problem, taps, measured)
    turned, smaller = (_tried(problem, other, measured) for other in (taps[::-1, ::-1], _shrunk(taps)))
    against = TURNED * _beyond(-math.log(turned[0] / missed) - math.log(turned[1] / edges), FREE_TURNED)
    free = FREE_SMALLER[0] + FREE_SMALLER[1] / _spread(taps)
    against += SMALLER * _beyond(-math.log(smaller[0] / missed) - math.log(smaller[1] / edges), free)
    against += MISSED * _beyond(math.log(missed / floor), FREE_MISSED)
    against += UNSEEN * _beyond(1 - _seen(problem, taps, measured) / EXPECTED, 0)
    return 1 / (1 + math.exp(min(against - SURE, 60.0)))


def drawn(
    picture: Picture, image: Tensor, kernel: Kernel, measured: Measurements, options: ApplyOptions
) -> Drawn:
    """Draw a restoration towards its file where it is not to be trusted.

    Args:
        picture: the frame, or a part of it, (C, H, W).
        image: its restoration, (C, H, W) in stored values.
        kernel: what it was restored by.
        measured: of the whole frame, with its `trust`.
        options: what the user chose.
    """
    height, width = picture.height, picture.width
    trust = 1.0 if measured.trust is None else measured.trust
    top, left = (at % BLOCK for at in picture.place)
    doubt = LOCAL * (_misses(picture, image, kernel, measured, options, (top, left)) - FREE_LOCAL).clamp_min_(0)
    share = torch.sigmoid(math.log(max(trust, 1e-12) / max(1 - trust, 1e-12)) - doubt)
    share = ((share - ENDS) / (1 - 2 * ENDS)).clamp_(0, 1)
    weights = F.interpolate(share[None, None], scale_factor=BLOCK, mode="bilinear")[0]
    weights = weights[:, top : top + height, left : left + width].to(image)
    if bool((weights == 1).all()):
        return Drawn(image, weights, None)
    mixed = torch.lerp(picture.pixels.to(image), image, weights)
    mixed = torch.where(weights == 1, image, torch.where(weights == 0, picture.pixels.to(image), mixed))
    return Drawn(mixed, weights, _note(float((weights < 0.5).float().mean()), float(weights.mean()), kernel))


def _note(part: float, trusted: float, kernel: Kernel) -> str | None:
    if _still(_gray_taps(kernel)):
        return "the kernel is a single tap: there is nothing to undo (--trust none restores all the same)"
    if 1 - trusted < NOTED:
        return None
    where = f"in {part:.0%} of the picture" if part >= NOTED else f"by {1 - trusted:.0%}"
    return f"drawn towards the file {where}: the kernel does not explain it (--trust none leaves the restoration)"


def _misses(
    picture: Picture,
    image: Tensor,
    kernel: Kernel,
    measured: Measurements,
    options: ApplyOptions,
    start: tuple[int, int],
) -> Tensor:
    """By how much the restoration misses the file around every block, the logarithm of what its noise would."""
    stored, curve = picture.pixels.to(torch.float32), measured.curve(picture)
    blur = pose(picture, kernel, measured, options).blur
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
    missed, noise, share = F.avg_pool2d(F.avg_pool2d(sums, BLOCK), AROUND, 1, AROUND // 2, count_include_pad=False)
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


def _tried(problem: Problem, taps: np.ndarray, measured: Measurements) -> tuple[float, float]:
    """How far a kernel misses the frame, root mean square in stored values, and how many edges its scene takes."""
    posed = dataclasses.replace(problem, kernel=np.ascontiguousarray(taps))
    posed = coarse.halved(posed) if coarse.worthwhile(posed) else posed
    scene = _FIRST.last(posed)
    encode = lambda light: posed.curve.encode(light.mul(measured.scale))  # noqa: E731
    rest = encode(posed.blurred) - encode(posed.blur(scene))
    if posed.clipped is not None:
        rest = torch.where(posed.clipped & (rest < 0), 0, rest)
    rest = posed.masked(rest)
    shown = encode(posed.blur.crop(scene)).clamp_(max=1.2)
    across, down = shown[:, :-1, 1:] - shown[:, :-1, :-1], shown[:, 1:, :-1] - shown[:, :-1, :-1]
    edges = (across.square_().add_(down.square_()) + 1e-6).pow_(0.4)
    return float(rest.square().mean().sqrt()) + 1e-6, float(edges.mean())


_FIRST = RichardsonLucy(coarse=0, limit=30)


def _seen(problem: Problem, taps: np.ndarray, measured: Measurements) -> float:
    """The evidence for the kernel's spectrum in the frame's, beside none, in nats a frequency."""
    frame = problem.blurred
    side = min(256, (min(frame.shape[-2:]) - 1) // 2 * 2)
    steep = problem.curve.slope(problem.curve.encode(frame), frame).square().mean().sqrt()
    sigma = _noise(measured) * float(steep) / measured.scale
    evidence = Evidence(periodogram([frame], [problem.mask], side), sigma, stride=2)
    rows, columns = (torch.arange(length, dtype=torch.float64) for length in taps.shape)
    waves = torch.exp(-1j * evidence.down[:, None] * rows), torch.exp(-1j * evidence.across[:, None] * columns)
    power = ((waves[0] @ torch.from_numpy(taps.copy()).to(torch.complex128)) * waves[1]).sum(1).abs().square()
    with_it, without = evidence(torch.stack([power, torch.ones_like(power)]), None, 20).cost
    return float(without - with_it) / evidence.count


def _gray(problem: Problem, taps: np.ndarray) -> Problem:
    """The problem of the channels' mean, its border unknown."""
    flat = lambda planes: None if planes is None else planes.to(problem.blurred).amin(0, keepdim=True)  # noqa: E731
    some = lambda planes: None if planes is None else planes.any(0, keepdim=True)  # noqa: E731
    return Problem(
        blurred=problem.blurred.mean(0, keepdim=True),
        kernel=taps,
        sigma=problem.sigma,
        mask=None if problem.mask is None else problem.mask.all(0, keepdim=True),
        weights=flat(problem.weights),
        curve=problem.curve,
        clipped=some(problem.clipped),
    )


def _gray_taps(kernel: Kernel) -> np.ndarray:
    """The channels' mean, square and odd about its origin, so that it can be turned."""
    taps = kernel.taps if kernel.ndim == 2 else kernel.taps.mean(0)
    reach = max(max(length // 2, length - 1 - length // 2) for length in taps.shape)
    square = np.zeros((2 * reach + 1, 2 * reach + 1))
    top, left = (reach - length // 2 for length in taps.shape)
    square[top : top + taps.shape[0], left : left + taps.shape[1]] = taps
    return square


def _shrunk(taps: np.ndarray) -> np.ndarray:
    """The taps a sixth smaller about their origin, the mean of nine samples in every new one."""
    from scipy.ndimage import map_coordinates

    reach = max(1, math.ceil(len(taps) * SHRUNK / 2))
    at = ((np.arange(3 * (2 * reach + 1)) + 0.5) / 3 - 0.5 - reach) / SHRUNK + len(taps) // 2
    fine = map_coordinates(taps, np.meshgrid(at, at, indexing="ij"), order=1)
    mean = fine.reshape(2 * reach + 1, 3, 2 * reach + 1, 3).mean((1, 3))
    return np.asarray(mean / mean.sum())


def _spread(taps: np.ndarray) -> float:
    """The standard deviation of the light along an axis, in pixels, the mean of both."""
    at = np.arange(len(taps))
    squares = [(side @ at**2) - (side @ at) ** 2 for side in (taps.sum(0), taps.sum(1))]
    return math.sqrt(max(sum(squares) / 2, 1e-3))


def _still(taps: np.ndarray) -> bool:
    """Whether all light stays in its pixel."""
    return bool(taps[len(taps) // 2, len(taps) // 2] > 1 - 1e-6)


def _noise(measured: Measurements) -> float:
    """What the file shows of its noise, or what was told if that is more."""
    shown = max(math.hypot(measured.shown, measured.coding), 0.5 / 255)
    return max(shown, measured.deviations[0]) if measured.told else shown


def _beyond(value: float, free: float) -> float:
    return max(0.0, value - free)


def _middle(picture: Picture) -> tuple[slice, slice]:
    starts = [max(0, length - SIDE) // 2 for length in (picture.height, picture.width)]
    return slice(starts[0], starts[0] + SIDE), slice(starts[1], starts[1] + SIDE)
