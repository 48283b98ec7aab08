"""The pictures that commands draw: before and after side by side (`--compare`), and the report of an estimation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from deblur import psf
from deblur.images import Frame
from deblur.psf import Kernel
from deblur.psf.operator import Blur
from deblur.transfer import TRANSFERS, Transfer

__all__ = ["panels", "side_by_side"]

_GAP = 4  # pixels between two pictures
_LARGEST = 640  # pixels that the longer side of a panel has at most
_GAIN = 8.0  # of the residual, on middle gray


def side_by_side(before: Frame, restored: Frame, kernel: Kernel | None) -> Frame:
    """One 8-bit picture of both, on white where they are transparent, the kernel inset at the bottom left.

    Args:
        before, restored: frames of one size; of data channels beside gray or colours nothing is drawn.
        kernel: (kh, kw) or (C, kh, kw); None for no inset.

    Returns:
        frame (3, H, 2 W + 4) where the pictures or the kernel's channels are coloured, else (1, H, 2 W + 4).
    """
    left, right = _opaque(before), _opaque(restored)
    if kernel is not None:
        left = _inset(left.clone(), kernel)
    gap = torch.ones(left.shape[0], left.shape[1], _GAP)
    return Frame(pixels=torch.cat((left, gap, right), dim=2))


def _shown(pixels: Tensor) -> Tensor:
    """Gray, or red, green and blue, without the channels that hold other data."""
    return pixels[:3] if len(pixels) > 2 else pixels[:1]


def panels(blurred: Frame, restored: Tensor, kernel: Kernel, *, curve: Transfer | None = None) -> Frame:
    """One 8-bit picture of four panels of one height.

    The residual is the restored picture, blurred again, less the blurred one, eight times as strong on middle gray:
    what the kernel and the restoration do not explain.

    Args:
        blurred: the frame; of data channels nothing is drawn.
        restored: (C, H, W), in stored values.
        kernel: (kh, kw).
        curve: between stored values and light; None for the one that the frame declares, or sRGB.
    """
    curve = curve or blurred.transfer or TRANSFERS["srgb"]
    light = curve.decode(restored.clamp(0, 1))
    operator = Blur(kernel, (blurred.height, blurred.width), "replicate")
    again = curve.encode(operator(light.float()))
    residual = 0.5 + _GAIN * (again - blurred.pixels)
    parts = [_small(_shown(part).clamp(0, 1)) for part in (blurred.pixels, restored, residual)]
    height = parts[0].shape[1]
    drawn = torch.from_numpy(psf.draw(kernel, size=max(1, height // 2))).float() / 255
    drawn = drawn[:height, : 2 * parts[0].shape[2]]
    square = torch.zeros(len(parts[0]), height, max(drawn.shape[1], height // 2))
    top, left = (height - drawn.shape[0]) // 2, (square.shape[2] - drawn.shape[1]) // 2
    square[:, top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    gap = torch.ones(len(square), height, _GAP)
    return Frame(pixels=torch.cat([square, gap, parts[0], gap, parts[1], gap, parts[2]], dim=2))


def _opaque(frame: Frame) -> Tensor:
    pixels = _shown(frame.pixels).clamp(0, 1)
    return pixels if frame.alpha is None else pixels * frame.alpha + (1 - frame.alpha)


def _inset(pixels: Tensor, kernel: Kernel) -> Tensor:
    """Draw the kernel, a quarter of the picture high at most and with a white frame, over the bottom left corner."""
    height, width = pixels.shape[1:]
    drawn = psf.draw(kernel, size=max(min(height, width) // 5, 1))
    inset = torch.from_numpy(np.pad(drawn, 1, constant_values=255).astype(np.float32) / 255)
    rows, columns = inset.shape
    if rows <= height // 2 and columns <= width:
        pixels[:, height - rows :, :columns] = inset
    return pixels


def _small(image: Tensor) -> Tensor:
    factor = -(-max(image.shape[1:]) // _LARGEST)
    if factor == 1:
        return image
    shrunk: Tensor = torch.nn.functional.avg_pool2d(image[None], factor)[0]
    return shrunk
