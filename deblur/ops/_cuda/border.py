"""A repeated edge on CUDA devices: torch's own operations around the kernels, which know zeros beyond a frame only.

Repeating the edge is the sum of a shift and of what stays: an image that is constant along an axis stays as it is, and
one that vanishes on the first row moves as it does with zeros beyond. So with

    x[i, j] = c + u[i] + v[j] + r[i, j]         c the corner, u, v, r zero on the first row and column

the four parts are four independent problems with zeros beyond them, of the taps added up as in `blocks`, and so is the
inverse: two passes over the image and four solves. For the adjoint the rest is solved first; what it gives to the edge
is a convolution over as many rows and columns as the taps are long.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from deblur.ops import reference
from deblur.ops.blocks import quarters
from deblur.ops.geometry import ORIENTATIONS, Geometry, folded

__all__ = ["solve", "weight_grad"]


def solve(image: Tensor, weight: Tensor, geometry: Geometry, zero_solve: Callable[..., Tensor]) -> Tensor:
    """The x whose masked convolution with a repeated edge is the image, by solves with zeros beyond the frame."""
    zero = geometry._replace(border="zero")
    height, width = image.shape[2:]
    every = quarters(weight, height, width, geometry.orientation)
    corner, column, row, rest = (image[..., block.rows, block.columns] for block in every)

    def solved(index: int, right_side: Tensor) -> Tensor:
        return zero_solve(right_side.contiguous(), every[index].weight.contiguous(), zero)

    x = torch.zeros_like(image)
    x_corner, x_column, x_row, x_rest = (x[..., block.rows, block.columns] for block in every)
    if not geometry.transpose:
        c = solved(0, corner)
        u, v = solved(1, column - corner), solved(2, row - corner)
        r = solved(3, rest - column - row + corner)
        x_corner.copy_(c)
        x_column.copy_(c + u)
        x_row.copy_(c + v)
        x_rest.copy_(c + u + v + r)
        return x

    near, steps = folded(weight, height, width, geometry.dilation)
    down, right = ORIENTATIONS[geometry.orientation]
    rows = _beside_the_edge(height, (near.shape[2] - 1) * steps[0] + 1, down)
    columns = _beside_the_edge(width, (near.shape[3] - 1) * steps[1] + 1, right)

    def given(part: Tensor) -> Tensor:
        return reference.conv(part.contiguous(), weight, geometry)

    x_rest.copy_(solved(3, rest))
    edge_column, edge_row = (slice(-1, None) if far else slice(0, 1) for far in (right, down))
    x_column.copy_(solved(1, column - given(x[..., columns])[..., every[1].rows, edge_column]))
    x_row.copy_(solved(2, row - given(x[..., rows, :])[..., edge_row, every[2].columns]))
    x_corner.copy_(solved(0, corner - given(x[..., rows, columns])[..., edge_row, edge_column]))
    return x


def _beside_the_edge(size: int, count: int, from_the_end: bool) -> slice:
    return slice(max(size - count, 0), size) if from_the_end else slice(0, min(count, size))


def weight_grad(
    grad: Tensor,
    image: Tensor,
    kernel_size: tuple[int, int],
    geometry: Geometry,
    zero_weight_grad: Callable[..., Tensor],
) -> Tensor:
    """The gradient with a repeated edge: that of the extended image, where no gradient arrives beyond the frame."""
    result = image.new_zeros(image.shape[1], image.shape[1] // geometry.groups, *kernel_size)
    if image.numel() == 0:
        return result
    near, dilation = folded(result, image.shape[2], image.shape[3], geometry.dilation)
    size = (near.shape[2], near.shape[3])
    wide, seen = (
        reference.extend(each, size, geometry.orientation, dilation, border).contiguous()
        for each, border in ((grad, "zero"), (image, "replicate"))
    )
    found = zero_weight_grad(wide, seen, size, geometry._replace(dilation=dilation, border="zero"))
    return F.pad(found, (0, kernel_size[1] - size[1], 0, kernel_size[0] - size[0]), mode="replicate")
