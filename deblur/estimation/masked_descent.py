"""Fit a blur as masked invertible convolutions, by descending through their exact inverse.

The model is a product of one or four masked convolutions (`deblur.ops`), y = A_n .. A_1 x + noise. Two objectives:

    inverse     || x - A_1^-1 .. A_n^-1 y ||^2     what the restoration misses. Its gradient is the parallel
                backpropagation: per factor one transposed wavefront solve and one correlation. Right where the pair is
                free of noise; with noise its minimum moves towards no blur, since A^-1 amplifies noise.
    forward     || A_n .. A_1 x - y ||^2           the likelihood under white noise.

*The descent* is Gauss-Newton's with Levenberg's damping. The gradient is exact, by autograd through the operations. The
metric is the Gram matrix of the model's derivatives by the taps: up to the frame's border a derivative is a shift of
one image, since masked convolutions of one corner commute, so it takes one more solve and one correlation.

*Stability is kept by the chart* in which a step is taken. With W the spectrum of a factor's taps on the torus
|z1| = |z2| = 1 + MARGIN, new taps are W (1 + E) with |E| <= REACH < 1 everywhere. By the argument principle (Rouche's
theorem along the segment from W to W (1 + E), and DeCarlo, Murray and Saeks 1977) new taps have no zero inside that
torus if the old ones had none; the first ones, the anchor alone, have none. So no iterate can have an unstable inverse,
and as such steps chain, every factor whose inverse is stable by the margin can be reached, dominated by its anchor or
not: shrinking its taps by t^(a + b), t from 0 to 1, is a path of such steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deblur.errors import OptionError
from deblur.fourier import fast_shape
from deblur.ops import masked_conv2d, masked_conv2d_solve
from deblur.ops.geometry import ORIENTATIONS
from deblur.ops.minimum_phase import clears

__all__ = ["MARGIN", "OBJECTIVES", "REACH", "MaskedFit", "anchor_alone", "fit_masked"]

MARGIN = 1e-3
"""Minimum-phase margin that every iterate keeps."""

REACH = 0.7
"""The largest relative change of a factor's spectrum in one step."""

OBJECTIVES = ("inverse", "forward")

_HALVINGS = 40


@dataclass(frozen=True, kw_only=True)
class MaskedFit:
    """Fitted factors.

    Attributes:
        weights: the taps (kh, kw) of each factor, float64, in the order in which they are applied.
        orientations: of each.
        objective: the one that was descended.
        loss: its mean over the pixels that count: a variance.
        metric: (n, n), the Gram matrix of the derivatives by all taps, one factor after the other.
        steps: taken.
        converged: whether the steps became negligible before their limit.
    """

    weights: tuple[Tensor, ...]
    orientations: tuple[str, ...]
    objective: str
    loss: float
    metric: Tensor
    steps: int
    converged: bool


def anchor_alone(taps: int, count: int) -> list[Tensor]:
    """`count` factors of taps x taps that do nothing."""
    weights = [torch.zeros(taps, taps, dtype=torch.float64) for _ in range(count)]
    for weight in weights:
        weight[0, 0] = 1.0
    return weights


def fit_masked(
    blurred: Tensor,
    sharp: Tensor,
    start: Sequence[Tensor],
    orientations: Sequence[str],
    *,
    objective: str = "inverse",
    mask: Tensor | None = None,
    limit: int = 100,
    tolerance: float = 1e-9,
    on_step: Callable[[int], None] | None = None,
) -> MaskedFit:
    """Descend one of the objectives from `start`.

    Args:
        blurred, sharp: (C, H, W) of one size; the scene is zero outside the frame, or the mask leaves out what
            feels it.
        start: the taps (kh, kw) of each factor, their inverse stable by `MARGIN`; `anchor_alone` is.
        orientations: of each factor.
        objective: a name in `OBJECTIVES`.
        mask: broadcasting to (C, H, W), 1 where a pixel counts.
        limit: steps at most.
        tolerance: of a step, relative to the taps, at which the descent has converged.
        on_step: told the number of each step.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> sharp = torch.rand(1, 32, 32, generator=generator, dtype=torch.float64)
        >>> weight = torch.tensor([[0.6, 0.2], [0.2, -0.1]], dtype=torch.float64)
        >>> blurred = masked_conv2d(sharp[:, None], weight[None, None])[:, 0]
        >>> found = fit_masked(blurred, sharp, anchor_alone(2, 1), ["top_left"])
        >>> bool(torch.allclose(found.weights[0], weight))
        True
    """
    if objective not in OBJECTIVES:
        raise OptionError(f"expected an objective out of {', '.join(OBJECTIVES)}, got {objective!r}")
    y, x = blurred.double()[:, None], sharp.double()[:, None]
    seen = torch.ones_like(x) if mask is None else mask.to(x).expand_as(blurred)[:, None].contiguous()
    problem = _Problem(y, x, seen, tuple(orientations), objective)
    weights = [weight.double().clone() for weight in start]
    loss, gradient, metric = problem.derivatives(weights)
    damping, converged, turn = 1e-4, False, 0
    for turn in range(1, limit + 1):
        diagonal = metric.diagonal() * damping + 1e-13 * metric.diagonal().max()
        step, singular = torch.linalg.solve_ex(metric + torch.diag(diagonal), -gradient)
        steps = list(step.split([weight.numel() for weight in weights]))
        trial = weights if singular else [_inside(w, s.view_as(w)) for w, s in zip(weights, steps, strict=True)]
        value = math.inf if singular else problem.loss(trial)
        moved = max(float((t - w).norm() / w.norm()) for t, w in zip(trial, weights, strict=True))
        if math.isfinite(value) and value <= loss:
            weights, damping = trial, max(damping / 5, 1e-14)
            converged = moved < tolerance or value < 1e-28 * problem.scale
            loss, gradient, metric = problem.derivatives(weights)
            if on_step is not None:
                on_step(turn)
        else:
            damping *= 8
            converged = moved < tolerance and not singular
        if converged or damping > 1e12:
            break
    return MaskedFit(
        weights=tuple(weights),
        orientations=tuple(orientations),
        objective=objective,
        loss=loss,
        metric=metric,
        steps=turn,
        converged=converged or damping > 1e12,
    )


