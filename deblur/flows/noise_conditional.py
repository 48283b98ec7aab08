"""What densities of photographs at every noise level share: the context made from the level, layers, the denoiser.

A noise-conditional model has `log_prob(x, sigma)` (B,) for gray images x (B, 1, H, W) that carry white noise of
standard deviation sigma, (B,) or (1,) for all images; `image_prior` and `image_flow` are two.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from deblur.layers.actnorm import ActNorm
from deblur.layers.composition import Composition
from deblur.layers.dct_whitening import DCTWhitening
from deblur.layers.inverse_conv import InverseConv
from deblur.layers.invertible_conv1x1 import InvertibleConv1x1
from deblur.layers.masked_whitening import MaskedWhitening
from deblur.layers.transform import Transform
from deblur.noise import LEAST_SIGMA, MOST_SIGMA
from deblur.ops.geometry import ORIENTATIONS

__all__ = ["SIDE", "denoise", "mixings", "noise_features", "whitening_of"]

SIDE = 4
"""Side of the square of pixels that becomes one pixel of 16 channels."""


def whitening_of(kind: str, taps: int, context_features: int) -> Transform:
    """The layer that whitens one channel; `ImagePrior` says which kinds there are."""
    if kind == "masked":
        return MaskedWhitening(1, taps=taps, context_features=context_features)
    return (DCTWhitening if kind == "dct" else ActNorm)(1, context_features=context_features)


def mixings(count: int, inverse_convs: bool, context_features: int) -> Iterator[Transform]:
    """Yield 1 x 1 convolutions of 16 channels, each after an InverseConv if asked for, whose corner goes round."""
    for corner in itertools.islice(itertools.cycle(ORIENTATIONS), count):
        mix = InvertibleConv1x1(SIDE**2, context_features=context_features)
        yield Composition([InverseConv(SIDE**2, orientation=corner), mix]) if inverse_convs else mix


def noise_features(sigma: Tensor) -> Tensor:
    """The context (B, 2) of the layers after the whitening: a line and a parabola in log sigma, sigma being (B,)."""
    least, most = math.log(LEAST_SIGMA), math.log(MOST_SIGMA)
    t = (sigma.log() - least) / (most - least) * 2 - 1
    return torch.stack((t, 2 * t.square() - 1), 1)


def denoise(model: Any, noisy: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Tweedie's denoiser, and the density it comes from.

    The mean of what was there before white noise is y + sigma^2 d log p(y | sigma) / dy (Robbins 1956; Efron 2011).

    Args:
        model: a noise-conditional density: `log_prob(y, sigma)` (B,).
        noisy: y, (B, C, H, W).
        sigma: (B,) or (1,), the standard deviation of its noise.

    Returns:
        The denoised images (B, C, H, W), and log p (B,) of the noisy ones.

    Example:
        >>> from deblur.flows import build
        >>> model = build({"architecture": "image_prior", "steps": 1, "features": 4, "taps": 3})
        >>> denoise(model, torch.rand(1, 1, 8, 8), torch.tensor([0.1]))[0].shape
        torch.Size([1, 1, 8, 8])
    """
    with torch.enable_grad():
        pixels = noisy.detach().requires_grad_()
        density: Tensor = model.log_prob(pixels, sigma)
        (score,) = torch.autograd.grad(density.sum(), pixels)
    return noisy + sigma.square()[:, None, None, None] * score, density.detach()
