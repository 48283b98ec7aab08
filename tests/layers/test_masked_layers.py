"""Masked convolutions as layers: what they compute, which way round, and that nothing loosens mask and anchor."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from deblur.errors import OptionError
from deblur.layers.finc_unit import FIncUnit
from deblur.layers.inverse_conv import InverseConv
from deblur.layers.invertible_conv1x1 import InvertibleConv1x1
from deblur.layers.masked_conv import MaskedConv
from deblur.layers.triangular import LUMatrix
from deblur.ops import geometry

each_anchor = pytest.mark.parametrize("anchor", ["unit", "lu"])
each_corner = pytest.mark.parametrize("orientation", geometry.ORIENTATIONS)
each_optimizer = pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.AdamW(p, lr=0.3, weight_decay=2.0),
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1.0),
        lambda p: torch.optim.Adamax(p, lr=0.3, weight_decay=1.0),
        lambda p: torch.optim.Rprop(p, lr=0.3),
    ],
    ids=["AdamW", "SGD", "Adamax", "Rprop"],
)


def image(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def torch_conv(x: Tensor, weight: Tensor, orientation: str) -> Tensor:
    """By conv2d on a padded, flipped image: what the paper's code means to do."""
    k = weight.shape[-1]
    flipped = geometry.flip(x, orientation)
    return geometry.flip(F.conv2d(F.pad(flipped, (k - 1, 0, k - 1, 0)), weight.flip(2, 3)), orientation)


@each_anchor
@each_corner
def test_one_convolves_where_the_other_inverts(anchor: str, orientation: str) -> None:
    torch.manual_seed(0)
    finc = MaskedConv(3, orientation=orientation, anchor=anchor).double()
    flow = InverseConv(3, orientation=orientation, anchor=anchor).double()
    with torch.no_grad():
        for parameter in finc.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    flow.load_state_dict(finc.state_dict())
    x, weight = image(2, 3, 5, 6), finc.masked.weight()[0][0]
    torch.testing.assert_close(finc(x)[0], torch_conv(x, weight, orientation))
    torch.testing.assert_close(flow.inverse(x), torch_conv(x, weight, orientation))
    torch.testing.assert_close(flow(x)[0], finc.inverse(x))
    torch.testing.assert_close(flow(x)[1], -finc(x)[1])


@each_anchor
@each_optimizer
def test_mask_and_anchor_hold_under_any_optimizer(anchor: str, optimizer: object) -> None:
    """After steps that would ruin a masked weight: taps as said, and an anchor with its exact determinant."""
    torch.manual_seed(0)
    layer, x = MaskedConv(4, 2, anchor=anchor).double(), image(2, 4, 5, 5)
    moves = optimizer(layer.parameters())
    before = layer.masked.weight()[0].detach().clone()
    for _ in range(3):
        moves.zero_grad()
        z, log_det = layer(x)
        (z.square().mean() - log_det.mean() / 25).backward()
        moves.step()
    weight, log_abs_det = layer.masked.weight()
    assert not torch.equal(weight, before)
    jacobian = torch.autograd.functional.jacobian(lambda x: layer(x[None])[0][0], x[0]).view(4, 25, 4, 25)
    for p in range(25):
        for q in range(25):
            i, j = divmod(p, 5)
            a, b = i - q // 5, j - q % 5
            wanted = weight[0, :, :, a, b] if 0 <= a <= 1 and 0 <= b <= 1 else torch.zeros(4, 4).double()
            torch.testing.assert_close(jacobian[:, p, :, q], wanted)
    anchor_matrix = weight[0, :, :, 0, 0]
    torch.testing.assert_close(torch.linalg.slogdet(anchor_matrix).logabsdet, log_abs_det[0])
    if anchor == "unit":
        assert torch.equal(anchor_matrix, anchor_matrix.tril())
        assert torch.equal(anchor_matrix.diagonal(), torch.ones(4).double())
        assert log_abs_det.tolist() == [0.0]


def test_volume_is_kept_by_a_unit_anchor_exactly() -> None:
    layer = InverseConv(5)
    assert layer(torch.randn(3, 5, 4, 4))[1].tolist() == [0.0, 0.0, 0.0]


def test_there_is_nothing_but_free_taps_to_learn() -> None:
    assert sum(p.numel() for p in MaskedConv(4, 3).parameters()) == 4 * 4 * 8 + 6
    assert sum(p.numel() for p in MaskedConv(4, 3, anchor="lu").parameters()) == 4 * 4 * 9
    assert sum(p.numel() for p in MaskedConv(1, 1).parameters()) == 0


