"""The picture of `deblur fit --report`: kernel, blurred, restored and residual, side by side."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deblur import psf
from deblur.images import Frame
from deblur.psf.operator import Blur
from deblur.transfer import TRANSFERS

__all__ = ["panels"]

_GAP = 4  # pixels between two panels
_LARGEST = 640  # pixels that the longer side of a panel has at most
_GAIN = 8.0  # of the residual, on middle gray


def panels(blurred: Frame, restored: Tensor, kernel: NDArray[np.float64], *, linear: bool = False) -> Frame:
    """One 8-bit picture of four panels of one height.

    The residual is the restored picture, blurred again, less the blurred one, eight times as strong on middle gray:
    what the kernel and the restoration do not explain.

    Args:
        blurred: the frame, C = 1 or 3.
        restored: (C, H, W), in stored values.
        kernel: (kh, kw).
        linear: whether stored values are light.
    """
    curve = TRANSFERS["linear"] if linear else blurred.transfer
    light = curve.decode(restored.clamp(0, 1))
    operator = Blur(kernel, (blurred.height, blurred.width), "replicate")
    again = curve.encode(operator(light.float()))
    residual = 0.5 + _GAIN * (again - blurred.pixels)
    parts = [_small(part.clamp(0, 1)) for part in (blurred.pixels, restored, residual)]
    height = parts[0].shape[1]
    drawn = torch.from_numpy(psf.draw(kernel, size=max(1, height // 2))).float() / 255
    drawn = drawn[:height, : 2 * parts[0].shape[2]]
    square = torch.zeros(len(blurred.pixels), height, max(drawn.shape[1], height // 2))
    top, left = (height - drawn.shape[0]) // 2, (square.shape[2] - drawn.shape[1]) // 2
    square[:, top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    gap = torch.ones(len(square), height, _GAP)
    return Frame(pixels=torch.cat([square, gap, parts[0], gap, parts[1], gap, parts[2]], dim=2))


def _small(image: Tensor) -> Tensor:
    factor = -(-max(image.shape[1:]) // _LARGEST)
    if factor == 1:
        return image
    shrunk: Tensor = torch.nn.functional.avg_pool2d(image[None], factor)[0]
    return shrunk
