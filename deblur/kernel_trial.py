"""A kernel on trial: how likely it is, as far as a frame shows it, that it blurred it.

A wrong kernel does not fail loudly. Its restoration, blurred again, is often nearly the frame, and rings all over. What
gives it away is that its neighbours do as well. So it is tried beside controls, in gray, at half the size where that is
large enough, by a few steps of Richardson-Lucy:

- **turned** by 180 degrees it passes the same frequencies, and only their phases are wrong. The truth misses the frame
  by less than that, and its scene takes fewer edges; a wrong kernel is no better than its mirror image;
- **smaller** by a sixth it is too small for a frame that it truly blurred;
- **missed**: its own misses are to be no more than the noise that the file shows, and the kernel's usual misfit;
- **unseen**: its zeros and its fall have to be seen in the frame's spectrum, by the marginal likelihood beside that of
  no blur (`deblur.estimation.marginal`). The edges of what clips fill a kernel's zeros: it is looked for with and
  without them.

Each says by how much it is not met, which costs nothing up to a point where true kernels lie; SURE less the weighed sum
is a logit. docs/experiments/trust.md has the figures.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from deblur.estimation.marginal import Evidence, fading, periodogram, power
from deblur.layout import middle
from deblur.measuring import Measurements, pose
from deblur.options import ApplyOptions
from deblur.picture import Picture
from deblur.psf import Kernel
from deblur.psf.array import square
from deblur.restoration import Problem, RichardsonLucy, coarse

__all__ = ["Trial", "evidence", "probability", "tried"]

_Taps = NDArray[np.float64]

SIDE = 768
"""Pixels a side of the middle of a frame that the kernel is tried on: more does not change the verdict."""

SMALLEST = 96
"""Pixels a side of a frame that a kernel is tried on, at least; and three times the kernel's."""

SHRUNK = 1 / 1.2
"""The size of the smaller control."""

SURE = 4.5
"""The logit where nothing speaks against a kernel."""

TURNED, SMALLER, MISSED, UNSEEN = 24.0, 20.0, 16.0, 10.0
"""What each of the four counts (docs/experiments/trust.md)."""

FREE_TURNED, FREE_MISSED, FREE_UNSEEN = 0.02, -0.05, 0.4
"""Up to where these three cost nothing: true kernels lie within them."""

FREE_SMALLER = (0.08, 0.4)
"""For the second it is the first of these, and the other divided by the kernel's spread in pixels: what shrinks by less
than a pixel is hardly worse."""

BLOCK = 16
"""Pixels of a block, at the size that the kernel is tried at."""

FAR, LESSER = 4.0, 0.5
"""Blocks that no control explains to so many times the noise moved by themselves, if they and those beside them
are less than this share."""

FINE = 1.6
"""The spread in pixels below which half the size hides what a kernel misses: there the full size is asked too."""

CLEAR = 0.12
"""By how much a kernel is to be better than a smaller one for its spectrum not to be asked."""

FILLED = 0.16
"""The share of clipped pixels from which on a spectrum says nothing of a kernel that explains the frame well."""

WELL = (0.3, 0.7)
"""By how much its misses are to be less than the noise, as a logarithm, to begin with and in full."""

SOFTENED = 0.4
"""The gaussian that a kernel may be too soft by, as estimated ones are, and still be seen: its share of the spread."""

SOFTEST = 0.8
"""The same in pixels, at most."""

EXPECTED = 0.02
"""Evidence, in nats a frequency, from which on a spectrum counts as seen."""


