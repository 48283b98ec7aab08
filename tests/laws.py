"""The laws of the masked convolution, and the list of cases that every one of them is asked of.

A law takes a drawn case and raises where it does not hold. A new shape, a new option: one line in `CASES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from deblur.ops import geometry, log_abs_det, masked_conv2d, masked_conv2d_solve, reference
from deblur.ops.geometry import Geometry

ORIENTATIONS = tuple(geometry.ORIENTATIONS)


@dataclass(frozen=True, kw_only=True)
class Case:
    batch: int = 2
    channels: int = 1
    groups: int = 1
    size: tuple[int, int] = (5, 4)
    taps: tuple[int, int] = (3, 3)
    dilation: tuple[int, int] = (1, 1)
    border: str = "zero"

    def __str__(self) -> str:
        (h, w), (kh, kw), (dh, dw) = self.size, self.taps, self.dilation
        edge = "-replicate" if self.border == "replicate" else ""
        return f"B{self.batch}-C{self.channels}-G{self.groups}-{h}x{w}-k{kh}x{kw}-d{dh}x{dw}{edge}"

    @property
    def options(self) -> dict[str, Any]:
        """What the operations take of a case, besides its tensors."""
        return {"groups": self.groups, "dilation": self.dilation, "border": self.border}

    def weight(self, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        """Taps small beside an anchor that is neither the identity nor symmetric: the inverse is tame."""
        generator = torch.Generator().manual_seed(7)
        per_group = self.channels // self.groups
        shape = (self.channels, per_group, *self.taps)
        weight = torch.randn(shape, generator=generator, dtype=torch.float64) * 0.5 / (per_group * sum(self.taps))
        weight[:, :, 0, 0] += (1.5 * torch.eye(per_group) + 0.2 * torch.ones(per_group, per_group).tril(-1)).repeat(
            self.groups, 1
        )
        return weight.to(dtype)

    def image(self, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(self.batch, self.channels, *self.size, generator=generator, dtype=torch.float64).to(dtype)


CASES = [
    Case(),
    Case(taps=(1, 1)),
    Case(size=(1, 1)),
    Case(size=(1, 7), taps=(2, 3)),
    Case(size=(6, 1), taps=(3, 2)),
    Case(size=(3, 8), taps=(4, 1)),
    Case(size=(4, 4), taps=(6, 5)),  # larger than the image
    Case(size=(9, 17), taps=(2, 5)),
    Case(channels=3, groups=3, taps=(2, 3)),  # depthwise
    Case(channels=3, taps=(3, 2)),
    Case(channels=4, groups=2, size=(3, 6)),
    Case(batch=5, channels=2, taps=(2, 2)),  # B > C
    Case(batch=1, channels=5, size=(4, 3)),  # B < C
    Case(size=(8, 7), dilation=(2, 2)),
    Case(channels=2, size=(7, 9), dilation=(3, 1)),
    Case(channels=2, groups=2, size=(5, 6), taps=(2, 4), dilation=(1, 2)),
    Case(size=(4, 3), dilation=(5, 4)),  # every tap but the anchor outside
    Case(batch=0, channels=2),
    Case(size=(0, 5)),
    Case(border="replicate"),
    Case(size=(1, 1), border="replicate"),
    Case(size=(1, 7), taps=(2, 3), border="replicate"),
    Case(size=(6, 1), taps=(3, 2), border="replicate"),
    Case(size=(3, 4), taps=(6, 5), border="replicate"),  # larger than the image: the far taps fold onto the edge
    Case(size=(9, 17), taps=(2, 5), border="replicate"),
    Case(channels=3, groups=3, taps=(2, 3), border="replicate"),
    Case(channels=4, groups=2, size=(3, 6), border="replicate"),
    Case(batch=5, channels=2, taps=(2, 2), border="replicate"),
    Case(batch=1, channels=5, size=(4, 3), border="replicate"),
    Case(channels=2, size=(7, 9), dilation=(3, 2), border="replicate"),
    Case(channels=2, groups=2, size=(6, 5), taps=(3, 4), dilation=(4, 3), border="replicate"),
    Case(size=(4, 3), dilation=(50, 40), border="replicate"),  # every tap but those of the anchor's row or column
    Case(batch=0, channels=2, border="replicate"),
    Case(size=(0, 5), border="replicate"),
]


def inverse_undoes_the_convolution(case: Case, dtype: torch.dtype, **options: Any) -> None:
    """solve(conv(x)) == x and conv(solve(y)) == y."""
    x, weight = case.image(dtype=dtype), case.weight(dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    y = masked_conv2d(x, weight, **options)
    torch.testing.assert_close(masked_conv2d_solve(y, weight, **options), x, rtol=0, atol=tolerance)
    back = masked_conv2d(masked_conv2d_solve(x, weight, **options), weight, **options)
    torch.testing.assert_close(back, x, rtol=0, atol=tolerance)


def agrees_with_the_dense_matrix(case: Case, **options: Any) -> None:
    """conv(x) == M x and solve(y) == M^-1 y with M written out by the definition."""
    x, weight = case.image(), case.weight()
    matrix = reference.dense_matrix(weight, *case.size, Geometry(**options))
    y = (matrix @ x.flatten(1).T).T.view_as(x)
    torch.testing.assert_close(masked_conv2d(x, weight, **options), y, rtol=0, atol=1e-12)
    solved = torch.linalg.solve(matrix, x.flatten(1).T).T.view_as(x)
    torch.testing.assert_close(masked_conv2d_solve(x, weight, **options), solved, rtol=0, atol=1e-12)


def transpose_is_the_adjoint(case: Case, **options: Any) -> None:
    """<z, A x> == <A^T z, x> and <z, A^-1 x> == <A^-T z, x>."""
    x, z, weight = case.image(0), case.image(1), case.weight()
    for operation in (masked_conv2d, masked_conv2d_solve):
        left = (z * operation(x, weight, **options)).sum()
        right = (operation(z, weight, transpose=True, **options) * x).sum()
        torch.testing.assert_close(left, right, rtol=1e-11, atol=1e-11)


def log_det_is_that_of_the_matrix(case: Case, **options: Any) -> None:
    """log_abs_det == slogdet of the dense matrix, whatever the orientation and the dilation."""
    weight = case.weight()
    expected = torch.linalg.slogdet(reference.dense_matrix(weight, *case.size, Geometry(**options))).logabsdet
    torch.testing.assert_close(
        log_abs_det(weight, *case.size, case.groups, case.border), expected, rtol=1e-11, atol=1e-11
    )


def orientation_is_a_flip_of_the_image(case: Case, orientation: str, **options: Any) -> None:
    """A(w, o) = flip . A(w, top_left) . flip, for the inverse too."""
    x, weight = case.image(), case.weight()
    for operation in (masked_conv2d, masked_conv2d_solve):
        turned = operation(geometry.flip(x, orientation), weight, orientation="top_left", **options)
        expected = geometry.flip(turned, orientation)
        torch.testing.assert_close(
            operation(x, weight, orientation=orientation, **options), expected, rtol=0, atol=1e-12
        )
