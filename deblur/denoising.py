"""Remove noise from Python, by the learned prior that `method="flow"` restores with.

`remove_noise` is the whole pipeline, for pixels as a file stores them, which is what the prior was trained on:

    stored values -> noise level -> the flow's denoiser, in tiles -> stored values

`denoise` wraps it for arrays of any common layout. The command line calls `remove_noise`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deblur.config import from_keywords
from deblur.errors import DivergedError, ShapeError
from deblur.light import (
    BEYOND_WHITE,
    ArrayT,
    array_like,
    as_numpy,
    believed_pixels,
    brightest,
    check_finite,
    device_named,
    picture_of,
    sample,
    saturation_level,
    threads,
    with_hidden,
    without_hidden,
)
from deblur.noise import estimate_sigma
from deblur.progress import OnStep, Step
from deblur.restoration import Restoration
from deblur.restoration.priors.flow import denoised
from deblur.restoring import ApplyOptions

__all__ = ["DenoiseOptions", "denoise", "remove_noise"]

METHOD = "flow"


@dataclass(frozen=True, kw_only=True)
class DenoiseOptions:
    """What a user may choose of denoising.

    Args:
        noise: standard deviation of the noise as a fraction of full scale, in [0, 1), a number or a text such as
            `2.5/255`, or `auto`.
        strength: a factor of it: above 1 smoother, below 1 more of the grain is kept.
        prior: a checkpoint of `deblur train-prior`, in place of the one that comes with the package.
        threads: processor threads, or None for torch's own number.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        OptionError: a value outside its range.
        FileError: the prior cannot be used.
    """

    noise: float | str = "auto"
    strength: float = 1.0
    prior: str | None = None
    threads: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        shared = ApplyOptions(  # checks what both have in common
            method=METHOD,
            noise=self.noise,
            strength=self.strength,
            prior=self.prior,
            threads=self.threads,
            device=self.device,
        )
        object.__setattr__(self, "noise", shared.noise)


def remove_noise(
    pixels: Tensor,
    options: DenoiseOptions | None = None,
    *,
    alpha: Tensor | None = None,
    ceiling: float | None = None,
    on_step: OnStep | None = None,
) -> Restoration:
    """Remove white noise from the pixels of one picture.

    Args:
        pixels: (C, H, W) float, in stored values with black 0 and white 1.
        options: what the user chose.
        alpha: (H, W); where it is 0, the pixel's colour is neither seen nor changed.
        ceiling: the level at which the frame saturates; pixels from there on say nothing about the noise.
        on_step: told after every tile.

    Returns:
        The record; its image is (C, H, W), its `sigma` the noise's standard deviation in stored values, and its steps
        are tiles. Where there is no noise the image is what came.

    Raises:
        ShapeError: another shape.

    Example:
        >>> result = remove_noise(torch.full((1, 32, 32), 0.5))
        >>> result.sigma, result.steps
        (0.0, 0)
    """
    options = options or DenoiseOptions()
    start = time.perf_counter()
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise ShapeError(f"expected pixels (C, H, W), got {tuple(pixels.shape)}")
    device = device_named(options.device)
    shown = without_hidden(pixels, alpha)
    done = 0

    def told(index: int, total: int) -> None:
        nonlocal done
        done = index
        if on_step is not None:
            on_step(Step(index, total))

    with threads(options.threads):
        believed = believed_pixels(pixels, alpha, saturation_level("auto", ceiling))
        given = options.noise
        sigma = given if isinstance(given, float | int) else estimate_sigma(*sample(shown, believed), sharp=True)
        image = shown
        if sigma > 0:
            white = _white(shown, ceiling)
            level = options.strength * sigma / white
            image = denoised((shown / white).to(device), level, options.prior or "", told).cpu() * white
    finite = bool(torch.isfinite(image).all())
    return Restoration(
        image=with_hidden(image, pixels, alpha),
        status="converged" if finite else "diverged",
        residual=0.0,
        steps=done,
        seconds=time.perf_counter() - start,
        method=METHOD,
        sigma=float(sigma),
    )


def denoise(image: ArrayT, **options: Any) -> ArrayT:
    """Remove white noise from a picture.

    Args:
        image: (H, W), or (H, W, C) with C = 1 to 4 (2 and 4: the last channel is alpha, and kept), a NumPy array or a
            tensor; unsigned integers with their full scale, or floats with white at 1.
        **options: the fields of `DenoiseOptions`: noise, strength, prior, threads, device.

    Returns:
        The picture without the noise: of the kind, shape and dtype of `image`. Integers are rounded and clipped, floats
        not.

    Raises:
        DeblurError: what was given does not fit; the message says what was expected.

    Example:
        >>> noisy = 0.5 + 0.1 * torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
        >>> bool(denoise(noisy, noise=0.1).std() < 0.02)
        True
    """
    chosen = from_keywords(DenoiseOptions, options)
    picture = picture_of(as_numpy(image))
    check_finite(picture.pixels, picture.alpha)
    result = remove_noise(picture.pixels, chosen, alpha=picture.alpha, ceiling=picture.ceiling)
    if result.status == "diverged":
        raise DivergedError(f"{result.method} diverged; try another prior")
    return array_like(image, result.image, picture.alpha)


def _white(pixels: Tensor, ceiling: float | None) -> float:
    """What to take for white: 1, or the brightest thousandth where the values clearly end elsewhere."""
    bright = brightest(pixels)
    return bright if bright > BEYOND_WHITE or (ceiling is not None and 0 < ceiling < 0.5 and bright > 0) else 1.0
