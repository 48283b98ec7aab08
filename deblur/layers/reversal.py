"""The channels in reverse order: the fixed permutation between couplings that mix nothing else."""

from __future__ import annotations

from torch import Tensor

from deblur.layers.transform import Transform

__all__ = ["ChannelReversal"]


class ChannelReversal(Transform):
    """z[c] = x[C - 1 - c], its own inverse; log_det is 0.

    Example:
        >>> import torch
        >>> ChannelReversal()(torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1))[0].flatten()
        tensor([3., 2., 1.])
    """

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the reversed image and zeros."""
        return x.flip(1), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Reverse once more."""
        return z.flip(1)
