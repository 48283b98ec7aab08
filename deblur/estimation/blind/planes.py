"""Frames as the estimation wants them: one grey plane each, of unit range, with its noise and what to believe of it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from deblur.errors import KernelError, OptionError, ShapeError
from deblur.estimation.blind.pyramid import Plane
from deblur.noise import estimate_sigma, span

__all__ = ["SMALLEST_SIDE", "colour_weights", "plane"]

SMALLEST_SIDE = 32
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
