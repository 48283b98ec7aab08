"""The checks of what an operation is given; each refusal is one line that says what would fit.

They look at shapes, types and options only, so they also run under tracing, `vmap` and fake tensors. The one check that
needs values is that of the anchors; it is made where there are values, by `_dispatch` or by the native solve.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from deblur.errors import DtypeError, OptionError, ShapeError, SingularAnchorError, did_you_mean
from deblur.ops import geometry
from deblur.ops.blocks import blocks

__all__ = [
    "check_anchors",
    "check_border",
    "check_frame",
    "check_image",
    "check_method",
    "check_orientation",
    "check_weight",
    "is_autocast",
    "pair",
]

_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
_METHODS = ("wavefront", "jacobi")
_ONE = "1 means neighbouring taps"


def pair(dilation: int | tuple[int, int]) -> tuple[int, int]:
    """Return the dilation as (rows, columns), both at least 1."""
    both: Any = (dilation, dilation) if isinstance(dilation, int) else dilation
    try:
        rows, columns = both
    except (TypeError, ValueError):
        rows = columns = None
    if not (_is_integer(rows) and _is_integer(columns)):
        raise OptionError(f"expected dilation to be an integer or a pair of them, got {dilation!r}; {_ONE}")
    if rows < 1 or columns < 1:
        raise OptionError(f"expected dilation to be at least 1, got {dilation!r}; {_ONE}")
    return rows, columns


def check_orientation(orientation: str) -> None:
    """Accept the name of one of the four corners."""
    if orientation not in geometry.ORIENTATIONS:
        raise _unknown("an orientation", orientation, geometry.ORIENTATIONS)


def check_border(border: str) -> None:
    """Accept the name of what lies outside the frame."""
    if border not in geometry.BORDERS:
        raise _unknown("a border", border, geometry.BORDERS)


def check_method(method: str) -> None:
    """Accept the name of a way to solve."""
    if method not in _METHODS:
        raise _unknown("a method", method, _METHODS)


def _unknown(what: str, given: str, known: Iterable[str]) -> OptionError:
    return OptionError(f"expected {what}, got {given!r}{did_you_mean(str(given), known)}")


def check_weight(weight: torch.Tensor, groups: int) -> None:
    """Accept a weight (C, C // groups, kh, kw) of a floating-point type."""
    if not isinstance(weight, torch.Tensor) or weight.dtype not in _DTYPES:
        raise _no_numbers("weight", weight)
    if weight.dim() != 4:
        raise ShapeError(
            f"expected weight of the shape (C, C // groups, kh, kw), got {tuple(weight.shape)}; reshape it"
        )
    if not _is_integer(groups):
        raise OptionError(f"expected groups to be an integer, got {groups!r}; 1 mixes all channels")
    channels, per_group, kh, kw = weight.shape
    if channels < 1 or kh < 1 or kw < 1:
        raise ShapeError(
            f"expected weight to have at least one channel and one tap a side, got {tuple(weight.shape)}; "
            "its first tap is the anchor"
        )
    if groups < 1 or channels % groups:
        raise OptionError(f"expected groups to divide the {channels} channels of weight, got {groups}; try 1")
    if per_group != channels // groups:
        raise ShapeError(
            f"expected weight of the shape (C, C // groups, kh, kw) = ({channels}, {channels // groups}, {kh}, {kw}) "
            f"with groups={groups}, got {tuple(weight.shape)}; depthwise, (C, 1, kh, kw), needs groups={channels}"
        )


def check_image(name: str, image: torch.Tensor, weight: torch.Tensor) -> None:
    """Accept an image (B, C, H, W) that goes with a checked weight."""
    if not isinstance(image, torch.Tensor) or image.dtype not in _DTYPES:
        raise _no_numbers(name, image)
    if image.dim() != 4:
        raise ShapeError(f"expected {name} of the shape (B, C, H, W), got {tuple(image.shape)}; add the missing axes")
    if image.shape[1] != weight.shape[0]:
        raise ShapeError(
            f"expected {name} to have the {weight.shape[0]} channels of weight {tuple(weight.shape)}, "
            f"got {tuple(image.shape)}; give both the same"
        )
    if image.dtype is not weight.dtype and not is_autocast(image):
        raise DtypeError(f"expected {name} and weight of one dtype, got {image.dtype} and {weight.dtype}; convert one")
    if image.device != weight.device:
        raise OptionError(
            f"expected {name} and weight on one device, got {image.device} and {weight.device}; move one of them"
        )


def _no_numbers(name: str, given: object) -> DtypeError:
    if isinstance(given, torch.Tensor):
        return DtypeError(f"expected {name} in float16, bfloat16, float32 or float64, got {given.dtype}; convert it")
    return DtypeError(f"expected {name} to be a torch.Tensor, got {type(given).__name__}; use torch.as_tensor")


def check_frame(height: int, width: int) -> None:
    """Accept the size of a frame."""
    if not (_is_integer(height) and _is_integer(width)) or height < 0 or width < 0:
        raise OptionError(
            f"expected H and W to be integers of at least 0, got {height!r} and {width!r}; "
            "they are the rows and columns of the frame"
        )


def check_anchors(weight: torch.Tensor, height: int, width: int, groups: int, border: str) -> None:
    """Refuse a weight one of whose anchors has no inverse; reads values, so a device waits here.

    With one channel in a group an anchor is a number, which has no inverse if it is zero. With more it is a matrix, and
    it has none if a pivot of its LU factorisation vanishes after every column and every row were scaled to a maximum of
    1. Then diag(1, 1e-30) passes, and a matrix of rank below C // groups does not, in spite of rounding. A sum of taps
    counts as zero if it differs from zero by no more than rounding. A NaN passes, and shows in the result.
    """
    if border == "zero":
        _check_anchor(weight, groups, "the anchor weight[:, :, 0, 0]", "set it (to 1, say) or anchor elsewhere")
        return
    eps = torch.finfo(weight.dtype).eps
    signed, sizes = (blocks(each, height, width, "top_left", border) for each in (weight, weight.abs()))
    for block, size in zip(signed, sizes, strict=True):
        anchor, most = block.weight[:, :, :1, :1], size.weight[:, :, :1, :1]
        anchor = torch.where(anchor.abs() <= eps * most, 0.0, anchor)
        _check_anchor(anchor, groups, block.anchor, f"with border={border!r} every anchor counts, sums of taps too")


def _check_anchor(weight: torch.Tensor, groups: int, name: str, advice: str) -> None:
    """Refuse weight[:, :, 0, 0], called `name`, where it has no inverse."""
    if weight.shape[1] == 1:
        taps = weight.as_strided(
            (weight.shape[0],), (weight.stride(0),)
        ).tolist()  # weight[:, 0, 0, 0], in half the time
        if 0.0 not in taps:
            return
        channel = taps.index(0.0)
        raise SingularAnchorError(f"expected {name} to be invertible, got 0 in channel {channel}; {advice}")
    anchor = geometry.anchors(weight, groups)
    pivots = torch.linalg.lu_factor_ex(anchor).LU.diagonal(dim1=1, dim2=2).abs().flatten().tolist()
    if min(pivots) > 1e-3 * max(pivots):  # the usual case, at a third of the cost
        return
    tiny = torch.finfo(anchor.dtype).tiny
    anchor = anchor / anchor.abs().amax(1, keepdim=True).clamp_min(tiny)
    anchor = anchor / anchor.abs().amax(2, keepdim=True).clamp_min(tiny)
    smallest = torch.linalg.lu_factor_ex(anchor).LU.diagonal(dim1=1, dim2=2).abs().amin(1)
    singular = smallest <= torch.finfo(anchor.dtype).eps * weight.shape[1]
    if bool(singular.any()):
        raise SingularAnchorError(
            f"expected {name} to be invertible in every group, got dependent rows in group "
            f"{int(singular.nonzero()[0])}; {advice}"
        )


def _is_integer(value: object) -> bool:
    return isinstance(value, (int, torch.SymInt)) and not isinstance(value, bool)


def is_autocast(image: torch.Tensor) -> bool:
    """Say whether autocast is at work on an image's device, which brings the operands to one dtype by itself."""
    device = image.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
