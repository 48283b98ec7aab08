"""Fixed-point sweeps in place of the recursion (Song, Meng and Ermon 2021, "Accelerating Feedforward Computation").

With the anchor D (of every pixel its own where the border repeats the edge), D^-1 A = I + N where N only reads earlier
pixels. So

    x <- x + D^-1 (y - A x)

is exact after at most H + W - 1 sweeps (N is nilpotent) and, where the weights are small, good to rounding long
before: 9 sweeps for 12 channels of 32 x 32 with weights of standard deviation .02. Each sweep is one ordinary
convolution over the whole image. Where the weights are not small, x first grows, and rounding then ruins the exact end:
a residual test finds out, and the caller takes the wavefront instead.

The sweeps serve where there is nothing but torch's own operations, of which the wavefront needs many small ones: they
are two to three times quicker there on one channel of 32 x 32 with weights up to .02. Where there are native kernels,
the wavefront is 6 to 100 times quicker than the sweeps (`benchmarks/jacobi.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from deblur.ops.blocks import blocks
from deblur.ops.geometry import Geometry, anchors

__all__ = ["MAX_SWEEPS", "solve"]

#: More sweeps than this cost more than the wavefront.
MAX_SWEEPS = 60

#: An update this many times larger than the first: the sweeps diverge.
_GROWTH = 1e3


def solve(
    image: torch.Tensor,
    weight: torch.Tensor,
    geometry: Geometry,
    *,
    conv: Callable[..., torch.Tensor],
    max_sweeps: int = MAX_SWEEPS,
) -> torch.Tensor | None:
    """Return x with conv(x) = image, or None where the sweeps did not pass the residual test.

    The test: the last update max |D^-1 (image - A x)| is at most 16 eps max |x|. It fails by growth (an update 1000
    times the first), by NaN and infinity, and by running out of sweeps.
    """
    height, width = image.shape[2:]
    inverses = []
    for block in blocks(weight, height, width, geometry.orientation, geometry.border):
        inverse = torch.linalg.inv_ex(anchors(block.weight, geometry.groups)).inverse
        inverses.append((block, inverse.mT if geometry.transpose else inverse))

    def through_anchors(residual: torch.Tensor) -> torch.Tensor:
        result = torch.empty_like(residual)
        for block, inverse in inverses:
            part = residual[..., block.rows, block.columns]
            product = inverse @ part.reshape(len(part), geometry.groups, weight.shape[1], block.pixels)
            result[..., block.rows, block.columns] = product.reshape(part.shape)
        return result

    x = through_anchors(image)
    if image.numel() == 0:
        return x
    tolerance = 16 * torch.finfo(image.dtype).eps
    limit = _GROWTH * float(x.abs().max())
    for _ in range(min(height + width, max_sweeps)):
        update = through_anchors(image - conv(x, weight, geometry))
        x = x + update
        size = float(update.abs().max())
        if not size <= limit:  # NaN compares false: it leaves here too
            return None
        if size <= tolerance * float(x.abs().max()):
            return x
    return None
