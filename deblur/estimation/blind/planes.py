"""Frames as the estimation wants them: one grey plane each, of unit range, with its noise and what to believe of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from deblur.errors import KernelError, OptionError, ShapeError
from deblur.estimation import region
from deblur.estimation.blind.pyramid import Plane
from deblur.noise import estimate_sigma, span

__all__ = ["SMALLEST_SIDE", "best_part", "colour_weights", "on_ground", "plain_share", "plane"]

SMALLEST_SIDE = 32
GROUND = 0.03  # by which the levels of a plain ground differ
RANGE = 0.85  # of a plane: what the settings of the starts were made for


def plane(frame: Tensor, mask: Tensor | None = None, sigma: float | None = None) -> Plane:
    """One frame's plane.

    Args:
        frame: (C, H, W), linear in light.
        mask: (1 or C, H, W), 1 where a pixel is to be believed; None for everywhere.
        sigma: noise of a channel, in units of `frame`; None estimates it.

    Raises:
        ShapeError: not (C, H, W), or a side of less than 32 pixels.
        OptionError: a value that is not finite.
        KernelError: a flat frame: nothing in it shows a blur.
    """
    if frame.ndim != 3 or min(frame.shape[-2:]) < SMALLEST_SIDE:
        raise ShapeError(
            f"expected a frame (channels, rows, columns) of at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels, "
            f"got {tuple(frame.shape)}; take a larger picture"
        )
    if not bool(torch.isfinite(frame).all()):
        raise OptionError("expected a frame of finite values, got NaN or infinite ones; mend or crop the picture")
    weights = colour_weights(frame)
    grey = torch.tensordot(weights, frame.to(torch.float32), dims=1)
    believed = None if mask is None or bool(mask.all()) else mask.bool().all(0)
    reach = span(grey[None], None if believed is None else believed[None])
    if not reach > 1e-6 * max(float(grey.abs().max()), 1e-6):
        raise KernelError("expected a picture with edges to estimate a kernel from, got a flat one; choose another")
    noise = (
        estimate_sigma(grey[None], None if believed is None else believed[None])
        if sigma is None
        else sigma * float(weights.square().sum().sqrt())
    )
    scale = float(np.clip(RANGE / reach, 0.25, 4.0))
    trusted = None if believed is None else believed.to(torch.float32).cpu().numpy()
    return Plane((grey * scale).cpu().numpy(), trusted, noise * scale, scale)


def colour_weights(frame: Tensor) -> Tensor:
    """Weights (C,), summing to 1, of the channels' sum whose gradients stand out most from the noise.

    They are the leading eigenvector of the gradients' covariance over the channels, each channel measured in units of
    its noise; none is negative.

    Example:
        >>> colour_weights(torch.rand(1, 40, 40, generator=torch.Generator().manual_seed(0)))
        tensor([1.])
    """
    if frame.shape[0] == 1:
        return torch.ones(1)
    values = frame.to(torch.float32)
    reach = max(span(values), 1e-6)
    noise = torch.tensor([max(estimate_sigma(channel[None]), 2e-3 * reach) for channel in values])
    gradients = torch.cat([torch.diff(values, dim=d).flatten(1) for d in (-1, -2)], dim=1) / noise[:, None]
    _, vectors = torch.linalg.eigh((gradients @ gradients.T).double().cpu())
    leading = vectors[:, -1] * torch.sign(vectors[:, -1].sum())
    weights = leading.clamp_min(0).float() / noise
    return torch.div(weights, weights.sum())


def best_part(one: Plane, side: int) -> Plane:
    """The region of a plane, of at most so many pixels a side, whose edges stand out most."""
    shape = region.sides((one.values.shape[0], one.values.shape[1]), side * side)
    if shape == one.values.shape:
        return one
    return one.part(region.best(one.values, shape, believed=one.believed, sigma=one.sigma)[0])


def plain_share(one: Plane) -> float:
    """The share of a plane that is of its brightest level or of its darkest, as the ground of a text is.

    Example:
        >>> plain_share(Plane(np.where(np.arange(1000) % 10 < 9, 1, np.arange(1000) / 2000)))
        0.9
    """
    return max(share for share, _ in _grounds(one))


def on_ground(one: Plane) -> Plane:
    """A plane by its difference from the more common of these two levels."""
    level = max(_grounds(one))[1]
    return replace(one, values=(level - one.values if level > one.values.mean() else one.values - level))


def _grounds(one: Plane) -> list[tuple[float, np.float32]]:
    levels = np.percentile(one.values, (1, 99)).astype(np.float32)
    return [(float(np.mean(np.abs(one.values - level) < GROUND)), level) for level in levels]
