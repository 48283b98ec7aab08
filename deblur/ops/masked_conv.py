"""The masked convolution and its exact inverse: what the whole package stands on.

    y[o, p] = sum over i, a >= 0, b >= 0 of  weight[o, i, a, b] * x[i, p - (a * dh, b * dw)]

with x = 0 outside the frame (border "zero"), or the edge repeated there (border "replicate"). In raster order over
pixels this is a block lower-triangular system with the anchor D = weight[:, :, 0, 0] on its diagonal (with a repeated
edge, sums of taps on the first row and column: see `blocks`). So it is invertible exactly where D is, its
log-determinant is H * W * log|det D|, and it is solved by substitution along anti-diagonals, whose pixels do not depend
on each other: H + W - 1 steps.
"""

from __future__ import annotations

import torch

from deblur.ops import _autograd, _checks, geometry
from deblur.ops.blocks import blocks
from deblur.ops.geometry import Geometry

__all__ = ["log_abs_det", "masked_conv2d", "masked_conv2d_solve"]


def masked_conv2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    *,
    orientation: str = "top_left",
    transpose: bool = False,
    groups: int = 1,
    dilation: int | tuple[int, int] = 1,
    border: str = "zero",
) -> torch.Tensor:
    """Convolve with taps that look toward one corner only; the output has the input's size.

    The order is that of a convolution: `weight[o, i, a, b]` multiplies the pixel `a * dilation` rows and `b * dilation`
    columns away toward the orientation's corner (top_left: above and to the left).

    Args:
        x: The image (B, C, H, W): float32 or float64; float16 and bfloat16 are computed in float32. B may be 0.
        weight: The taps (C, C // groups, kh, kw), of x's dtype; its anchor `weight[:, :, 0, 0]` belongs to the pixel
            itself. Any size, larger than the image too.
        orientation: The corner the taps look toward: top_left, top_right, bottom_left or bottom_right.
        transpose: Apply the adjoint (the transposed matrix) instead.
        groups: From 1 to C, as in `torch.nn.functional.conv2d`; C is the depthwise case, one weight a channel.
        dilation: Distance between taps in pixels, or a pair (rows, columns).
        border: What the taps read beyond the frame: "zero", or "replicate", the edge repeated: for top_left, tap (a, b)
            of pixel (i, j) reads x[max(i - a * dilation, 0), max(j - b * dilation, 0)].

    Returns:
        y (B, C, H, W), contiguous. Differentiable in x and weight to any order.

    Raises:
        ShapeError, DtypeError, OptionError: An argument that does not fit; the message says what would.

    Example:
        >>> import torch
        >>> x = torch.tensor([[[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]])
        >>> weight = torch.tensor([[[[2.0, 0.5], [0.25, 0.0]]]])
        >>> masked_conv2d(x, weight)[0, 0]  # a point draws the weight
        tensor([[2.0000, 0.5000, 0.0000],
                [0.2500, 0.0000, 0.0000]])
        >>> masked_conv2d(torch.ones(1, 1, 2, 3), weight, border="replicate")[0, 0]  # a flat image stays flat
        tensor([[2.7500, 2.7500, 2.7500],
                [2.7500, 2.7500, 2.7500]])
    """
    _checks.check_weight(weight, groups)
    _checks.check_image("x", x, weight)
    _checks.check_orientation(orientation)
    _checks.check_border(border)
    return _autograd.conv(x, weight, Geometry(orientation, transpose, groups, _checks.pair(dilation), border))


