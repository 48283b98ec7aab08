"""The specification: masked convolution, its inverse and its weight gradient, written to be read.

    y[o, p] = sum over i, a, b of  weight[o, i, a, b] * x[i, p - (a * dh, b * dw)]

for the orientation top_left, with x = 0 outside the frame (border "zero"), or x[i, max(p - (a * dh, b * dw), 0)], the
edge repeated (border "replicate"). Every other orientation and the adjoint follow by the identities of `geometry`.

Every kernel of the package must agree with these functions in value and gradient; they serve wherever no kernel does
(a machine without a compiler, a device without native code). They are plain PyTorch, run on any device, and can be
differentiated by plain autograd, without the formulas that the registered operations use.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch.nn.grad import conv2d_weight

from deblur.ops.blocks import blocks
from deblur.ops.geometry import ORIENTATIONS, Geometry, adjoint, anchors, flip, folded, opposite, reachable

__all__ = ["conv", "dense_matrix", "extend", "solve", "weight_grad"]


def dense_matrix(weight: torch.Tensor, height: int, width: int, geometry: Geometry) -> torch.Tensor:
    """Write the masked convolution out as a matrix (C*H*W, C*H*W) acting on x.flatten(1): the definition itself.

    For small frames only. In raster order over pixels the matrix of top_left is block lower-triangular.
    """
    size, groups, dilation = weight.shape[1], geometry.groups, geometry.dilation
    pixels = torch.arange(height * width, device=weight.device).view(height, width)
    pixels = flip(pixels, geometry.orientation)
    matrix = weight.new_zeros(groups, size, height * width, groups, size, height * width)
    grouped = weight.view(groups, size, *weight.shape[1:])
    for a in range(weight.shape[2]):
        for b in range(weight.shape[3]):
            rows = torch.arange(height, device=weight.device)[:, None] - a * dilation[0]
            columns = torch.arange(width, device=weight.device) - b * dilation[1]
            reads = torch.ones_like(pixels, dtype=torch.bool)
            if geometry.border == "zero":
                reads = (rows >= 0) & (columns >= 0)
            p, q = pixels[reads], pixels[rows.clamp(0), columns.clamp(0)][reads]  # y[p] reads x[q]
            for g in range(groups):
                matrix[g, :, p, g, :, q] += grouped[g, :, :, a, b]  # the indexed axes come first: (pixels, out, in)
    matrix = matrix.flatten(3).flatten(0, 2)
    return matrix.T if geometry.transpose else matrix


def conv(image: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Return the masked convolution of an image (B, C, H, W) with weight (C, C // groups, kh, kw), or its adjoint.

    With a repeated edge the convolution is that of the extended image, and so the adjoint adds up, in every pixel of
    the edge, what the adjoint on the extended frame leaves in the pixels that repeat it.
    """
    height, width = image.shape[2:]
    orientation, transpose, groups, dilation, border = geometry
    if border == "replicate" and image.numel():
        weight, dilation = folded(weight, height, width, dilation)
        if transpose:
            extended = extend(image, weight.shape[2:], orientation, dilation)
            result = conv(extended, weight, geometry._replace(dilation=dilation, border="zero"))
            return _fold(result, height, width, orientation)
    elif transpose:
        weight, orientation = adjoint(weight, orientation, groups)
    if image.numel() == 0:
        return torch.zeros_like(image, memory_format=torch.contiguous_format)
    if border == "zero":
        weight = reachable(weight, height, width, dilation)
    with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, deterministic=True, allow_tf32=False):
        return F.conv2d(
            extend(image, weight.shape[2:], orientation, dilation, border),
            _as_correlation(weight, orientation),
            groups=groups,
            dilation=dilation,
        )


