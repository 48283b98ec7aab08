"""Orientations, adjoints and anchors: how every masked convolution is a top-left one seen from another side.

Two identities carry the whole package. With A(w, o) the masked convolution of weight w and orientation o:

    A(w, o)   = flip_o . A(w, top_left) . flip_o            an orientation is a flip of the image, never of the weight
    A(w, o)^T = A(w^T, opposite o)                          w^T: output and input channels of each group exchanged

The second holds because  <z, A x> = sum_p,a z[p] w[a] x[p - a] = sum_p,a (z[p + a] w[a]) x[p] = <A^T z, x>.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

__all__ = ["BORDERS", "ORIENTATIONS", "Geometry", "adjoint", "anchors", "flip", "folded", "opposite", "reachable"]

#: Name of the corner the taps look toward -> (flipped vertically, flipped horizontally) with respect to top_left.
ORIENTATIONS: dict[str, tuple[bool, bool]] = {
    "top_left": (False, False),
    "top_right": (False, True),
    "bottom_left": (True, False),
    "bottom_right": (True, True),
}

#: What lies outside the frame toward the corner: zeros, or the edge repeated.
BORDERS = ("zero", "replicate")

_NAMES = {flips: name for name, flips in ORIENTATIONS.items()}


class Geometry(NamedTuple):
    """What the taps of a masked convolution read: all its options, checked, in the order of torch's schemas."""

    orientation: str = "top_left"
    transpose: bool = False
    groups: int = 1
    dilation: tuple[int, int] = (1, 1)
    border: str = "zero"

    @property
    def adjoint(self) -> Geometry:
        """The geometry of the adjoint."""
        orientation, transpose, groups, dilation, border = self
        return Geometry(orientation, not transpose, groups, dilation, border)


def opposite(orientation: str) -> str:
    """Name the corner across the diagonal: where the adjoint looks."""
    vertical, horizontal = ORIENTATIONS[orientation]
    return _NAMES[not vertical, not horizontal]


def flip(image: torch.Tensor, orientation: str) -> torch.Tensor:
    """Turn the frame (..., H, W) so that `orientation` becomes top_left; its own inverse."""
    vertical, horizontal = ORIENTATIONS[orientation]
    axes = [axis for axis, flipped in ((-2, vertical), (-1, horizontal)) if flipped]
    return image.flip(axes) if axes else image


def adjoint(weight: torch.Tensor, orientation: str, groups: int) -> tuple[torch.Tensor, str]:
    """Return the weight and the orientation whose masked convolution is the adjoint of the one given."""
    grouped = weight.view(groups, weight.shape[1], *weight.shape[1:])
    return grouped.transpose(1, 2).flatten(0, 1), opposite(orientation)


def anchors(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """Return the anchor matrices D (groups, C // groups, C // groups): the taps at the pixel itself."""
    return weight[:, :, 0, 0].view(groups, weight.shape[1], weight.shape[1])


def reachable(weight: torch.Tensor, height: int, width: int, dilation: tuple[int, int]) -> torch.Tensor:
    """Drop the taps that only ever read outside an image of this size; the anchor stays."""
    rows = max(height - 1, 0) // dilation[0] + 1
    columns = max(width - 1, 0) // dilation[1] + 1
    return weight[:, :, :rows, :columns]


def folded(
    weight: torch.Tensor, height: int, width: int, dilation: tuple[int, int]
) -> tuple[torch.Tensor, tuple[int, int]]:
    """Return weight and dilation with the taps that only ever read a repeated edge added up; the anchor stays.

    Along an axis of n pixels every tap at least n - 1 pixels away reads the edge, whatever the pixel: one tap for all.
    """
    steps = min(dilation[0], max(height - 1, 1)), min(dilation[1], max(width - 1, 1))
    for axis, size, step in ((2, height, steps[0]), (3, width, steps[1])):
        count = -(-max(size - 1, 0) // step) + 1
        if weight.shape[axis] > count:
            near = weight.narrow(axis, 0, count - 1)
            far = weight.narrow(axis, count - 1, weight.shape[axis] - count + 1).sum(axis, keepdim=True)
            weight = torch.cat((near, far), axis)
    return weight, steps
