"""The one rule for the axes of pictures.

    an array    (H, W) or (H, W, C)
    a tensor    (H, W), (C, H, W) or (B, C, H, W)

A colour tensor in the layout of arrays is refused where that can be told: three rows of a picture are rare, three
channels are not.

Example:
    >>> import torch
    >>> batch = as_batch(torch.rand(3, 40, 50))
    >>> batch.shape
    torch.Size([1, 3, 40, 50])
    >>> channels_first(torch.rand(40, 50, 3))
    Traceback (most recent call last):
    ...
    deblur.errors.ShapeError: expected a tensor (C, H, W), got (40, 50, 3), which looks like (H, W, C); use
    .movedim(-1, 0)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deblur.errors import ShapeError

if TYPE_CHECKING:  # a command's options are checked without them
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["as_batch", "as_given", "as_planes", "channels_first", "middle", "rows_first"]

_MOST_CHANNELS = 4


def channels_first(tensor: Tensor) -> None:
    """Check that a tensor is a picture (H, W), (C, H, W) or several, (B, C, H, W).

    Raises:
        ShapeError: another number of axes, or a last axis of at most 4 and more than 4 where the channels belong: a
            picture with its channels last.
    """
    shape = tuple(tensor.shape)
    if len(shape) not in (2, 3, 4):
        raise ShapeError(f"expected a tensor (H, W), (C, H, W) or (B, C, H, W), got {shape}")
    if len(shape) > 2 and shape[-1] <= _MOST_CHANNELS < shape[-3]:
        wanted, found, to = ("(C, H, W)", "(H, W, C)", 0) if len(shape) == 3 else ("(B, C, H, W)", "(B, H, W, C)", 1)
        raise ShapeError(f"expected a tensor {wanted}, got {shape}, which looks like {found}; use .movedim(-1, {to})")


def rows_first(array: NDArray[Any]) -> None:
    """Check that an array of three axes is no picture with its channels first.

    Raises:
        ShapeError: a first axis of at most 4 and a last one of more.

    Example:
        >>> import numpy as np
        >>> rows_first(np.zeros((3, 40, 50)))
        Traceback (most recent call last):
        deblur.errors.ShapeError: expected an array (H, W, C), got (3, 40, 50), which looks like (C, H, W); use ...
    """
    shape = tuple(array.shape)
    if len(shape) == 3 and shape[0] <= _MOST_CHANNELS < shape[-1]:
        raise ShapeError(
            f"expected an array (H, W, C), got {shape}, which looks like (C, H, W); use np.moveaxis(array, 0, -1)"
        )


def as_batch(tensor: Tensor) -> Tensor:
    """A view (B, C, H, W) of a tensor in any of the three layouts.

    Raises:
        ShapeError: as for `channels_first`.
    """
    channels_first(tensor)
    return tensor[(None,) * (4 - tensor.dim())]


def as_given(batch: Tensor, given: Tensor) -> Tensor:
    """A result (B, C, H, W) in the layout of the tensor that `as_batch` made the batch of.

    Example:
        >>> import torch
        >>> gray = torch.rand(40, 50)
        >>> as_given(as_batch(gray)[..., 2:], gray).shape
        torch.Size([40, 48])
    """
    return batch[(0,) * (4 - given.dim())]


def as_planes(array: NDArray[Any]) -> NDArray[Any]:
    """A view (C, H, W) of an array (H, W) or (H, W, C).

    Raises:
        ShapeError: another number of axes.

    Example:
        >>> import numpy as np
        >>> as_planes(np.zeros((40, 50, 3))).shape
        (3, 40, 50)
    """
    if array.ndim not in (2, 3):
        raise ShapeError(f"expected an array (H, W) or (H, W, C), got {array.shape}")
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def middle(length: int, side: int) -> slice:
    """The middle `side` pixels of an axis, or all of a shorter one.

    Example:
        >>> middle(10, 4), middle(3, 4)
        (slice(3, 7, None), slice(0, 4, None))
    """
    start = max(0, length - side) // 2
    return slice(start, start + side)