def solve(image: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Solve conv(x, weight) = image for x (B, C, H, W): block after block (see `blocks`), each by the wavefront.

    With a repeated edge the blocks' matrix is triangular, that of the adjoint from the other end: what the solved
    blocks give to the next one moves to its right-hand side, and it is then a problem with zeros beyond its pixels.
    """
    x = torch.zeros_like(image, memory_format=torch.contiguous_format)
    if image.numel() == 0:
        return x
    height, width = image.shape[2:]
    order = -1 if geometry.transpose else 1
    for block in blocks(weight, height, width, geometry.orientation, geometry.border)[::order]:
        rows, columns = block.rows, block.columns
        rest = image - conv(x, weight, geometry) if block.pixels < height * width else image
        solved = _wavefront(rest[..., rows, columns], block.weight, geometry)
        x = x + F.pad(solved, (columns.start, width - columns.stop, rows.start, height - rows.stop))
    return x


def _wavefront(image: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Solve conv(x, weight) = image with zeros beyond the frame, by substitution along anti-diagonals.

    With the anchor D (invertible, per group) and everything else multiplied by its inverse once,

        x[p] = D^-1 image[p]  -  sum over taps (a, b) other than (0, 0) of  D^-1 weight[a, b] x[p - (a * dh, b * dw)]

    and the pixels of one anti-diagonal i + j = t read only those of earlier ones: H + W - 1 dependent steps.
    """
    orientation, transpose, groups, dilation, _ = geometry
    if transpose:
        weight, orientation = adjoint(weight, orientation, groups)
    height, width = image.shape[2:]
    weight = reachable(weight, height, width, dilation)
    size, kh, kw = weight.shape[1:]

    inverse = torch.linalg.inv_ex(anchors(weight, groups)).inverse
    right_side = inverse @ flip(image, orientation).reshape(-1, groups, size, height * width)
    right_side = right_side.unflatten(-1, (height, width))
    taps = inverse @ weight.reshape(groups, size, size * kh * kw)
    taps = taps.view(groups, size, size, kh * kw)[..., 1:].flatten(2)  # all but the anchor

    a, b = torch.meshgrid(torch.arange(kh), torch.arange(kw), indexing="ij")
    up = (a.flatten()[1:, None] * dilation[0]).to(image.device)
    left = (b.flatten()[1:, None] * dilation[1]).to(image.device)
    top, side = (kh - 1) * dilation[0], (kw - 1) * dilation[1]
    x = F.pad(torch.zeros_like(right_side), (side, 0, top, 0))
    for t in range(height + width - 1):
        i = torch.arange(max(0, t - width + 1), min(height, t + 1), device=image.device)
        j = t - i
        earlier = x[..., top + i - up, side + j - left]  # (B, groups, size, taps, pixels of the anti-diagonal)
        x[..., top + i, side + j] = right_side[..., i, j] - taps @ earlier.flatten(2, 3)
    return flip(x[..., top:, side:].flatten(1, 2), orientation).contiguous()


def weight_grad(
    grad: torch.Tensor, image: torch.Tensor, kernel_size: tuple[int, int], geometry: Geometry
) -> torch.Tensor:
    """Return d<grad, conv(image, weight)> / dweight, of shape (C, C // groups, kh, kw).

        result[o, i, a, b] = sum over batch and pixels of  grad[o, p] * image[i, p - (a * dh, b * dw)]

    which does not depend on the weight. As <g, A^T x> = <x, A g>, the adjoint's is the same with grad and image
    exchanged.
    """
    orientation, transpose, groups, dilation, border = geometry
    if transpose:
        grad, image = image, grad
    channels, height, width = image.shape[1:]
    result = image.new_zeros(channels, channels // groups, *kernel_size)
    if image.numel() == 0:
        return result
    if border == "zero":
        seen = reachable(result, height, width, dilation)
    else:
        seen, dilation = folded(result, height, width, dilation)
    with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, deterministic=True, allow_tf32=False):
        correlation: torch.Tensor = conv2d_weight(  # type: ignore[no-untyped-call]
            extend(image, seen.shape[2:], orientation, dilation, border),
            list(seen.shape),
            grad.contiguous(),
            groups=groups,
            dilation=dilation,
        )
    filled = _as_correlation(correlation, orientation)
    unseen = (0, kernel_size[1] - filled.shape[3], 0, kernel_size[0] - filled.shape[2])
    return F.pad(filled, unseen) if border == "zero" else F.pad(filled, unseen, mode="replicate")


def extend(
    image: torch.Tensor,
    kernel_size: tuple[int, ...] | torch.Size,
    orientation: str,
    dilation: tuple[int, int],
    border: str = "zero",
) -> torch.Tensor:
    """Add what the taps read beyond the frame, on the side they look toward."""
    rows, columns = (kernel_size[0] - 1) * dilation[0], (kernel_size[1] - 1) * dilation[1]
    down, right = ORIENTATIONS[orientation]
    sides = (0, columns) * right + (columns, 0) * (not right) + (0, rows) * down + (rows, 0) * (not down)
    return F.pad(image, sides) if border == "zero" else F.pad(image, sides, mode="replicate")


def _fold(extended: torch.Tensor, height: int, width: int, orientation: str) -> torch.Tensor:
    """Add the pixels beyond the frame to those of the edge that they repeat: the adjoint of repeating it."""
    extended = flip(extended, orientation)
    for axis, size in ((2, height), (3, width)):
        beyond = extended.shape[axis] - size
        edge = extended.narrow(axis, 0, beyond + 1).sum(axis, keepdim=True)
        extended = torch.cat((edge, extended.narrow(axis, beyond + 1, size - 1)), axis)
    return flip(extended, orientation).contiguous()


def _as_correlation(weight: torch.Tensor, orientation: str) -> torch.Tensor:
    """Reorder the taps as torch's conv2d, a correlation over a window read top-left first, wants them; an involution.

    Looking up and left, the tap farthest away comes first, so both axes turn round; looking down and right, none.
    """
    return flip(weight, opposite(orientation))
