"""Which pixels of a picture are not to be believed: those that a user names, those that are no numbers, and those on
which no light fell.

Every job begins with it, so that what is left out reaches nothing. A restoration gives an estimate in the place of a
pixel that a user names or that is no number, as its neighbours show what was there; where nothing was exposed there is
no scene, and the stored values stay.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deblur import images
from deblur.arrays import Samples, pictures_of
from deblur.errors import FileError, OptionError, ShapeError
from deblur.picture import Picture, check_finite
from deblur.unexposed import Unexposed, unexposed

__all__ = [
    "MOST",
    "Masked",
    "believing",
    "file_of",
    "like_masked",
    "mask_named",
    "masked",
    "pictures_with_masks",
    "without_nan",
]

_PictureT = TypeVar("_PictureT", bound=Picture)

MOST = 0.5
"""The share of pixels that are no numbers above which a picture is refused: nobody meant that."""


@dataclass(frozen=True)
class Masked(Generic[_PictureT]):
    """A picture that is ready for a job.

    Attributes:
        picture: filled where it is not believed, its mask False there.
        frame: the same of the frame that it is a part of; the picture itself where it is none.
        notes: a line for each kind of pixels that were left out.
        unexposed: where the stored values stay, (1, H, W), or None.
        stored: the pixels that came, (C, H, W).
    """

    picture: _PictureT
    frame: Picture
    notes: tuple[str, ...]
    unexposed: Tensor | None
    stored: Tensor

    def kept(self, image: Tensor) -> Tensor:
        """The image (C, H, W) with the stored values where nothing was exposed."""
        return image if self.unexposed is None else torch.where(self.unexposed, self.stored.to(image), image)


def masked(picture: _PictureT, whole: Picture | None = None, mask: Any = "auto") -> Masked[_PictureT]:
    """A picture without what is not to be believed of it.

    Args:
        picture: pixels (C, H, W), or a part of `whole`.
        whole: the frame that the picture is a part of, where it is: what was not exposed is looked for there.
        mask: `auto` looks for what was not exposed, `none` does not; or a mask of the whole frame as `mask_named` takes
            it, in the place of looking.

    Raises:
        ShapeError: a mask of another size than the frame, NaN or infinity in more than half of the pixels.
        OptionError, FileError: as `mask_named`.

    Example:
        >>> scene = 0.5 + 0.1 * torch.rand(1, 60, 80, generator=torch.Generator().manual_seed(0))
        >>> masked(Picture(pixels=torch.nn.functional.pad(scene, (0, 0, 12, 12)))).notes
        ('black bars of 12 rows at the top and bottom left out (--mask none takes them as picture)',)
        >>> masked(Picture(pixels=scene), mask=np.eye(60, 80)).notes
        ('4,740 pixels not believed (--mask)',)
    """
    if picture.pixels.ndim != 3 or 0 in picture.pixels.shape:
        raise ShapeError(f"expected pixels (C, H, W), got {tuple(picture.pixels.shape)}")
    stored, believed = picture.pixels.detach(), mask_named(mask)
    picture, before = without_nan(picture), len(picture.notes)
    frame = picture if whole is None else without_nan(whole)
    notes, found = list(picture.notes[before:]), None
    if isinstance(believed, Tensor):
        if tuple(believed.shape) != (frame.height, frame.width):
            raise ShapeError(
                f"expected a mask of {frame.width} x {frame.height} pixels like the picture, got {believed.shape[1]} x "
                f"{believed.shape[0]}; make it from the picture itself"
            )
        if count := int((~believed).sum()):
            notes.append(f"{count:,} pixel{'s' * (count != 1)} not believed (--mask)")
        believed = believed[None]
    elif believed == "auto" and (left := _seen(frame)) is not None:
        notes.append(f"{left.words} left out (--mask none takes them as picture)")
        believed = ~left.where
        found = left.where[_place(picture, frame)]
    if isinstance(believed, Tensor):
        picture, frame = believing(picture, believed[_place(picture, frame)]), believing(frame, believed)
    picture = picture.filled()
    return Masked(picture, picture if whole is None else frame.filled(), tuple(notes), found, stored)


def mask_named(mask: Any) -> Tensor | str:
    """A mask as (H, W) bool, True where a pixel is believed; or the word `auto` or `none`.

    Args:
        mask: one of these words; the name of a picture file, 0 where a pixel is not believed; or an array or a tensor
            (H, W) like that.

    Raises:
        ShapeError: an array that is not (H, W).
        OptionError: a mask that believes nothing.
        FileError: a file that cannot be read, or holds several pages.

    Example:
        >>> mask_named(np.eye(2))
        tensor([[ True, False],
                [False,  True]])
    """
    if isinstance(mask, str) and mask in ("auto", "none"):
        return mask
    if (name := file_of(mask)) is not None:
        frames = images.read_frames(Path(name))
        if len(frames) > 1:
            raise FileError(f"{name}: expected a mask of one page, got {len(frames)} pages; save one of them alone")
        (frame,) = frames
        believed = (frame.pixels * (frame.white - frame.black) + frame.black != 0).any(0)
    else:
        believed = torch.as_tensor(np.asarray(mask)) if not isinstance(mask, Tensor) else mask.detach().cpu()
        if believed.ndim != 2:
            raise ShapeError(f"expected a mask (rows, columns), got {tuple(believed.shape)}; take one of its channels")
        believed = believed != 0
    if not bool(believed.any()):
        raise OptionError("expected a mask that is not 0 where a pixel is believed, got 0 everywhere; invert it")
    return believed


def file_of(mask: Any) -> str | None:
    """The name of the file that a mask is in, or None."""
    word = isinstance(mask, str) and mask in ("auto", "none")
    return str(mask) if isinstance(mask, str | os.PathLike) and not word else None


def without_nan(picture: _PictureT) -> _PictureT:
    """The picture with its mask False where a value is NaN or infinite, filled, and a note of how many are.

    Raises:
        ShapeError: in more than half of the pixels, or in alpha.
    """
    check_finite(picture.alpha)
    known = torch.isfinite(picture.pixels)
    if picture.mask is not None:
        known |= ~picture.mask.bool()  # nobody would look
    if picture.weights is not None:
        known |= picture.weights == 0
    if bool(known.all()):
        return picture
    lost = ~known.all(0)
    if (share := float(lost.float().mean())) > MOST:
        raise ShapeError(
            f"expected finite pixel values, got NaN or infinity in {share:.0%} of the pixels; crop the picture"
        )
    infinite = bool(torch.isinf(picture.pixels[:, lost]).any())
    mask = known if picture.mask is None else known & picture.mask.bool()
    note = _not_believed(lost, "NaN or infinite" if infinite else "NaN")
    return dataclasses.replace(picture, mask=mask, notes=(*picture.notes, note)).filled()


def pictures_with_masks(image: Any, samples: Samples | None = None) -> list[Picture]:
    """The pictures of an array or a tensor (`deblur.arrays.pictures_of`), with what is not a number in it, or masked.

    Args:
        image: as there; or a `numpy.ma` array, whose masked values are not believed.
        samples: as there.

    Raises:
        ShapeError, DtypeError: as there; an array that is masked everywhere.

    Example:
        >>> (picture,) = pictures_with_masks(np.ma.masked_equal(np.eye(3), 1))
        >>> picture.mask[0].int()
        tensor([[0, 1, 1],
                [1, 0, 1],
                [1, 1, 0]], dtype=torch.int32)
    """
    hidden = np.ma.getmask(image) if isinstance(image, np.ma.MaskedArray) else np.ma.nomask
    if hidden is not np.ma.nomask:
        image, covered = image.filled(0), hidden.astype(np.float32)
        pictures, covers = (
            pictures_of(image, samples),
            pictures_of(covered, Samples(alpha=bool(samples and samples.alpha))),
        )
        return [_covered(picture, cover) for picture, cover in zip(pictures, covers, strict=True)]
    values = image if isinstance(image, Tensor) else np.asarray(image)
    finite = _finite(values)
    if finite is None:
        return pictures_of(image, samples)
    known = torch.where(finite, values, 0) if isinstance(values, Tensor) else np.where(finite, values, 0)
    numbers = pictures_of(known, samples)
    return [  # a ceiling is looked for among the numbers
        without_nan(dataclasses.replace(picture, ceiling=number.ceiling))
        for picture, number in zip(pictures_of(image, samples), numbers, strict=True)
    ]


def like_masked(image: Any, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An array, masked as the `numpy.ma` array is that it was made from; of any other image the array itself."""
    if not isinstance(image, np.ma.MaskedArray):
        return array
    return np.ma.masked_array(array, np.ma.getmaskarray(image).copy(), fill_value=image.fill_value)


