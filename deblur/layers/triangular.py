"""Square matrices that no optimizer can make singular: products of triangular ones, read from free parameters.

    LU              A = L (diag(sign * exp(d)) + U)    log|det A| = sum of d
    unit triangle   A = I + strictly lower part        log|det A| = 0

L and U are strictly triangular but for L's ones, so whatever values the parameters take, A has an inverse.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deblur.layers.transform import Conditioning

__all__ = ["LUMatrix", "UnitTriangle"]


class LUMatrix(nn.Module):
    """A learned n x n matrix by its factors, packed into one parameter as LAPACK does: L below, d on, U above.

    Args:
        n: Rows and columns.
        context_features: K of the context, to which d is linear.
        start: The product L U to start from, packed, with U's own diagonal (which must not be 0); the identity without.
    """

    sign: Tensor

    def __init__(self, n: int, context_features: int = 0, start: Tensor | None = None) -> None:
        super().__init__()
        packed = torch.eye(n) if start is None else start
        diagonal = packed.diagonal()
        self.packed = nn.Parameter(packed - torch.diag(diagonal) + torch.diag(diagonal.abs().log()))
        self.conditioning = Conditioning(context_features, n)
        self.register_buffer("sign", diagonal.sign())

    def forward(self, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the matrices (B, n, n) and log|det| (B,); B is 1 without context features."""
        lower, upper = self.factors(context)
        return lower @ upper, self.log_abs_det(context)

    def factors(self, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return L (n, n) with ones on its diagonal, and U (B, n, n)."""
        eye = torch.eye(len(self.packed), dtype=self.packed.dtype, device=self.packed.device)
        scale = self.sign * self._log_scale(context).exp()
        return self.packed.tril(-1) + eye, self.packed.triu(1) + torch.diag_embed(scale)

    def log_abs_det(self, context: Tensor | None = None) -> Tensor:
        """Return log|det| (B,)."""
        return self._log_scale(context).sum(1)

    def _log_scale(self, context: Tensor | None) -> Tensor:
        shift: Tensor = self.conditioning(context, self.packed)
        return self.packed.diagonal() + shift


class UnitTriangle(nn.Module):
    """A lower-triangular n x n matrix with ones on its diagonal, the identity at first; it takes no context."""

    places: Tensor
    identity: Tensor

    def __init__(self, n: int) -> None:
        super().__init__()
        places = [row * n + column for row in range(n) for column in range(row)]
        self.below = nn.Parameter(torch.zeros(len(places))) if places else None
        self.register_buffer("places", torch.tensor(places, dtype=torch.long), persistent=False)
        self.register_buffer("identity", torch.eye(n), persistent=False)

    def forward(self, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the matrix (1, n, n) and its log|det| (1,), which is 0."""
        matrix = self.identity.flatten()
        if self.below is not None:
            matrix = matrix.index_copy(0, self.places, self.below)
        return matrix.view(1, *self.identity.shape), matrix.new_zeros(1)
