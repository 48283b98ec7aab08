"""Squeeze: space to channels, 2 x 2 pixels of one channel become one pixel of four."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from deblur.errors import ShapeError
from deblur.layers.transform import Shape, Transform

__all__ = ["Squeeze"]


class Squeeze(Transform):
    """(C, H, W) -> (4 C, H / 2, W / 2), a permutation, so log_det is 0; H and W must be even.

    Example:
        >>> import torch
        >>> z, log_det = Squeeze()(torch.arange(16.0).view(1, 1, 4, 4))
        >>> z[0, :, 0, 0]
        tensor([0., 1., 4., 5.])
    """

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the squeezed image and zeros."""
        self.output_shape((x.shape[1], x.shape[2], x.shape[3]))
        return F.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the image with its pixels put back."""
        return F.pixel_shuffle(z, 2)

    def output_shape(self, shape: Shape) -> Shape:
        """Return (4 C, H / 2, W / 2).

        Raises:
            ShapeError: A side is odd.
        """
        channels, rows, columns = shape
        if rows % 2 or columns % 2:
            raise ShapeError(f"expected an even number of rows and columns, got {rows} x {columns}; crop or pad")
        return 4 * channels, rows // 2, columns // 2
