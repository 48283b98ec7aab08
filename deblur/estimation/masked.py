"""A blur between a sharp and a blurred picture as masked convolutions, saved as what undoes it exactly."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from scipy.signal import convolve2d
from torch import Tensor

from deblur.errors import OptionError
from deblur.estimation.estimate import Estimate
from deblur.estimation.least_squares import Pair
from deblur.estimation.masked_descent import OBJECTIVES, MaskedFit, anchor_alone, fit_masked
from deblur.estimation.non_negative import Array
from deblur.estimation.pair import confidence, prepare, same_scene
from deblur.ops import masked_conv2d_solve
from deblur.ops.geometry import ORIENTATIONS
from deblur.ops.minimum_phase import minimum_phase_margin
from deblur.progress import OnStep, Step
from deblur.psf import Kernel, MaskedForm

__all__ = ["BOUNDARIES", "MaskedEstimator", "product"]

BOUNDARIES = ("auto", "unknown", "zero")

_SIDES = (3, 5, 9, 13, 17, 25)

_NOISE_FREE = 1e-4
"""Residual of the forward fit, as a share of the span, below which a pair counts as free of noise."""

_TOLD_APART = 0.5
"""Share of one corner's squared residual that the cascade of four must fall below to be taken."""


@dataclass(frozen=True, kw_only=True)
class MaskedEstimator:
    """Fit one masked convolution, or a cascade of the four corners, to a pair (`deblur.estimation.masked_descent`).

    Args:
        size: taps a side of each factor, or None: grows until the last taps carry nothing.
        orientation: the corner that the convolution reads towards, `cascade` for one of each, or `auto`: the corner
            that fits best, unless the cascade leaves less than half of its squared residual.
        objective: `inverse`, `forward`, or `auto`: forward first, then, where its residual shows the pair to be free of
            noise, inverse.
        boundary: `zero` where the scene is black outside the frame, `unknown` where the pixels that feel it are left
            out, `auto` to see which it is.

    Raises:
        OptionError: an unknown name.
    """

    pairs: ClassVar[bool] = True
    """Whether it needs the sharp picture, too."""

    size: int | None = None
    orientation: str = "auto"
    objective: str = "auto"
    boundary: str = "auto"

    def __post_init__(self) -> None:
        for name, known in (
            ("orientation", ("auto", *ORIENTATIONS, "cascade")),
            ("objective", ("auto", *OBJECTIVES)),
            ("boundary", BOUNDARIES),
        ):
            value = getattr(self, name)
            if value not in known:
                raise OptionError(f"expected {name} out of {', '.join(known)}, got {value!r}")

    def __call__(
        self,
        blurred: Sequence[Tensor],
        sharp: Sequence[Tensor],
        *,
        masks: Sequence[Tensor | None] | None = None,
        sigma: float | None = None,
        on_step: OnStep | None = None,
    ) -> Estimate:
        """Fit the factors to one pair (C, H, W) of equal sizes; the estimate's kernel holds them.

        Raises:
            ShapeError: pictures that cannot belong together.
            OptionError: more than one pair, pictures of two sizes, or another scene.
        """
        start = time.perf_counter()
        if len(blurred) != 1 or blurred[0].shape != sharp[0].shape:
            raise OptionError(
                "the masked model expects one pair of pictures of one size; crop the sharp one to the other"
            )
        prepared = prepare(blurred, sharp, masks or [None], sigma, None, register=False)
        (pair,), noise_floor = prepared.pairs, _NOISE_FREE * prepared.span
        tell = on_step if on_step is not None else lambda step: None
        mean = pair.blurred.double().square().mean().sqrt() / pair.sharp.double().square().mean().sqrt().clamp_min(
            1e-12
        )
        sides = [self.size] if self.size else [side for side in _SIDES if 8 * side <= min(pair.blurred.shape[1:])]
        corners = list(ORIENTATIONS) if self.orientation == "auto" else [self.orientation]
        best: tuple[MaskedFit, str] | None = None
        steps, orientation = 0, corners[0]
        for number, side in enumerate(sides):
            tell(Step.share(0.7 * number / len(sides), f"{side} x {side} taps"))
            tried = {corner: self._forward(pair, side, corner, float(mean), noise_floor) for corner in corners}
            steps += sum(fit.steps for fit, _ in tried.values())
            nearest = min(tried, key=lambda corner: tried[corner][0].loss)
            if best is not None and tried[nearest][0].loss > 0.98 * best[0].loss:
                break
            best, orientation, corners = tried[nearest], nearest, [nearest]
            if math.sqrt(best[0].loss) <= noise_floor or (number > 0 and _settled(best[0])):
                break
        assert best is not None
        side = best[0].weights[0].shape[0]
        if self.orientation == "auto" and best[0].loss > max(1.2 * prepared.sigma**2, noise_floor**2):
            tell(Step.share(0.75, "cascade"))
            for side in (s for s in sides if s <= 9):
                found = self._forward(pair, side, "cascade", float(mean), noise_floor)
                steps += found[0].steps
                if found[0].loss < _TOLD_APART * best[0].loss:
                    best, orientation = found, "cascade"
        fit, boundary = best
        side = fit.weights[0].shape[0]
        power = float(pair.blurred.double().var(dim=(1, 2)).mean())
        same_scene(1 - fit.loss / max(power, 1e-300), [pair], prepared.sigma)
        inverse = self.objective == "inverse" or (self.objective == "auto" and math.sqrt(fit.loss) <= noise_floor)
        if inverse:
            tell(Step.share(0.85, "through the inverse"))
            begin = (
                fit.weights
                if self.objective == "auto"
                else [w * float(mean) ** (1 / len(fit.weights)) for w in anchor_alone(side, len(fit.weights))]
            )
            mask = _mask(pair, side, orientation, boundary, fit.weights)
            residual = fit.loss
            fit = fit_masked(pair.blurred, pair.sharp, begin, fit.orientations, objective="inverse", mask=mask)
            steps += fit.steps
            fit = replace(fit, loss=residual if self.objective == "auto" else fit.loss)
        tell(Step.share(1.0, "done"))
        return _record(fit, boundary, prepared.sigma, prepared.span, steps, time.perf_counter() - start)

    def _forward(self, pair: Pair, side: int, orientation: str, gain: float, floor: float) -> tuple[MaskedFit, str]:
        """The best forward fit of so many taps, and the boundary that it assumed."""
        names = tuple(ORIENTATIONS) if orientation == "cascade" else (orientation,)
        start = [weight * gain ** (1 / len(names)) for weight in anchor_alone(side, len(names))]
        boundary = "unknown" if self.boundary == "auto" else self.boundary
        mask = _mask(pair, side, orientation, boundary)
        fit = fit_masked(pair.blurred, pair.sharp, start, names, objective="forward", mask=mask)
        if self.boundary == "auto":
            whole = fit_masked(
                pair.blurred, pair.sharp, fit.weights, names, objective="forward", mask=pair.mask, limit=3
            )
            if whole.loss <= max(1.05 * fit.loss, floor**2):  # the rim fits as well as the rest
                return whole, "zero"
        return fit, boundary


