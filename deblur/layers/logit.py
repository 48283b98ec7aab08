"""The logit: pixels in [0, 1] to the whole line, so that a flow never gives light that no pixel can hold."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from deblur.errors import OptionError
from deblur.layers.transform import Transform

__all__ = ["Logit"]


class Logit(Transform):
    """z = log(u / (1 - u)) with u = alpha + (1 - 2 alpha) x: finite on all of [0, 1].

    Args:
        alpha: Share of the unit interval kept free at each end, in (0, .5). 1e-6 is FInC Flow's; .05 is usual too and
            kinder to black and white pixels.

    Raises:
        OptionError: alpha outside its range.

    Reference: Dinh et al., "Density estimation using Real NVP", arXiv:1605.08803, section 4.1.

    Example:
        >>> import torch
        >>> z, log_det = Logit(0.05)(torch.tensor([[[[0.0, 0.5, 1.0]]]]))
        >>> z
        tensor([[[[-2.9444,  0.0000,  2.9444]]]])
    """

    def __init__(self, alpha: float = 1e-6) -> None:
        super().__init__()
        if not 0 < alpha < 0.5:
            raise OptionError(f"expected alpha between 0 and 0.5, got {alpha}; 1e-6 and 0.05 are usual")
        self.alpha = alpha

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the logits, and the sum of log((1 - 2 alpha) / (u (1 - u)))."""
        u = self.alpha + (1 - 2 * self.alpha) * x
        z = u.log() - torch.log1p(-u)
        # 1 / (u (1 - u)) = (1 + e^z) (1 + e^-z)
        return z, (F.softplus(z) + F.softplus(-z) + math.log1p(-2 * self.alpha)).sum((1, 2, 3))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return x; for logits beyond those of [0, 1], a little outside of it."""
        return (torch.sigmoid(z) - self.alpha) / (1 - 2 * self.alpha)
