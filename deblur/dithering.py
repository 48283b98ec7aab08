"""Eight bits for what is smoother than their steps: a fixed pattern of less than half a step before the rounding.

A restored sky is smooth to a fraction of a level; rounded to 255 levels it would show contours that are not in the
scene. The pattern is interleaved gradient noise (Jimenez, "Next generation post processing in Call of Duty", 2014),
whose neighbours differ much, so that the eye averages it. It is a function of a pixel's place in the frame alone: a
region of a picture gets the bytes that the whole would have there.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from deblur.bands import bands

__all__ = ["dithered", "pattern"]

LARGEST = 0.49
"""Steps that a value is moved at most: one that lies on a step stays there."""

SMOOTH, STRUCTURED = 1.0, 2.0
"""Steps within 5 x 5 pixels up to which the pattern is added in full, and from which on it is not."""

EQUAL = 1e-4
"""Steps within which a value equals the stored one."""


def dithered(pixels: Tensor, stored: Tensor, place: tuple[int, int] = (0, 0), step: float = 1 / 255) -> Tensor:
    """The pixels with the pattern where they are smoother than a step and differ from those that were stored.

    Args:
        pixels: (C, H, W), full scale 1, to be rounded to steps.
        stored: (C, H, W), what they were made from: where they equal it they stay as they are.
        place: row and column of the top left pixel in the whole frame.
        step: of the rounding.

    Example:
        >>> slope = torch.linspace(0.5, 0.502, 64).expand(1, 64, 64)  # half a step in all
        >>> levels = (255 * dithered(slope, torch.zeros_like(slope))).round()
        >>> bool((levels[..., :32].mean() - 255 * slope[..., :32].mean()).abs() < 0.02)
        True
        >>> torch.equal(dithered(slope, slope), slope)
        True
    """
    result = pixels.clone()
    kernel, (top, left) = np.ones((5, 5), np.uint8), place
    for channel, (plane, before) in enumerate(zip(result, stored, strict=True)):
        spread = torch.from_numpy(
            cv2.morphologyEx(plane.numpy(), cv2.MORPH_GRADIENT, kernel, borderType=cv2.BORDER_REPLICATE)
        )
        for rows in bands(plane):
            share = spread[rows].div_(step).sub_(STRUCTURED).div_(SMOOTH - STRUCTURED).clamp_(0, 1)
            share.masked_fill_((plane[rows] - before[rows]).abs() <= EQUAL * step, 0)
            noise = pattern(len(share), share.shape[1], (top + rows.start, left), channel).to(plane)
            plane[rows].addcmul_(noise, share, value=2 * LARGEST * step)
    return result


def pattern(height: int, width: int, place: tuple[int, int] = (0, 0), channel: int = 0) -> Tensor:
    """Interleaved gradient noise, (height, width) float64 in [-.5, .5), another one for each channel.

    Args:
        height: rows.
        width: columns.
        place: row and column of the first pixel in the whole frame.
        channel: 0 for gray or red.

    Example:
        >>> torch.equal(pattern(8, 8)[2:, 3:], pattern(6, 5, place=(2, 3)))
        True
    """
    rows = torch.arange(place[0], place[0] + height, dtype=torch.float64)[:, None] + 47 * channel
    columns = torch.arange(place[1], place[1] + width, dtype=torch.float64) + 17 * channel
    return (52.9829189 * (0.06711056 * columns + 0.00583715 * rows).frac()).frac() - 0.5
