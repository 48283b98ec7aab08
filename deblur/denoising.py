"""Remove noise, by the learned prior that `method="flow"` restores with.

`remove_noise` is the whole pipeline, for a `Picture` as a file stores it, which is what the prior was trained on:

    stored values -> noise level -> the flow's denoiser, in tiles -> stored values

`denoise` wraps it for arrays, tensors and files. The command line calls `remove_noise`.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

from deblur.arrays import Samples
from deblur.conversion import through
from deblur.device import device_named, using_threads
from deblur.errors import ShapeError
from deblur.light import BEYOND_WHITE, believed_pixels, brightest, sample, saturation_level
from deblur.masking import masked
from deblur.noise import estimate_sigma
from deblur.options import DenoiseOptions
from deblur.picture import Picture, check_picture, with_hidden, without_hidden
from deblur.progress import OnStep, Step
from deblur.restoration import Restoration
from deblur.restoration.priors.flow import denoised
from deblur.restoring import restored

__all__ = ["denoise", "remove_noise"]

METHOD = "flow"


def remove_noise(
    picture: Picture,
    options: DenoiseOptions | None = None,
    *,
    on_step: OnStep | None = None,
) -> Restoration:
    """Remove white noise from one picture.

    Args:
        picture: pixels (C, H, W) in stored values with black 0 and white 1, and all that goes with them: where alpha is
            0, a pixel's colour is neither seen nor changed; saturated pixels say nothing about the noise.
        options: what the user chose.
        on_step: told after every tile.

    Returns:
        The record; its image is (C, H, W), its `sigma` the noise's standard deviation in stored values, and its steps
        are tiles. Where there is no noise the image is what came.

    Raises:
        ShapeError: another shape.

    Example:
        >>> result = remove_noise(Picture(pixels=torch.full((1, 32, 32), 0.5)))
        >>> result.sigma, result.steps
        (0.0, 0)
    """
    check_picture(picture)
    picture = masked(picture, mask="none").picture
    options, pixels, alpha = options or DenoiseOptions(), picture.pixels, picture.alpha
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

    with using_threads(options.threads, picture.height * picture.width):
        believed = believed_pixels(picture, saturation_level("auto", picture.ceiling))
        given = options.noise
        sigma = given if isinstance(given, float | int) else estimate_sigma(*sample(shown, believed), sharp=True)
        image = shown
        if sigma > 0:
            white = _white(shown, picture.ceiling)
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


def denoise(
    image: Any,
    *,
    noise: float | str = "auto",
    strength: float = 1.0,
    prior: str | None = None,
    threads: int | None = None,
    device: str = "auto",
    alpha: bool = False,
    black: float | None = None,
    white: float | None = None,
) -> Any:
    """Remove white noise from a picture.

    Args:
        image: an array (H, W) or (H, W, C), a tensor (H, W), (C, H, W) or (B, C, H, W), a `Picture`, or the name of a
            picture file, as `deblur.apply` takes it.
        noise: standard deviation of the noise as a fraction of full scale, in [0, 1), or `auto`.
        strength: a factor of it: above 1 smoother, below 1 more of the grain is kept.
        prior: a checkpoint of `deblur train-prior`, in place of the one that comes with the package.
        threads: processor threads, or None for torch's own number.
        device: `auto`, `cpu` or `cuda`: where to compute.
        alpha, black, white: what the numbers of an array are, as `deblur.apply` takes them.

    Returns:
        The picture without the noise: of the kind, shape, dtype and device of `image`; for a file an array. Integers
        are rounded and clipped, floats not.

    Raises:
        DivergedError: the prior gave values that are not finite.
        DeblurError: what was given does not fit; the message says what was expected.

    Example:
        >>> noisy = 0.5 + 0.1 * torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
        >>> bool(denoise(noisy, noise=0.1).std() < 0.02)
        True
    """
    chosen = DenoiseOptions(noise=noise, strength=strength, prior=prior, threads=threads, device=device)
    samples = Samples(alpha=alpha, black=black, white=white)
    return through(image, lambda picture: restored(picture, remove_noise(picture, chosen), "another prior"), samples)


def _white(pixels: Tensor, ceiling: float | None) -> float:
    """What to take for white: 1, or the brightest thousandth where the values clearly end elsewhere."""
    bright = brightest(pixels)
    return bright if bright > BEYOND_WHITE or (ceiling is not None and 0 < ceiling < 0.5 and bright > 0) else 1.0