def masked_conv2d_solve(
    y: torch.Tensor,
    weight: torch.Tensor,
    *,
    orientation: str = "top_left",
    transpose: bool = False,
    groups: int = 1,
    dilation: int | tuple[int, int] = 1,
    method: str = "wavefront",
    border: str = "zero",
) -> torch.Tensor:
    """Return the x with `masked_conv2d(x, weight, ...) == y`: the exact inverse, for the same options.

    Exact on paper for every invertible anchor; in floating point it is as good as the inverse is stable. Ask
    `stability` before trusting it with a weight you did not make: a 5 x 5 gaussian anchored in its corner amplifies
    rounding by 4e11 on 16 pixels.

    The gradient is one transposed solve, lambda = A^-T g, which is dL/dy, and one correlation,
    dL/dweight = -sum of lambda[o, p] x[i, p - (a, b)]; nothing is stored beyond x. (Inverse-Flow, arXiv:2410.14634,
    has the idea, with its theorem transposed as printed.)

    Args:
        y: The image (B, C, H, W), as in `masked_conv2d`.
        weight: The taps (C, C // groups, kh, kw). The anchor `weight[:, :, 0, 0]`, a matrix per group, must be
            invertible; it is inverted once, outside the recursion. With border "replicate" so must be the sums of taps
            that fold onto one pixel: weight[:, :, :, 0].sum(2) on the first row, weight[:, :, 0].sum(2) on the first
            column and weight.sum((2, 3)) in the corner, as far as the frame has such pixels.
        orientation: As in `masked_conv2d`.
        transpose: Solve with the adjoint: `masked_conv2d(x, weight, transpose=True) == y`.
        groups: As in `masked_conv2d`.
        dilation: As in `masked_conv2d`.
        method: "wavefront", substitution; or "jacobi", fixed-point sweeps with a residual test (see `ops.jacobi`), and
            the wavefront after all where the test fails. Sweeps are slower wherever there are native kernels; where
            there are none, they can be quicker if the taps beside the anchor are small (benchmarks/jacobi.py).
        border: As in `masked_conv2d`.

    Returns:
        x (B, C, H, W), contiguous. Differentiable in y and weight to any order. Bit-identical from run to run and for
        any number of threads with the wavefront.

    Raises:
        SingularAnchorError: An anchor of some group has no inverse; the message says which.
        ShapeError, DtypeError, OptionError: An argument that does not fit; the message says what would.

    Example:
        >>> import torch
        >>> x = torch.rand(1, 3, 8, 8)
        >>> weight = torch.tensor([[1.0, 0.4], [0.3, 0.1]]).expand(3, 1, 2, 2)
        >>> y = masked_conv2d(x, weight, orientation="bottom_right", groups=3)
        >>> back = masked_conv2d_solve(y, weight, orientation="bottom_right", groups=3)
        >>> torch.allclose(back, x, atol=1e-6)
        True
    """
    _checks.check_weight(weight, groups)
    _checks.check_image("y", y, weight)
    _checks.check_orientation(orientation)
    _checks.check_border(border)
    _checks.check_method(method)
    return _autograd.solve(y, weight, Geometry(orientation, transpose, groups, _checks.pair(dilation), border), method)


def log_abs_det(weight: torch.Tensor, H: int, W: int, groups: int = 1, border: str = "zero") -> torch.Tensor:
    """Return log|det| of the masked convolution on an H x W frame: H * W * the sum over groups of log|det D|.

    With border "replicate", D = weight[:, :, 0, 0] counts for (H - 1) * (W - 1) pixels, the sum of weight[:, :, 0] for
    the H - 1 others of the first column, that of weight[:, :, :, 0] for the W - 1 others of the first row, and the sum
    of all taps for the corner. It depends on these anchors alone, so it is the same for every orientation, dilation and
    for the adjoint; that of the inverse is its negative.

    Args:
        weight: The taps (C, C // groups, kh, kw); float16 and bfloat16 are computed in float32.
        H: Rows of the frame.
        W: Columns of the frame.
        groups: As in `masked_conv2d`.
        border: As in `masked_conv2d`.

    Returns:
        A scalar tensor (natural logarithm), differentiable in the anchors; -inf where one is singular.

    Raises:
        ShapeError, DtypeError, OptionError: An argument that does not fit; the message says what would.

    Example:
        >>> import torch
        >>> log_abs_det(torch.tensor([[[[0.5, 3.0]]]]), 4, 4)  # 16 log(1/2)
        tensor(-11.0904)
        >>> log_abs_det(torch.tensor([[[[0.5, 1.5]]]]), 4, 4, border="replicate")  # 4 log 2 + 12 log(1/2)
        tensor(-5.5452)
    """
    _checks.check_weight(weight, groups)
    _checks.check_frame(H, W)
    _checks.check_border(border)
    wide = weight.float() if weight.dtype in (torch.float16, torch.bfloat16) else weight
    each = (
        block.pixels * torch.linalg.slogdet(geometry.anchors(block.weight, groups)).logabsdet.sum()
        for block in blocks(wide, H, W, "top_left", border)
    )
    total: torch.Tensor = sum(each, wide.new_zeros(()))
    return total