@dataclass(frozen=True)
class _Problem:
    """One pair (C, 1, H, W) each, channels as a batch, and what is minimised over it."""

    blurred: Tensor
    sharp: Tensor
    mask: Tensor
    orientations: tuple[str, ...]
    objective: str

    @property
    def count(self) -> float:
        return float(self.mask.sum().clamp_min(1))

    @property
    def scale(self) -> float:
        """Mean square of what is to be explained."""
        return float((self.mask * self.sharp).square().sum()) / self.count

    def _residual(self, weights: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """What is missed, and the image whose shifts are the derivatives, before the other factors' share."""
        if self.objective == "forward":
            made = self.sharp
            for weight, orientation in zip(weights, self.orientations, strict=True):
                made = masked_conv2d(made, weight[None, None], orientation=orientation)
            return self.mask * (made - self.blurred), made
        made = self.blurred
        for weight, orientation in reversed(list(zip(weights, self.orientations, strict=True))):
            made = masked_conv2d_solve(made, weight[None, None], orientation=orientation)
        return self.mask * (made - self.sharp), made

    def loss(self, weights: Sequence[Tensor]) -> float:
        """The mean of the squared residual."""
        with torch.no_grad():
            return float(self._residual(weights)[0].square().sum()) / self.count

    def derivatives(self, weights: Sequence[Tensor]) -> tuple[float, Tensor, Tensor]:
        """The loss, half its gradient and the Gauss-Newton metric, for all taps in one row."""
        leaves = [weight.clone().requires_grad_() for weight in weights]
        residual, made = self._residual(leaves)
        loss = residual.square().sum() / self.count
        gradients = torch.autograd.grad(loss, leaves)
        gradient = torch.cat([g.flatten() for g in gradients]) / 2
        with torch.no_grad():
            made = made.detach()
            images = [
                masked_conv2d_solve(made, weight[None, None], orientation=orientation)
                for weight, orientation in zip(weights, self.orientations, strict=True)
            ]
            return float(loss.detach()), gradient, self._gram(images, weights) / self.count

    def _gram(self, images: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
        """Inner products of the shifts of each image by each tap of its factor, as if the frame had no border.

        The shift by d of one image and by e of another have the product of their correlation at the lag d - e.
        """
        height, width = self.mask.shape[-2:]
        reach = [2 * max(w.shape[axis] for w in weights) for axis in (0, 1)]
        grid = fast_shape([n + r for n, r in zip((height, width), reach, strict=True)])
        spectra = [torch.fft.rfft2(image * self.mask, s=grid) for image in images]
        shifts = []
        for weight, orientation in zip(weights, self.orientations, strict=True):
            down, right = ORIENTATIONS[orientation]
            rows = torch.arange(weight.shape[0]) * (-1 if down else 1)
            columns = torch.arange(weight.shape[1]) * (-1 if right else 1)
            shifts.append(torch.cartesian_prod(rows, columns))
        blocks = []
        for first, here in zip(spectra, shifts, strict=True):
            row = []
            for second, there in zip(spectra, shifts, strict=True):
                lags = torch.fft.irfft2((first * second.conj()).sum((0, 1)), s=grid)
                apart = there[None] - here[:, None]
                row.append(lags[apart[..., 0] % grid[0], apart[..., 1] % grid[1]])
            blocks.append(torch.cat(row, dim=1))
        return torch.cat(blocks)


def _inside(weight: Tensor, step: Tensor) -> Tensor:
    """The taps after a step, shortened so that they stay in the chart around `weight`.

    The spectra are sampled; between two samples they change by no more than their derivatives allow. Where that proves
    that the chart is not left, the step is taken. Where zeros are so near the torus that it proves nothing, the margin
    is measured, and the step halved until it is kept.
    """
    kh, kw = weight.shape
    side = 1 << math.ceil(math.log2(32 * max(kh, kw)))
    powers = (torch.arange(kh)[:, None] + torch.arange(kw)).double()
    lifted = (1 + MARGIN) ** powers
    before = torch.fft.rfft2(weight * lifted, s=(side, side)).abs()
    change = torch.fft.rfft2(step * lifted, s=(side, side)).abs()
    between, more = (math.pi / side * float((taps * lifted * powers).abs().sum()) for taps in (weight, step))
    share = min(1.0, REACH / max(float((change / before.clamp_min(1e-300)).max()), 1e-300))
    surely = bool((before - between > share * (change + more)).all())
    for _ in range(_HALVINGS):
        trial = weight + share * step
        if surely or clears(trial, MARGIN):
            return trial
        share /= 2
    return weight
