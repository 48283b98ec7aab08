"""The definition, tap by tap, on cases small enough to write down."""

from __future__ import annotations

import pytest
import torch

from deblur.ops import masked_conv2d, masked_conv2d_solve

pytestmark = pytest.mark.usefixtures("backend")


@pytest.mark.parametrize(
    ("orientation", "row", "column"),
    [("top_left", 1, 2), ("top_right", 1, -2), ("bottom_left", -1, 2), ("bottom_right", -1, -2)],
)
def test_a_tap_reads_the_pixel_toward_its_corner(orientation: str, row: int, column: int) -> None:
    weight = torch.zeros(1, 1, 2, 3)
    weight[0, 0, 1, 2] = 1.0  # one row, two columns away
    x = torch.arange(1.0, 26.0).view(1, 1, 5, 5)
    y = masked_conv2d(x, weight, orientation=orientation)
    assert y[0, 0, 2, 2] == x[0, 0, 2 - row, 2 - column]


def test_dilation_spreads_rows_and_columns_apart() -> None:
    weight = torch.zeros(1, 1, 2, 2)
    weight[0, 0, 1, 1] = 1.0
    x = torch.arange(36.0).view(1, 1, 6, 6)
    assert masked_conv2d(x, weight, dilation=(3, 2))[0, 0, 5, 5] == x[0, 0, 2, 3]
    assert masked_conv2d(x, weight, dilation=2)[0, 0, 5, 5] == x[0, 0, 3, 3]


def test_a_repeated_edge_is_read_beyond_the_frame() -> None:
    weight = torch.zeros(1, 1, 2, 3)
    weight[0, 0, 1, 2] = 1.0
    x = torch.arange(1.0, 26.0).view(1, 1, 5, 5)
    for orientation, (row, column) in {"top_left": (0, 3), "bottom_right": (4, 1), "top_right": (0, 1)}.items():
        y = masked_conv2d(x, weight, orientation=orientation, border="replicate")[0, 0]
        down, right = (1 if "bottom" in orientation else -1), (2 if "right" in orientation else -2)
        assert y[row, column] == x[0, 0, row, column + right]  # beyond the row alone
        edge = 4 if "right" in orientation else 0
        assert y[2, edge] == x[0, 0, 2 + down, edge]  # beyond the column alone
        assert y[row, edge] == x[0, 0, row, edge]
    far = torch.zeros(1, 1, 2, 2)
    far[0, 0, 1, 1] = 1.0
    flat = masked_conv2d(x, far, dilation=10**9, border="replicate")
    assert torch.equal(flat, torch.ones_like(x))  # every pixel reads the corner


def test_a_recursion_with_a_repeated_edge_by_hand() -> None:
    y = torch.tensor([[[[1.0, 3.0, 1.0]]]])
    weight = torch.tensor([[[[2.0, -1.0]]]])  # x[0] = y[0], and 2 x[j] - x[j - 1] = y[j] from there
    assert masked_conv2d_solve(y, weight, border="replicate").flatten().tolist() == [1.0, 2.0, 1.5]
    assert masked_conv2d_solve(y, weight, border="replicate", transpose=True).flatten().tolist() == [2.75, 1.75, 0.5]


def test_the_first_index_of_the_weight_is_the_output_channel() -> None:
    weight = torch.zeros(2, 2, 1, 1)
    weight[0, 1] = 1.0
    x = torch.tensor([3.0, 5.0]).view(1, 2, 1, 1)
    assert masked_conv2d(x, weight).flatten().tolist() == [5.0, 0.0]
    assert masked_conv2d(x, weight, transpose=True).flatten().tolist() == [0.0, 3.0]


def test_torch_conv2d_gives_the_same_with_both_axes_flipped_and_zeros_above_and_left() -> None:
    x, weight = torch.rand(2, 4, 6, 5), torch.rand(4, 2, 3, 2)
    padded = torch.nn.functional.pad(x, (1, 0, 2, 0))
    expected = torch.nn.functional.conv2d(padded, weight.flip(2, 3), groups=2)
    torch.testing.assert_close(masked_conv2d(x, weight, groups=2), expected)


def test_a_recursion_by_hand() -> None:
    y = torch.tensor([[[[2.0, 0.0, 0.0]]]])
    weight = torch.tensor([[[[2.0, -1.0]]]])  # 2 x[j] - x[j - 1] = y[j]
    assert masked_conv2d_solve(y, weight).flatten().tolist() == [1.0, 0.5, 0.25]


@pytest.mark.parametrize("kind", ["transposed", "strided", "expanded", "channels_last", "offset"])
def test_memory_layout_of_the_input_does_not_matter(kind: str) -> None:
    base = torch.rand(2, 3, 6, 6)
    x = {
        "transposed": base.transpose(2, 3),
        "strided": torch.rand(2, 3, 12, 12)[:, :, ::2, ::2],
        "expanded": base[:1].expand(2, 3, 6, 6),
        "channels_last": base.to(memory_format=torch.channels_last),
        "offset": torch.rand(4, 4, 7, 7)[1:3, 1:, 1:, 1:],
    }[kind]
    weight = (torch.rand(3, 3, 3, 3) * 0.05 + torch.eye(3)[:, :, None, None]).transpose(2, 3)
    for operation in (masked_conv2d, masked_conv2d_solve):
        result = operation(x, weight)
        assert result.is_contiguous()
        torch.testing.assert_close(result, operation(x.contiguous(), weight.contiguous()), rtol=0, atol=0)


def test_the_input_is_left_alone_and_never_returned() -> None:
    x, weight = torch.rand(1, 1, 3, 3), torch.ones(1, 1, 1, 1)
    before = x.clone()
    for operation in (masked_conv2d, masked_conv2d_solve):
        result = operation(x, weight)
        assert result.data_ptr() != x.data_ptr()
        assert torch.equal(x, before)


def test_nan_and_infinity_spread_only_away_from_the_corner() -> None:
    for bad in (float("nan"), float("inf")):
        y = torch.ones(1, 1, 6, 6)
        y[0, 0, 2, 3] = bad
        x = masked_conv2d_solve(y, torch.tensor([[[[1.0, 0.5], [0.5, 0.25]]]]))
        assert torch.isfinite(x[0, 0, :2]).all()
        assert torch.isfinite(x[0, 0, :, :3]).all()
        assert not torch.isfinite(x[0, 0, 2:, 3:]).any()


def test_a_nan_in_the_weight_shows_in_the_result() -> None:
    weight = torch.tensor([[[[1.0, float("nan")]]]])
    assert masked_conv2d_solve(torch.ones(1, 1, 2, 3), weight).isnan().any()
    weight = torch.full((2, 2, 1, 1), float("nan"))
    assert masked_conv2d_solve(torch.ones(1, 2, 2, 3), weight).isnan().all()
