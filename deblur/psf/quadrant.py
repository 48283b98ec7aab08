"""When a blur is itself a masked convolution: all its taps on one side, in one quadrant from the origin tap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deblur.psf.array import origin

__all__ = ["OPPOSITE", "MaskedForm", "masked_form"]

Array = NDArray[np.float64]

OPPOSITE = {
    "top_left": "bottom_right",
    "top_right": "bottom_left",
    "bottom_left": "top_right",
    "bottom_right": "top_left",
}
"""The corners a masked convolution may read towards, each with the one across."""


@dataclass(frozen=True)
class MaskedForm:
    """A blur written as `deblur.ops.masked_conv2d`.

    Attributes:
        orientation: the corner the masked convolution reads towards.
        weight: (r, s), `weight[a, b]` multiplies the pixel a rows and b columns away towards that corner;
            `weight[0, 0]` is the kernel's origin tap, the anchor.
    """

    orientation: str
    weight: Array


def masked_form(kernel: Array) -> MaskedForm | None:
    """The kernel (kh, kw) as a masked convolution anchored at its origin tap, or None where it is none.

    A tap d = (rows, columns) from the origin reads the pixel p - d: taps to the right and below read towards the top
    left. A kernel that has its origin tap zero, or light on two opposite sides of it, has no such form.

    Example:
        >>> form = masked_form(np.array([[0.0, 0.0, 0.75, 0.25, 0.0]]))
        >>> form.orientation, form.weight
        ('top_left', array([[0.75, 0.25]]))
        >>> masked_form(np.array([[0.25, 0.5, 0.25]])) is None
        True
    """
    centre = origin(kernel.shape)
    if kernel[centre] == 0:
        return None
    taps = np.argwhere(kernel != 0) - centre
    vertical, horizontal = (_side(taps[:, axis]) for axis in (0, 1))
    if vertical is None or horizontal is None:
        return None
    rows, columns = np.abs(taps).max(axis=0) + 1
    weight = kernel[centre[0] :: vertical, centre[1] :: horizontal][:rows, :columns]
    names = {1: "top", -1: "bottom"}[vertical], {1: "left", -1: "right"}[horizontal]
    return MaskedForm("_".join(names), np.ascontiguousarray(weight))


def _side(distances: NDArray[np.int_]) -> int | None:
    """1 where no tap lies before the origin along this axis, -1 where none lies behind it, None where both do."""
    if (distances >= 0).all():
        return 1
    return -1 if (distances <= 0).all() else None
