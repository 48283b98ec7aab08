"""One layout: an array is (H, W[, C]); a tensor is (H, W), (C, H, W) or (B, C, H, W)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deblur.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["channels_first"]


def channels_first(tensor: Tensor) -> None:
    """Raise ShapeError for a tensor that is laid out as an array, with its channels last."""
    shape = tuple(tensor.shape)
    if len(shape) in (3, 4) and shape[-1] <= 4 < shape[-3]:
        raise ShapeError(f"expected a tensor (C, H, W), got {shape} with the channels last; use .movedim(-1, 0)")
