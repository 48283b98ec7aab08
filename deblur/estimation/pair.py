"""The kernel between sharp and blurred pictures, with its size, its registration and how far to trust it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from deblur.errors import OptionError, ShapeError
from deblur.estimation.estimate import Estimate, Region
from deblur.estimation.least_squares import Fit, Pair, fit
from deblur.estimation.pair_support import resized, rim_light, ring, size_of, spurious, trimmed
from deblur.estimation.region import best
from deblur.estimation.registration import displacement, fraction, moved, shifted
from deblur.noise import estimate_sigma, span
from deblur.progress import OnStep, Step
from deblur.psf.kernel import MISFIT, Kernel

__all__ = ["LARGEST", "PairEstimator", "Prepared", "confidence", "prepare", "same_scene"]

LARGEST = 61
"""Taps a side beyond which the matrix of the taps does not fit."""

_SIDE = 768
"""Pixels a side of the part of a pair that is looked at: more does not sharpen the kernel of any but noisy pairs."""

_SIZES = (9, 15, 23, 33, 45, LARGEST)

_EXPLAINED = 0.5
"""Share of the blurred picture's variance, its noise apart, that a fit explains at least where the scene is one."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Pairs ready for a fit.

    Attributes:
        pairs: cut to their best part, registered to whole pixels.
        region: that part of the first blurred frame, or None for all of it.
        shift: (down, right), by which the first blurred frame lies from the sharp one.
        sigma: the noise of the blurred frames.
        span: their range.
        size: (kh, kw) where the sizes of the pictures say it (a valid blur), else None.
    """

    pairs: tuple[Pair, ...]
    region: Region | None
    shift: tuple[int, int]
    sigma: float
    span: float
    size: tuple[int, int] | None


def prepare(
    blurred: Sequence[Tensor],
    sharp: Sequence[Tensor],
    masks: Sequence[Tensor | None],
    sigma: float | None,
    size: int | None,
    register: bool = True,
) -> Prepared:
    """Check, cut and register pairs.

    Raises:
        ShapeError: pictures that cannot belong together: other channels, a sharp picture that is smaller, or larger by
            as much as half the blurred one.
    """
    pairs, region, shift, differences = [], None, (0, 0), set()
    for number, (frame, scene, mask) in enumerate(zip(blurred, sharp, masks, strict=True)):
        height, width = frame.shape[1:]
        rows, columns = scene.shape[1] - height, scene.shape[2] - width
        if len(frame) != len(scene) or min(rows, columns) < 0 or 2 * rows >= height or 2 * columns >= width:
            raise ShapeError(
                f"expected a sharp picture of {width} x {height} pixels with {len(frame)} channel(s) like the blurred "
                f"one, or one that is larger by the kernel's size less 1, got {scene.shape[2]} x {scene.shape[1]} with "
                f"{len(scene)}; crop or resize it"
            )
        differences.add((rows, columns))
        pair = Pair(blurred=frame, sharp=scene, mask=mask)
        move = (0, 0)
        if register and (rows, columns) == (0, 0):
            move = displacement(pair)
            room = 12 if size is None else max(size // 4, 1)
            move = move if max(map(abs, move)) > room and max(map(abs, move)) < min(height, width) / 3 else (0, 0)
            pair = shifted(pair, *move) if move != (0, 0) else pair
        x, y, w, h = _textured(pair, _SIDE)
        if (w, h) != (pair.blurred.shape[2], pair.blurred.shape[1]):
            pair = _cut(pair, (x, y, w, h))
            region = region if number else (x + max(0, move[1]), y + max(0, move[0]), w, h)
        shift = shift if number else move
        pairs.append(pair)
    noise = sigma
    if noise is None:
        noise = max(estimate_sigma(frame, mask) for frame, mask in zip(blurred, masks, strict=True))
    widest = max(span(frame, mask) for frame, mask in zip(blurred, masks, strict=True))
    known = next(iter(differences)) if len(differences) == 1 else (0, 0)
    valid = known[0] + 1 | 1, known[1] + 1 | 1  # an even kernel fits into the odd one that is larger by a tap
    return Prepared(
        pairs=tuple(pairs),
        region=region,
        shift=shift,
        sigma=noise,
        span=widest,
        size=valid if known != (0, 0) and max(valid) <= LARGEST else None,
    )


def same_scene(explained: float, pairs: Sequence[Pair], sigma: float) -> None:
    """Raise OptionError where a fit explains too little of the variance of the blurred pictures, noise `sigma`."""
    power = float(np.mean([float(pair.blurred.double().var(dim=(1, 2)).mean()) for pair in pairs]))
    visible = power - sigma**2
    unexplained = (1 - explained) * power - sigma**2
    share = 1 - max(unexplained, 0.0) / visible if visible > 0 else 1.0
    if share < _EXPLAINED:
        raise OptionError(
            f"expected the sharp picture to show the same scene, but no kernel explains more than {max(share, 0):.0%} "
            "of the blurred one; check that the two belong together and are not shifted or turned"
        )


def confidence(residual: float, sigma: float, frame_span: float, uncertainty: float = 0.0) -> float:
    """How far to trust a kernel whose misfit was measured: the inverse of the rule by which a restoration uses it.

    A restoration takes a misfit of MISFIT * 2^(1 - 2 c) of the span for a kernel of confidence c, so that a half is the
    usual misfit, 1 half of that and 0 twice (times the method's caution). What the residual holds beyond the noise is
    such a misfit.

    Args:
        residual: root mean square of what the fit leaves.
        sigma: the noise.
        frame_span: the blurred frame's range.
        uncertainty: the taps' posterior standard deviation relative to the kernel, both as norms.

    Example:
        >>> confidence(0.01, 0.01, 1.0), round(confidence(0.006, 0.0, 1.0), 2)
        (1.0, 0.5)
    """
    share = math.sqrt(max(residual**2 - sigma**2, 0.0)) / max(frame_span, 1e-300)
    certain = 0.5 * (1 - math.log(max(share, 1e-12) / MISFIT, 2))
    return min(max(certain, 0.0), 1.0) / (1 + uncertainty**2)


@dataclass(frozen=True, kw_only=True)
class PairEstimator:
    """Least squares over non-negative kernels that sum to one (see `deblur.estimation.least_squares`).

    Args:
        size: odd, taps a side; None lets it grow until the rim carries no light, or takes it from the sizes of the
            pictures where the sharp one is larger.
        register: look for a displacement between the two pictures.

    Example:
        >>> import torch
        >>> from deblur.psf.operator import blur
        >>> sharp = torch.rand(1, 80, 80, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        >>> taps = np.array([[0.0, 0.2, 0.0], [0.0, 0.5, 0.3], [0.0, 0.0, 0.0]])
        >>> estimate = PairEstimator()([blur(sharp, taps)], [sharp])
        >>> estimate.kernel.round(3)
        array([[0. , 0.2, 0. ],
               [0. , 0.5, 0.3],
               [0. , 0. , 0. ]])
    """

    pairs: ClassVar[bool] = True
    """Whether it needs the sharp picture, too."""

    size: int | None = None
    register: bool = True

    def __post_init__(self) -> None:
        if self.size is not None and (self.size > LARGEST or self.size % 2 == 0):
            raise OptionError(f"expected an odd size of at most {LARGEST} taps for a pair, got {self.size}")

    def __call__(
        self,
        blurred: Sequence[Tensor],
        sharp: Sequence[Tensor],
        *,
        masks: Sequence[Tensor | None] | None = None,
        sigma: float | None = None,
        on_step: OnStep | None = None,
    ) -> Estimate:
        """Fit the one kernel that blurred all sharp pictures (C, H, W) into the blurred ones.

        Raises:
            ShapeError: pictures that cannot belong together.
            OptionError: no kernel explains the blurred picture: another scene.
        """
        start = time.perf_counter()
        masks = [None] * len(blurred) if masks is None else masks
        prepared = prepare(blurred, sharp, masks, sigma, self.size, self.register)
        pairs, result, rounds = prepared.pairs, None, 0
        tell = on_step if on_step is not None else lambda step: None
        sizes = self._sizes(prepared)
        for number, size in enumerate(sizes):
            tell(Step.share(0.7 * number / len(sizes), f"{size[1]} x {size[0]} taps"))
            result = fit(pairs, size, start=None if result is None else resized(result.kernel, size))
            rounds += result.rounds
            if len(sizes) > 1 and rim_light(result) <= spurious(result, ring(size)):
                break
        assert result is not None
        rim = rim_light(result) - min(spurious(result, ring(size_of(result))), 0.1)
        same_scene(result.explained, pairs, prepared.sigma)
        if self.size is None and prepared.size is None:
            tell(Step.share(0.7, "size"))
            result = trimmed(pairs, result, prepared.span)
        fine = (0.0, 0.0)
        if self.register and result.residual > max(0.9 * prepared.sigma, 1e-4 * prepared.span):
            tell(Step.share(0.8, "registration"))
            result, pairs, fine = _register(pairs, result)
        tell(Step.share(1.0, "done"))
        seconds = time.perf_counter() - start
        touching = rim > 0.02 and prepared.size is None
        return _record(result, prepared, fine, touching, rounds, seconds)

    def _sizes(self, prepared: Prepared) -> list[tuple[int, int]]:
        if self.size is not None:
            return [(self.size, self.size)]
        if prepared.size is not None:
            return [prepared.size]
        shortest = min(min(pair.blurred.shape[1:]) for pair in prepared.pairs)
        return [(size, size) for size in _SIZES if 3 * size <= shortest] or [(3, 3)]


def _textured(pair: Pair, side: int) -> Region:
    """The part of at most side x side pixels whose edges tell most of the blur."""
    rows, columns = (min(n, side) for n in pair.blurred.shape[1:])
    believed = None if pair.mask is None else pair.mask.bool().all(0).float().numpy()
    return best(pair.blurred.float().mean(0).numpy(), (rows, columns), believed=believed)[0]


def _cut(pair: Pair, region: Region) -> Pair:
    x, y, width, height = region
    rows, columns = (pair.sharp.shape[axis] - pair.blurred.shape[axis] for axis in (1, 2))
    mask = None if pair.mask is None else pair.mask[..., y : y + height, x : x + width]
    blurred = pair.blurred[:, y : y + height, x : x + width]
    return Pair(blurred=blurred, sharp=pair.sharp[:, y : y + height + rows, x : x + width + columns], mask=mask)


def _register(pairs: tuple[Pair, ...], result: Fit) -> tuple[Fit, tuple[Pair, ...], tuple[float, float]]:
    """Move the sharp pictures by the fraction of a pixel that fits best, if one fits better."""
    size = (result.kernel.shape[0], result.kernel.shape[1])
    small = [_cut(pair, _textured(pair, 256 + max(size))) for pair in pairs]

    def residual(rows: float, columns: float) -> float:
        return fit([moved(pair, rows, columns) for pair in small], size, start=result.kernel, rounds=4).residual ** 2

    place = fraction(residual)
    if max(map(abs, place)) < 0.03 or residual(*place) > 0.995 * residual(0.0, 0.0):
        return result, pairs, (0.0, 0.0)
    pairs = tuple(moved(pair, *place) for pair in pairs)
    return fit(pairs, size, start=result.kernel), pairs, place


def _record(
    result: Fit, prepared: Prepared, fine: tuple[float, float], touching: bool, rounds: int, seconds: float
) -> Estimate:
    kernel = result.kernel
    largest = float(kernel.max())
    uncertainty = float(np.linalg.norm(result.deviation) / np.linalg.norm(kernel))
    warnings = []
    down, right = prepared.shift[0] + fine[0], prepared.shift[1] + fine[1]
    if (down, right) != (0.0, 0.0):
        warnings.append(f"the blurred picture lies {right:+.2f} right, {down:+.2f} down of the sharp one (undone)")
    if largest > 0.98:
        warnings.append("the kernel is a single tap: there is nothing to remove")
    elif touching:
        warnings.append("the kernel touches its rim; try a larger --size")
    if uncertainty > 0.5:
        warnings.append(f"the taps are uncertain by {uncertainty:.0%}; a pair with more texture would tell more")
    sigma = min(prepared.sigma, result.residual)
    return Estimate(
        kernel=Kernel(
            kernel,
            confidence=confidence(result.residual, sigma, prepared.span, uncertainty),
            source="a pair of pictures",
        ),
        method="pair",
        status="converged" if result.rounds < 60 else "limit",
        sigma=prepared.sigma,
        tap_confidence=np.clip(1 - result.deviation / largest, 0, 1),
        warnings=tuple(warnings),
        region=prepared.region,
        seconds=seconds,
        steps=rounds,
        details={
            "gain": [gain.tolist() for gain in result.gains],
            "offset": [offset.tolist() for offset in result.offsets],
            "residual": result.residual,
            "explained": result.explained,
            "uncertainty": uncertainty,
            "shift": [down, right],
        },
    )
