"""What an operation may be given, said in one line where it is not.

Only shapes, types and options are looked at here, so these checks run under tracing, `vmap` and fake tensors as well;
the one check that needs values, the anchor's, is made where the values are (`_dispatch`, the native solve).
"""

from __future__ import annotations

import difflib
from typing import Any

import torch

from deblur.errors import DtypeError, OptionError, ShapeError, SingularAnchorError
from deblur.ops import geometry
from deblur.ops.blocks import blocks

__all__ = [
    "check_anchors",
    "check_border",
    "check_frame",
    "check_image",
    "check_orientation",
    "check_weight",
    "is_autocast",
    "pair",
]

_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def pair(dilation: int | tuple[int, int]) -> tuple[int, int]:
    """Return the dilation as (rows, columns), both at least 1."""
    both: Any = (dilation, dilation) if isinstance(dilation, int) else dilation
    try:
        rows, columns = both
    except (TypeError, ValueError):
        raise OptionError(f"dilation must be an integer or a pair (rows, columns), got {dilation!r}") from None
    if not (_is_integer(rows) and _is_integer(columns)):
        raise OptionError(f"dilation must be made of integers, got {dilation!r}")
    if rows < 1 or columns < 1:
        raise OptionError(f"dilation must be at least 1, got {dilation!r}; 1 means neighbouring taps")
    return rows, columns


def check_orientation(orientation: str) -> None:
    """Accept the name of one of the four corners."""
    if orientation in geometry.ORIENTATIONS:
        return
    close = difflib.get_close_matches(str(orientation), geometry.ORIENTATIONS, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise OptionError(f"orientation must be one of {', '.join(geometry.ORIENTATIONS)}, got {orientation!r}{hint}")


def check_border(border: str) -> None:
    """Accept the name of what lies outside the frame."""
    if border in geometry.BORDERS:
        return
    close = difflib.get_close_matches(str(border), geometry.BORDERS, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise OptionError(f"border must be one of {', '.join(geometry.BORDERS)}, got {border!r}{hint}")


def check_weight(weight: torch.Tensor, groups: int) -> None:
    """Accept a weight (C, C // groups, kh, kw) of a floating-point type."""
    if not isinstance(weight, torch.Tensor):
        raise DtypeError(f"weight must be a torch.Tensor, got {type(weight).__name__}; use torch.as_tensor")
    if weight.dtype not in _DTYPES:
        raise DtypeError(f"weight must be float16, bfloat16, float32 or float64, got {weight.dtype}; convert it")
    if weight.dim() != 4:
        raise ShapeError(f"weight must have the shape (C, C // groups, kh, kw), got {tuple(weight.shape)}")
    if not _is_integer(groups):
        raise OptionError(f"groups must be an integer from 1 to the number of channels, got {groups!r}")
    channels, per_group, kh, kw = weight.shape
    if channels < 1 or kh < 1 or kw < 1:
        raise ShapeError(f"weight needs at least one channel and one tap a side, got {tuple(weight.shape)}")
    if groups < 1 or channels % groups:
        raise OptionError(f"groups must divide the {channels} channels of weight, got {groups}")
    if per_group != channels // groups:
        raise ShapeError(
            f"weight must have the shape (C, C // groups, kh, kw) = ({channels}, {channels // groups}, {kh}, {kw}) "
            f"with groups={groups}, got {tuple(weight.shape)}; depthwise, (C, 1, kh, kw), needs groups={channels}"
        )


def check_image(name: str, image: torch.Tensor, weight: torch.Tensor) -> None:
    """Accept an image (B, C, H, W) that goes with a checked weight."""
    if not isinstance(image, torch.Tensor):
        raise DtypeError(f"{name} must be a torch.Tensor, got {type(image).__name__}; use torch.as_tensor")
    if image.dim() != 4:
        raise ShapeError(f"{name} must have the shape (B, C, H, W), got {tuple(image.shape)}; add the missing axes")
    if image.shape[1] != weight.shape[0]:
        raise ShapeError(
            f"{name} must have the {weight.shape[0]} channels of weight {tuple(weight.shape)}, got {tuple(image.shape)}"
        )
    if image.dtype is not weight.dtype and not is_autocast(image):
        raise DtypeError(f"{name} and weight must have one dtype, got {image.dtype} and {weight.dtype}; convert one")
    if image.dtype not in _DTYPES:
        raise DtypeError(f"{name} must be float16, bfloat16, float32 or float64, got {image.dtype}; convert it")
    if image.device != weight.device:
        raise OptionError(f"{name} and weight must be on one device, got {image.device} and {weight.device}; move one")


def check_frame(height: int, width: int) -> None:
    """Accept the size of a frame."""
    if not (_is_integer(height) and _is_integer(width)) or height < 0 or width < 0:
        raise OptionError(f"H and W must be integers, rows and columns of the frame, got {height!r} and {width!r}")


def check_anchors(weight: torch.Tensor, height: int, width: int, groups: int, border: str) -> None:
    """Refuse a weight one of whose anchors has no inverse; reads values, so a device waits here.

    One channel a group: a zero. More: a vanishing pivot of the LU factorisation after every column and every row was
    scaled to maximum 1, so that diag(1, 1e-30) passes and a matrix of rank below C // groups does not, rounding or no.
    A sum of taps counts as zero where it vanishes but for rounding. A NaN passes: it shows in the result.
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
        raise SingularAnchorError(f"{name} must be invertible, but channel {channel} has 0 there; {advice}")
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
            f"{name} must be invertible in every group, but that of group {int(singular.nonzero()[0])} has dependent "
            f"rows; {advice}"
        )


def _is_integer(value: object) -> bool:
    return isinstance(value, (int, torch.SymInt)) and not isinstance(value, bool)


def is_autocast(image: torch.Tensor) -> bool:
    """Say whether autocast is at work on an image's device, which brings the operands to one dtype by itself."""
    device = image.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
