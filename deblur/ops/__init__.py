"""Masked convolutions and their exact inverse, as functions of tensors that keep no state.

Example:
    >>> import torch
    >>> from deblur.ops import masked_conv2d, masked_conv2d_solve
    >>> weight = torch.tensor([[[[1.0, -0.5], [-0.3, 0.1]]]])
    >>> y = torch.ones(1, 1, 4, 4)
    >>> torch.allclose(masked_conv2d(masked_conv2d_solve(y, weight), weight), y)
    True
"""

from __future__ import annotations

from deblur.ops._cuda import warmup
from deblur.ops.masked_conv import log_abs_det, masked_conv2d, masked_conv2d_solve
from deblur.ops.stability import StabilityReport, stability

__all__ = ["StabilityReport", "log_abs_det", "masked_conv2d", "masked_conv2d_solve", "stability", "warmup"]
