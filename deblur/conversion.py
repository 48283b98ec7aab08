"""Whatever a user calls an image, as pictures and back: arrays, tensors, batches, files, and pictures themselves."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deblur import images
from deblur.errors import FileError
from deblur.images.scale import stored_from_frame
from deblur.picture import Picture, array_like, check_finite, pictures_of

__all__ = ["made_like", "pictures_from", "through"]


def pictures_from(image: Any) -> list[Picture]:
    """The pictures that an image holds: one, or those of a batch (B, C, H, W).

    Args:
        image: an array, a tensor, a `Picture` or the name of a picture file.

    Raises:
        ShapeError, DtypeError: an array or tensor of another layout or type, or with NaN or infinity in it.
        FileError: a file that cannot be read, or holds several pages.
    """
    if isinstance(image, str | os.PathLike):
        return [_only_page(image)]
    pictures = [image] if isinstance(image, Picture) else pictures_of(image)
    for picture in pictures:
        check_finite(picture.pixels, picture.alpha)
    return pictures


def made_like(image: Any, pictures: Sequence[Picture]) -> Any:
    """Pictures in the form in which the image came that `pictures_from` took apart; of a file an array."""
    if isinstance(image, str | os.PathLike):
        (frame,) = pictures
        assert isinstance(frame, images.Frame)
        return stored_from_frame(frame).samples()
    return pictures[0] if isinstance(image, Picture) else array_like(image, pictures)


def through(image: Any, work: Callable[[Picture], Picture]) -> Any:
    """An image with some work done on each of its pictures."""
    return made_like(image, [work(picture) for picture in pictures_from(image)])


def _only_page(path: str | os.PathLike[str]) -> images.Frame:
    frames = images.read_frames(Path(path))
    if len(frames) > 1:
        raise FileError(
            f"{path}: expected one picture, got {len(frames)} pages; read them with deblur.images.read_frames"
        )
    return frames[0]
