"""Where in a large picture to look: the part with most texture that can be believed."""

from __future__ import annotations

import torch
from torch import Tensor

from deblur.estimation.base import Region

__all__ = ["best_textured"]


def best_textured(frame: Tensor, mask: Tensor | None, side: int) -> Region:
    """The rectangle (x, y, width, height) of at most side x side pixels whose differences have the most energy.

    A few strong edges must not decide alone, so a difference counts with the power 1/2, and one next to a pixel that is
    not believed does not count.

    Args:
        frame: (C, H, W).
        mask: 1 where a pixel is believed, broadcasting to the frame, or None.
        side: pixels a side at most.

    Example:
        >>> frame = torch.zeros(1, 64, 64)
        >>> frame[0, 40:60, 30:50] = torch.rand(20, 20, generator=torch.Generator().manual_seed(0))
        >>> x, y, width, height = best_textured(frame, None, 32)
        >>> x <= 30 and x + width >= 50 and y <= 40 and y + height >= 60
        True
    """
    height, width = frame.shape[-2:]
    rows, columns = min(height, side), min(width, side)
    if (rows, columns) == (height, width):
        return 0, 0, width, height
    gray = frame.float().mean(0)
    energy = torch.zeros(height, width)
    energy[:, 1:] += gray.diff(dim=1).abs()
    energy[1:] += gray.diff(dim=0).abs()
    energy = energy.sqrt_()
    if mask is not None:
        unseen = 1 - mask.float().expand_as(frame).amin(0)
        energy *= 1 - torch.nn.functional.max_pool2d(unseen[None, None], 5, stride=1, padding=2)[0, 0]
    sums = torch.nn.functional.pad(energy.double().cumsum(0).cumsum(1), (1, 0, 1, 0))
    boxes = sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns] + sums[:-rows, :-columns]
    top, left = divmod(int(boxes.argmax()), boxes.shape[1])
    return left, top, columns, rows