def _finite(values: Any) -> Any:
    """Where values are finite, or None where all are, or cannot be otherwise."""
    if isinstance(values, Tensor):
        finite = torch.isfinite(values)
        return None if bool(finite.all()) else finite
    if values.dtype.kind != "f":
        return None
    where = np.isfinite(values)
    return None if where.all() else where


def _covered(picture: Picture, cover: Picture) -> Picture:
    """The picture without what the other one covers, in all channels where that is its alpha."""
    believed = cover.pixels == 0
    if cover.alpha is not None:
        believed = believed & (cover.alpha == 0)
    if not bool(believed.any()):
        raise ShapeError("expected a masked array with some values in it, got all of them masked; check its mask")
    note = _not_believed(~believed.all(0), "masked")
    return without_nan(dataclasses.replace(picture, mask=believed, notes=(*picture.notes, note)))


def _not_believed(lost: Tensor, why: str) -> str:
    count = int(lost.sum())
    return f"{count:,} pixel{'s' * (count != 1)} not believed ({why})"


def _seen(frame: Picture) -> Unexposed | None:
    """What was not exposed, where alpha does not hide all of it anyway."""
    found = unexposed(frame)
    if found is None or frame.alpha is None or bool((found.where[0] & (frame.alpha > 0)).any()):
        return found
    return None


def believing(picture: _PictureT, believed: Tensor) -> _PictureT:
    """The picture with its mask False where a mask (1, H, W) is, too."""
    believed = believed.to(picture.pixels.device)
    return dataclasses.replace(picture, mask=believed if picture.mask is None else believed & picture.mask.bool())


def _place(picture: Picture, frame: Picture) -> tuple[Any, ...]:
    """The rows and columns of a picture in the frame that it is a part of."""
    top, left = (at - start for at, start in zip(picture.place, frame.place, strict=True))
    return ..., slice(top, top + picture.height), slice(left, left + picture.width)
