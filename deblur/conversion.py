"""Whatever a user calls an image or a kernel, as the record that the jobs take, and back again."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt
from torch import Tensor

from deblur import images, psf
from deblur.arrays import Samples, array_like
from deblur.errors import DeblurWarning, FileError, OptionError, ShapeError
from deblur.images.scale import stored_from_frame
from deblur.masking import like_masked, pictures_with_masks, without_nan
from deblur.picture import Picture, check_finite
from deblur.psf import Kernel, Reading, understood

__all__ = ["KernelLike", "kernel_of", "made_like", "pictures_from", "step_of", "through", "told"]


class HasKernel(Protocol):
    """What an estimation returns, among others."""

    @property
    def kernel(self) -> Kernel:
        """The kernel that was found."""


KernelLike = npt.ArrayLike | HasKernel | str | os.PathLike[str]
"""A `Kernel`, an `Estimate`, an array (kh, kw) or (C, kh, kw), a file, or a made kernel by name."""


def pictures_from(image: Any, samples: Samples | None = None) -> list[Picture]:
    """The pictures that an image holds: one, or those of a batch (B, C, H, W).

    Args:
        image: an array, a tensor, a `Picture` or the name of a picture file. What is NaN or infinite in it, or masked
            in a `numpy.ma` array, is left out by the picture's mask.
        samples: what the numbers of an array or a file are; a file says itself which channel is alpha.

    Raises:
        OptionError: black is not below white, or is told of a `Picture`, which has its scale.
        ShapeError, DtypeError: an array or tensor of another layout or type, or with NaN or infinity in alpha or in
            more than half of its pixels.
        FileError: a file that cannot be read, or holds several pages.
    """
    if isinstance(image, str | os.PathLike):
        return [_only_page(image, samples or Samples())]
    if isinstance(image, Picture) and samples is not None and not samples.plain:
        raise OptionError("expected alpha, black and white of an array or a file, got a Picture, which has its own")
    pictures = [image] if isinstance(image, Picture) else pictures_with_masks(image, samples)
    pictures = [without_nan(picture).filled() for picture in pictures]
    for picture in pictures:
        check_finite(picture.pixels, picture.alpha)
    return pictures


def made_like(image: Any, pictures: Sequence[Picture]) -> Any:
    """Pictures in the form in which the image came that `pictures_from` took apart; of a file an array."""
    if isinstance(image, str | os.PathLike):
        (frame,) = pictures
        assert isinstance(frame, images.Frame)
        return stored_from_frame(frame).samples()
    return pictures[0] if isinstance(image, Picture) else like_masked(image, array_like(image, pictures))


def step_of(image: Any, picture: Picture) -> float | None:
    """The step, full scale 1, that `made_like` rounds a picture of an image of 8 bits to; None for finer ones.

    Example:
        >>> import numpy as np
        >>> array = np.zeros((8, 9), np.uint8)
        >>> round(255 * step_of(array, pictures_from(array)[0]), 6)
        1.0
    """
    if isinstance(image, Picture):
        return None
    if isinstance(picture, images.Frame):
        return 1 / (picture.white - picture.black) if picture.dtype == "uint8" else None
    black, white = picture.levels or (0.0, 255.0)
    return 1 / (white - black) if str(getattr(image, "dtype", "")).endswith("uint8") else None


def through(image: Any, work: Callable[[Picture], Picture], samples: Samples | None = None) -> Any:
    """An image with some work done on each of its pictures, whose notes become warnings."""
    pictures = pictures_from(image, samples)
    told(note for picture in pictures for note in picture.notes)
    return made_like(image, [work(picture) for picture in pictures])


def told(notes: Iterable[str], depth: int = 4) -> None:
    """Notes as warnings of the caller so many calls up: lines with what to type, which code can act on or filter.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as seen:
        ...     told(["one", "two", "one"])
        >>> [str(warning.message) for warning in seen]
        ['one', 'two']
    """
    for note in dict.fromkeys(notes):
        warnings.warn(note, DeblurWarning, stacklevel=depth)


def _only_page(path: str | os.PathLike[str], samples: Samples) -> images.Frame:
    frames = images.read_frames(Path(path), black=samples.black, white=samples.white, missing=True, fewer_bits=True)
    if len(frames) > 1:
        raise FileError(
            f"{path}: expected one picture, got {len(frames)} pages; read them with deblur.images.read_frames"
        )
    try:
        return without_nan(frames[0])
    except ShapeError as error:
        raise ShapeError(f"{path}: {error}") from error


def kernel_of(kernel: KernelLike, reading: Reading | None = None) -> Kernel:
    """The kernel that a user means: a record, what holds one, an array, a file or a name.

    Args:
        kernel: what was given.
        reading: what the numbers of an array or a file stand for.

    Raises:
        KernelError: what was given cannot be a kernel.
        FileError, OptionError: as `deblur.psf.resolve` does.

    Example:
        >>> kernel_of("box:size=3")
        Kernel(3 x 3 taps, exactly known, misfit 0.006)
    """
    if isinstance(kernel, Kernel):
        return kernel
    if isinstance(kernel, str | os.PathLike):
        return psf.resolve(kernel, reading=reading)
    held = getattr(kernel, "kernel", None)
    if isinstance(held, Kernel):
        return held
    array = kernel.detach().cpu().numpy() if isinstance(kernel, Tensor) else kernel
    return understood(array, reading)  # type: ignore[arg-type]
