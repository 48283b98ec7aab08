"""The invertible 1 x 1 convolution: a learned matrix that mixes the channels of every pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from deblur.layers.transform import Transform
from deblur.layers.triangular import LUMatrix

__all__ = ["InvertibleConv1x1"]


class InvertibleConv1x1(Transform):
    """z[p] = P L U x[p] with P a fixed permutation, L unit lower- and U upper-triangular, both learned.

    log_det = H W sum of log|diagonal of U|. It starts as a random rotation, factored. P is a buffer, so a checkpoint
    has it.

    Args:
        channels: C.
        context_features: K of the context, to which the logarithms of U's diagonal are linear.

    Reference: Kingma and Dhariwal, "Glow", arXiv:1807.03039, section 3.2.

    Example:
        >>> import torch
        >>> layer = InvertibleConv1x1(4)
        >>> x = torch.randn(1, 4, 5, 5)
        >>> z, log_det = layer(x)
        >>> torch.allclose(z.norm(), x.norm()), torch.allclose(log_det, torch.zeros(1), atol=1e-4)
        (True, True)
    """

    permutation: Tensor

    def __init__(self, channels: int, *, context_features: int = 0) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(channels, channels)).Q
        permutation, lower, upper = torch.linalg.lu(rotation)
        self.matrix = LUMatrix(channels, context_features, start=lower.tril(-1) + upper)
        self.register_buffer("permutation", permutation.argmax(1))  # row i of P L U is row permutation[i] of L U

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return P L U x and its log-determinant."""
        matrix, log_abs_det = self.matrix(context)
        z = (matrix[:, self.permutation] @ x.flatten(2)).view_as(x)
        return z, (x.shape[2] * x.shape[3] * log_abs_det).expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return U^-1 L^-1 P^T z, by two triangular solves."""
        lower, upper = self.matrix.factors(context)
        columns = z.flatten(2)[:, self.permutation.argsort()]
        columns = torch.linalg.solve_triangular(lower, columns, upper=False, unitriangular=True)
        x: Tensor = torch.linalg.solve_triangular(upper, columns, upper=True)
        return x.view_as(z)