def probability(picture: Picture, kernel: Kernel, measured: Measurements, options: ApplyOptions) -> float:
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
        >>> scene = torch.rand(1, 30, 30, generator=torch.Generator().manual_seed(0)).repeat_interleave(5, 1)
        >>> picture, kernel = Picture(pixels=scene.repeat_interleave(5, 2)), Kernel(np.ones((1, 15)))
        >>> probability(picture, kernel, measure(picture, kernel, ApplyOptions()), ApplyOptions()) < 0.01
        True
    """
    if kernel.still:
        return 0.0
    trial = tried(picture, kernel, measured, options)
    return 1.0 if trial is None else 1 / (1 + math.exp(min(-trial.logit, 60.0)))


@dataclasses.dataclass(frozen=True)
class Trial:
    """What a frame shows of a kernel.

    Attributes:
        mirrored: the logarithm of what the turned kernel's misses and edges are less than its own by; below 0 for the
            truth, as all of these.
        lessened: the same of a smaller one.
        missed: that of its misses beside the noise.
        unseen: 1 where the frame's spectrum says nothing of it, 0 where it says as much as is expected.
        clipped: the share of pixels that clip.
        spread: of its light, in pixels.
    """

    mirrored: float
    lessened: float
    missed: float
    unseen: float
    clipped: float
    spread: float

    @property
    def beyond(self) -> float:
        """What `lessened` is more than what a kernel of this spread may have."""
        return self.lessened - FREE_SMALLER[0] - FREE_SMALLER[1] / self.spread

    @property
    def logit(self) -> float:
        """That the kernel's restoration is better than the file."""
        against = TURNED * _beyond(self.mirrored, FREE_TURNED)
        # what clearly speaks for a kernel excuses what these three say, which other things than a kernel move, too
        against += SMALLER * _beyond(self.beyond, 0.0) * _share((10 + self.unseen) / 6)
        against += MISSED * _beyond(self.missed, FREE_MISSED) * _share(1 + self.unseen)
        well = _share((-self.missed - WELL[0]) / (WELL[1] - WELL[0]))
        heard = (1 - _share(self.clipped / FILLED) * well) * _share(1 + self.lessened / CLEAR)
        against += UNSEEN * _beyond(self.unseen, FREE_UNSEEN) * heard
        return SURE - against


def tried(picture: Picture, kernel: Kernel, measured: Measurements, options: ApplyOptions) -> Trial | None:
    """What a frame shows of a kernel, as `probability` takes them; None where it is too small to."""
    taps = square(kernel.taps)
    window = middle(picture.height, SIDE), middle(picture.width, SIDE)
    part = picture.window(*window)
    size = len(taps)
    if min(part.height, part.width) < max(SMALLEST, 3 * size):
        return None
    problem = _gray(pose(part, kernel.at(window), measured, options), taps)
    floor = math.hypot(_noise(measured), kernel.misfit * measured.span)
    three = [_tried(problem, one, measured) for one in (taps, taps[::-1, ::-1], _shrunk(taps))]
    far = _far(torch.stack(three), floor)
    (missed, edges), turned, smaller = (_means(one, far) for one in three)
    spread = _spread(taps)
    mirrored = -math.log(turned[0] / missed) - math.log(turned[1] / edges)
    lessened = -math.log(smaller[0] / missed) - math.log(smaller[1] / edges)
    if spread < FINE:
        fine = _tried(problem, taps, measured, fine=True)
        missed = max(missed, _means(fine, _far(fine[None], floor))[0])
    if bool(far.any()):  # their spectrum is another one
        near = F.interpolate((~far).float()[None, None], size=(part.height, part.width))[0] > 0
        problem = dataclasses.replace(problem, mask=near if problem.mask is None else near & problem.mask)
    masks = [problem.mask]
    if problem.clipped is not None:
        masks.append(fading(problem.clipped, problem.mask))
    unseen = 1 - max(_seen(problem, mask, taps, measured) for mask in masks) / EXPECTED
    clipped = 0.0 if problem.clipped is None else float(problem.clipped.float().mean())
    return Trial(mirrored, lessened, math.log(missed / floor), unseen, clipped, spread)


def evidence(picture: Picture, kernels: Sequence[Kernel], measured: Measurements, options: ApplyOptions) -> list[float]:
    """What a whole frame's spectrum says for each kernel beside no blur, in nats a frequency, as `tried` takes them."""
    window = middle(picture.height, SIDE), middle(picture.width, SIDE)
    planes = [square(kernel.taps) for kernel in kernels]
    problem = _gray(pose(picture.window(*window), kernels[0], measured, options), planes[0])
    return [_seen(problem, problem.mask, taps, measured) for taps in planes]


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _tried(problem: Problem, taps: _Taps, measured: Measurements, fine: bool = False) -> Tensor:
    """How far a kernel misses the frame, squared in stored values, and what edges its scene takes, (2, h, w)."""
    posed = dataclasses.replace(problem, kernel=np.ascontiguousarray(taps))
    if coarse.worthwhile(problem) and not fine:  # by the kernel itself, so that all tries are alike
        posed = coarse.halved(posed)
    scene = (_FINE if fine else _FIRST).last(posed)
    rest = measured.stored(posed, posed.blurred.clone()) - measured.stored(posed, posed.blur(scene))
    if posed.clipped is not None:
        rest = torch.where(posed.clipped & (rest < 0), 0, rest)
    rest = posed.masked(rest)
    shown = measured.stored(posed, posed.blur.crop(scene).clone()).clamp_(max=1.2)
    across, down = shown[:, :-1, 1:] - shown[:, :-1, :-1], shown[:, 1:, :-1] - shown[:, :-1, :-1]
    edges = (across.square_().add_(down.square_()) + 1e-6).pow_(0.4)
    both = torch.cat([rest.square()[:, :-1, :-1], edges])
    return F.avg_pool2d(both, BLOCK, ceil_mode=True)


