"""The whole job: a blurred picture goes in, the best that can be made of it comes out.

    no kernel, or the name of a blur without numbers -> `deblur.fitting.estimate` -> `deblur.restoring.restore`
    a kernel                                                                      -> `deblur.restoring.restore`

`apply` is that for arrays, tensors and files. The command line calls `found`, picture by picture, and `restore`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard, cast

import numpy as np
from torch import Tensor

from deblur import fitting
from deblur.arrays import Samples
from deblur.conversion import KernelLike, kernel_of, made_like, pictures_from, step_of, told
from deblur.estimation import Estimate, families
from deblur.options import ApplyOptions
from deblur.picture import Picture
from deblur.progress import OnStep
from deblur.restoration import Restorer
from deblur.restoring import restore, restored

__all__ = ["apply", "found", "is_unknown"]


def apply(
    image: Any,
    kernel: KernelLike | None = None,
    *,
    method: str | Restorer = "auto",
    noise: float | str = "auto",
    strength: float = 1.0,
    boundary: str = "unknown",
    saturation: float | str = "auto",
    transfer: str = "auto",
    mask: Any = "auto",
    outliers: str = "auto",
    trust: str = "auto",
    preconditioner: str = "auto",
    threads: int | None = None,
    device: str = "auto",
    confidence: float | None = None,
    kernel_transfer: str = "auto",
    kernel_background: float | str = "auto",
    kernel_origin: str = "auto",
    kernel_channels: bool = False,
    prior: str | None = None,
    settings: Mapping[str, Any] | None = None,
    alpha: bool = False,
    black: float | None = None,
    white: float | None = None,
    full_output: bool = False,
) -> Any:
    """Restore a blurred picture, by a kernel that is given or found from the picture alone.

    `apply(x)` is `apply(x, deblur.fit(x))`, to the bit, with the noise, saturation, transfer, mask, threads and device
    that are given; `apply(x, "motion")` is `apply(x, deblur.fit(x, parametric="motion"))`.

    Args:
        image: an array (H, W) or (H, W, C); a tensor (H, W), (C, H, W) or (B, C, H, W), on any device; unsigned
            integers with their full scale, or floats with white at 1. Every channel is restored, however many there
            are, unless `alpha=True` says that the last one is alpha. Or a `Picture`, or the name of a picture file.
            NaN, infinities and what a `numpy.ma` array masks are not believed.
        kernel: a `Kernel`, an `Estimate`, an array (kh, kw) or (C, kh, kw), a file, or a made kernel by name
            (`motion:length=15,angle=30`). None, the default: it is found first, which takes longer than the
            restoration; of a batch one for all. A name without numbers (`motion`, `defocus`, `gaussian`): so are they.
        method: `auto` (see `deblur.restoration.auto.choose`), `exact`, `wiener`, `tv`, `hyperlaplacian`, `flow`, `rl`,
            or a `Restorer` with settings of its own.
        noise: standard deviation of the noise as a fraction of full scale, in [0, 1), or `auto`.
        strength: of the regularisation: above 1 smoother, below 1 sharper.
        boundary: what lies outside the frame: `unknown`, `zero`, `reflect`, `replicate` or `circular`.
        saturation: the level from which a pixel is taken as saturated, `auto` or `none`.
        transfer: `auto` restores in light, by the curve that the picture declares, or sRGB unless a file shows that its
            values are light already; `srgb` takes it as sRGB, `linear` takes stored values as they are.
        mask: `auto` leaves out what was not exposed (black bars, empty corners, all outside a round field), `none` does
            not; or an array (H, W) or a picture file in which 0 marks pixels that are not to be believed.
        outliers: `auto` leaves out pixels that no noise explains (hot and dead ones, burnt-in dates), `none` does not.
        trust: `auto` draws the restoration towards the picture where the kernel does not explain it, `none` does not.
        preconditioner: of the quadratic steps: `auto`, `circulant` or `four-quadrant`.
        threads: processor threads, or None for torch's own number.
        device: `auto`, `cpu` or `cuda`: where to compute.
        confidence: how far to trust the kernel, in [0, 1]; None: as far as the kernel itself says.
        kernel_transfer, kernel_background, kernel_origin, kernel_channels: what the numbers of a kernel that is an
            array or a file stand for (`deblur.psf.Reading`); `auto` recognises what is certain and tells it in a note.
        prior: a checkpoint of `deblur train-prior`.
        settings: further settings of the method, by field name.
        alpha: whether the last channel of an array or a tensor is alpha, which is then kept to the bit; it is data like
            the others else. A file says so itself.
        black, white: the stored values that are black and white; None: 0 and 1, or of integers the type's largest,
            where they do not show that they have 8, 10, 12 or 14 bits.
        full_output: also return the record of the restoration (a list of them of a batch): what was found and
            guessed is in its `notes`, and no warning is given.

    Returns:
        The restored picture: of the kind, shape, dtype, device (and, of `numpy.ma`, mask) of `image`; for a file
        an array of its sample type, (H, W) or (H, W, C). Integers are rounded and clipped (those of 8 bits dithered
        where the restoration is smoother than their steps), floats not; NaN gives way to an estimate. Where there is
        no blur that could be removed (a kernel of one tap), a copy of `image`. No gradient flows through it. With
        `full_output` a tuple of that and the `deblur.restoration.Restoration`.

    Warns:
        DeblurWarning: what was guessed or left out, a line each, with what to type; not with `full_output`.

    Raises:
        DivergedError: the method diverged.
        DeblurError: what was given does not fit; the message says what was expected.

    Example:
        >>> blurred = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        >>> apply(blurred, "gaussian:sigma=1").dtype
        dtype('uint8')
        >>> bool((apply(blurred, [[1.0]]) == blurred).all())
        True
    """
    chosen = ApplyOptions(
        method=method,
        noise=noise,
        strength=strength,
        boundary=boundary,
        saturation=saturation,
        transfer=transfer,
        mask=mask,
        outliers=outliers,
        trust=trust,
        preconditioner=preconditioner,
        threads=threads,
        device=device,
        confidence=confidence,
        kernel_transfer=kernel_transfer,
        kernel_background=kernel_background,
        kernel_origin=kernel_origin,
        kernel_channels=kernel_channels,
        prior=prior,
        settings=settings or {},
    )
    pictures = pictures_from(image, Samples(alpha=alpha, black=black, white=white))
    before: tuple[str, ...] = ()
    if is_unknown(kernel):
        estimate = found(pictures, kernel, chosen)
        known, before = estimate.kernel, (*estimate.notes, *estimate.warnings)
    else:
        known = kernel_of(cast(KernelLike, kernel), chosen.reading)
    results = []
    for picture in pictures:
        result = restore(picture, known, chosen)
        notes = tuple(dict.fromkeys((*picture.notes, *before, *result.notes)))
        results.append(dataclasses.replace(result, notes=notes))
    if all(result.untouched for result in results) and isinstance(image, np.ndarray | Tensor):
        done = image.clone() if isinstance(image, Tensor) else image.copy()  # whatever rounding would make of it
    else:
        each = zip(pictures, results, strict=True)
        done = made_like(image, [restored(picture, result, step=step_of(image, picture)) for picture, result in each])
    if full_output:
        return done, (results if getattr(image, "ndim", 0) == 4 else results[0])
    told((note for result in results for note in result.notes), depth=3)
    return done


def is_unknown(kernel: Any) -> TypeGuard[str | None]:
    """Whether a kernel is still to be found: None, or the name of a blur without its numbers.

    Example:
        >>> is_unknown(None), is_unknown("motion"), is_unknown("motion:length=5,angle=0")
        (True, True, False)
    """
    return kernel is None or (isinstance(kernel, str) and kernel in (*families.models(), families.POINTS))


def found(
    pictures: Picture | Sequence[Picture], kernel: str | None, options: ApplyOptions, *, on_step: OnStep | None = None
) -> Estimate:
    """The kernel of a picture, or of several with one blur, looked for in all of it.

    Args:
        pictures: the blurred ones.
        kernel: None for whatever blurred them, or the name of a blur, such as `motion`.
        options: of the restoration to come.
        on_step: told of the progress.

    Raises:
        DeblurError: as `deblur.fitting.estimate` does.
    """
    return fitting.estimate(pictures, options.fitting(kernel), on_step=on_step)