@each_corner
def test_the_parts_of_a_finc_unit_look_toward_the_four_corners(orientation: str) -> None:
    """A point stays within its quadrant: a tap that reads towards a corner moves light away from it."""
    torch.manual_seed(0)
    unit = FIncUnit(8, 3)
    which = list(geometry.ORIENTATIONS).index(orientation)
    x = torch.zeros(1, 8, 9, 9)
    x[:, 2 * which, 4, 4] = 1.0
    z = unit(x)[0]
    others = [c for c in range(8) if c // 2 != which]
    assert not z[:, others].any()
    rows, columns = (z[0, 2 * which : 2 * which + 2].abs().sum(0) > 0).nonzero(as_tuple=True)
    down, right = orientation.startswith("top"), orientation.endswith("left")
    assert (rows.min().item(), rows.max().item()) == ((4, 6) if down else (2, 4))
    assert (columns.min().item(), columns.max().item()) == ((4, 6) if right else (2, 4))


@pytest.mark.parametrize(
    ("channels", "sizes"), [(1, [1]), (2, [1, 1]), (3, [1, 1, 1]), (4, [1] * 4), (7, [2, 2, 2, 1]), (48, [12] * 4)]
)
def test_any_number_of_channels_is_parted_as_evenly_as_can_be(channels: int, sizes: list[int]) -> None:
    assert FIncUnit(channels).sizes == sizes


def test_the_inverse_unit_is_the_other_direction() -> None:
    torch.manual_seed(0)
    one, other = FIncUnit(5).double(), FIncUnit(5, direction="inverse").double()
    other.load_state_dict(one.state_dict())
    x = image(2, 5, 6, 4)
    torch.testing.assert_close(other(x)[0], one.inverse(x))


@pytest.mark.parametrize("channels", [12, 48, 96])
def test_as_they_start_they_can_be_inverted_in_single_precision(channels: int) -> None:
    torch.manual_seed(0)
    layer = InverseConv(channels)
    x = torch.randn(1, channels, 32, 32)
    z, _ = layer(x)
    assert z.abs().max() < 20
    torch.testing.assert_close(layer.inverse(z), x, rtol=0, atol=1e-4)


def test_an_lu_matrix_starts_where_it_is_told() -> None:
    start = torch.tensor([[2.0, 1.0, 0.5], [0.5, -1.0, 0.25], [0.1, 0.2, 3.0]])
    matrix, log_abs_det = LUMatrix(3, start=start)()
    lower, upper = start.tril(-1) + torch.eye(3), start.triu()
    torch.testing.assert_close(matrix[0], lower @ upper)
    torch.testing.assert_close(log_abs_det[0], torch.tensor(6.0).log())


def test_a_conv1x1_starts_as_a_rotation() -> None:
    layer = InvertibleConv1x1(6).double()
    x = image(1, 6, 1, 1)
    matrix = torch.autograd.functional.jacobian(lambda v: layer(v.view(1, 6, 1, 1))[0].flatten(), x.flatten())
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(6).double(), rtol=0, atol=1e-5)


def test_no_optimizer_makes_a_conv1x1_singular() -> None:
    layer, x = InvertibleConv1x1(5).double(), image(2, 5, 3, 3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0, weight_decay=0.9)
    for _ in range(20):
        optimizer.zero_grad()
        layer(x)[0].square().mean().backward()  # which zero would be best for
        optimizer.step()
    torch.testing.assert_close(layer.inverse(layer(x)[0]), x)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: MaskedConv(3, orientation="topleft"), "expected an orientation of top_left, .*, got 'topleft'"),
        (lambda: InverseConv(3, anchor="eye"), "expected an anchor of unit or lu, got 'eye'"),
        (lambda: MaskedConv(0), "of at least 1, got 0 and 3"),
        (lambda: FIncUnit(4, direction="backward"), "expected a direction of conv or inverse, got 'backward'"),
    ],
)
def test_what_there_is_not_is_refused(make: object, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        make()


def test_gradients_are_those_of_the_dense_solve() -> None:
    """InverseConv against autograd through the matrix of its convolution."""
    torch.manual_seed(0)
    layer, x = InverseConv(2, 2).double(), image(1, 2, 3, 3)
    weights = nn.Parameter(layer.masked.taps.detach().clone())
    layer(x)[0].pow(3).sum().backward()

    def dense(taps: Tensor) -> Tensor:
        anchor = layer.masked.anchor()[0][0].detach()
        weight = torch.cat((anchor[..., None], taps), -1).view(2, 2, 2, 2)
        columns = [torch_conv(e.view(1, 2, 3, 3), weight, "top_left").flatten() for e in torch.eye(18).double()]
        return torch.linalg.solve(torch.stack(columns, 1), x.flatten())

    (expected,) = torch.autograd.grad(dense(weights).pow(3).sum(), weights)
    torch.testing.assert_close(layer.masked.taps.grad, expected)