def _far(tries: Tensor, floor: float) -> Tensor:
    """The blocks (h, w) that none of several tries (n, 2, h, w) explains, if they are the lesser part."""
    far = (tries[:, :1].amin(0, keepdim=True) > (FAR * floor) ** 2).float()
    far = F.max_pool2d(far, 3, stride=1, padding=1)[0, 0] > 0  # what lies beside them is blurred into them
    return far & (far.float().mean() < LESSER)


def _means(tried: Tensor, far: Tensor) -> tuple[float, float]:
    """Root mean square misses and mean edges, but of the blocks that are far."""
    squares, edges = tried[:, ~far].mean(1).tolist()
    return math.sqrt(squares) + 1e-6, edges


_FIRST = RichardsonLucy(coarse=0, limit=30)
_FINE = RichardsonLucy(coarse=0, limit=15)


def _seen(problem: Problem, mask: Tensor | None, taps: _Taps, measured: Measurements) -> float:
    """The evidence for the kernel's spectrum in the frame's, beside none, in nats a frequency."""
    frame = problem.blurred
    side = min(256, (min(frame.shape[-2:]) - 1) // 2 * 2)
    steep = problem.curve.slope(problem.curve.encode(frame), frame).square().mean().sqrt()
    sigma = _noise(measured) * float(steep) / measured.scale
    evidence = Evidence(periodogram([frame], [mask], side), sigma, stride=2)
    passed = power(taps, evidence.down, evidence.across)
    radius = evidence.down.square() + evidence.across.square()
    width = min(SOFTENED * _spread(taps), SOFTEST)
    sharper = [passed, (passed * torch.exp(radius * width**2)).clamp_(max=1)]
    without, *costs = evidence(torch.stack([torch.ones_like(passed), *sharper]), None, 20).cost.tolist()
    return float(without - min(costs)) / evidence.count


def _gray(problem: Problem, taps: _Taps) -> Problem:
    """The problem of the channels' mean, its border unknown."""
    weights, clipped, curve = problem.weights, problem.clipped, problem.curve
    return Problem(
        blurred=problem.blurred.mean(0, keepdim=True),
        kernel=taps,
        sigma=problem.sigma,
        mask=None if problem.mask is None else problem.mask.all(0, keepdim=True),
        weights=None if weights is None else weights.to(problem.blurred).amin(0, keepdim=True),
        curve=curve if len(curve.curves) == 1 else dataclasses.replace(curve, curves=curve.curves[1:2]),
        clipped=None if clipped is None else clipped.any(0, keepdim=True),
    )


def _shrunk(taps: _Taps) -> _Taps:
    """The taps a sixth smaller about their origin, the mean of nine samples in every new one."""
    reach = max(1, math.ceil(len(taps) * SHRUNK / 2))
    at = ((np.arange(3 * (2 * reach + 1)) + 0.5) / 3 - 0.5 - reach) / SHRUNK + len(taps) // 2
    fine = map_coordinates(taps, np.meshgrid(at, at, indexing="ij"), order=1)
    mean = fine.reshape(2 * reach + 1, 3, 2 * reach + 1, 3).mean((1, 3))
    return np.asarray(mean / mean.sum())


def _spread(taps: _Taps) -> float:
    """The standard deviation of the light along an axis, in pixels, the mean of both."""
    at = np.arange(len(taps))
    squares = [(side @ at**2) - (side @ at) ** 2 for side in (taps.sum(0), taps.sum(1))]
    return math.sqrt(max(sum(squares) / 2, 1e-3))


def _noise(measured: Measurements) -> float:
    """What the file shows of its noise, or what was told if that is more."""
    shown = max(math.hypot(measured.shown, measured.coding), 0.5 / 255)
    return max(shown, measured.deviations[0]) if measured.told else shown


def _beyond(value: float, free: float) -> float:
    return max(0.0, value - free)