def product(weights: Sequence[Array], orientations: Sequence[str]) -> Array:
    """The kernel (kh, kw) of odd sides, its origin in the middle, of masked convolutions applied one after the other.

    Example:
        >>> product([np.array([[0.75, 0.25]]), np.array([[0.5, 0.5]])], ["top_left", "top_right"])
        array([[0.375, 0.5  , 0.125]])
    """
    kernel = np.ones((1, 1))
    for weight, orientation in zip(weights, orientations, strict=True):
        down, right = ORIENTATIONS[orientation]
        rows, columns = weight.shape[0] - 1, weight.shape[1] - 1
        placed = np.zeros((2 * rows + 1, 2 * columns + 1))
        placed[rows:, columns:] = weight
        placed = placed[::-1] if down else placed
        placed = placed[:, ::-1] if right else placed
        kernel = np.asarray(convolve2d(kernel, placed))
    for axis in (0, 1):  # cut what is empty on both sides
        used = np.flatnonzero(np.abs(kernel).sum(1 - axis) > 0)
        centre = kernel.shape[axis] // 2
        reach = int(np.abs(used - centre).max())
        kernel = kernel.take(range(centre - reach, centre + reach + 1), axis)
    return kernel


def _mask(
    pair: Pair, side: int, orientation: str, boundary: str, weights: Sequence[Tensor] | None = None
) -> Tensor | None:
    """What counts: pixels that are believed and, where the outside is unknown, do not feel it."""
    if boundary == "zero":
        return pair.mask
    reach = side - 1
    if weights is not None:  # through the inverse, the border is felt as far as the impulse response reaches
        reach = max(reach, *(_response(weight) for weight in weights))
    height, width = pair.blurred.shape[1:]
    mask = torch.ones(1, height, width, dtype=torch.float64)
    corners = tuple(ORIENTATIONS) if orientation == "cascade" else (orientation,)
    rows, columns = (min((2 if len(corners) > 1 else 1) * reach, length // 4) for length in (height, width))
    for corner in corners:
        down, right = ORIENTATIONS[corner]
        mask[:, height - rows :] *= 0 if down and rows else 1
        mask[:, :rows] *= 1 if down else 0
        mask[:, :, width - columns :] *= 0 if right and columns else 1
        mask[:, :, :columns] *= 1 if right else 0
    return mask if pair.mask is None else mask * pair.mask


def _response(weight: Tensor) -> int:
    """Pixels after which the inverse's impulse response has fallen below a millionth."""
    impulse = torch.zeros(1, 1, 128, 128, dtype=torch.float64)
    impulse[..., 0, 0] = 1
    response = masked_conv2d_solve(impulse, weight[None, None])[0, 0].abs()
    profile = torch.maximum(response.amax(0), response.amax(1))
    above = torch.nonzero(profile > 1e-6 * profile.max())
    return int(above.max())


def _settled(fit: MaskedFit) -> bool:
    """Whether the last row and column of every factor carry nothing."""
    return all(float(torch.cat([w[-1], w[:, -1]]).abs().sum()) < 1e-3 * float(w.abs().sum()) for w in fit.weights)


def _record(fit: MaskedFit, boundary: str, sigma: float, frame_span: float, steps: int, seconds: float) -> Estimate:
    sums = [float(weight.sum()) for weight in fit.weights]
    taps = [np.asarray(weight) / total for weight, total in zip(fit.weights, sums, strict=True)]
    kernel = product(taps, fit.orientations)
    margin = min(minimum_phase_margin(weight[None, None]) for weight in fit.weights)
    warnings = []
    if not _settled(fit):
        warnings.append("the outermost taps carry weight; try a larger --size")
    if (kernel < -0.05 * kernel.max()).any():
        warnings.append("some taps are negative: this is a filter rather than a blur")
    residual = math.sqrt(fit.loss)
    forms = (MaskedForm(orientation, weight) for orientation, weight in zip(fit.orientations, taps, strict=True))
    return Estimate(
        kernel=Kernel(
            kernel,
            confidence=confidence(residual, min(sigma, residual), frame_span),
            factors=tuple(forms),
            source="a pair of pictures",
        ),
        method="masked",
        status="converged" if fit.converged else "limit",
        sigma=sigma,
        warnings=tuple(warnings),
        seconds=seconds,
        steps=steps,
        boundary=boundary,
        details={
            "orientations": list(fit.orientations),
            "taps": [list(weight.shape) for weight in taps],
            "gain": math.prod(sums),
            "objective": fit.objective,
            "boundary": boundary,
            "margin": margin,
            "residual": residual,
        },
    )
