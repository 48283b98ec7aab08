"""The CUDA kernels' values against the reference in float64, in the emulator, through the launcher."""

from __future__ import annotations

import itertools

import pytest
import torch
from emulated import Case, toolkit

from deblur.errors import OptionError
from deblur.ops import geometry
from deblur.ops._cuda import plan

#: Made once: the kernels are compiled at their first use, and kept.
TOOLKIT = toolkit(seed=1)

SINGLE = [
    *(
        Case(shape=(1, 1, h, w), taps=(3, 3))
        for h, w in itertools.product((1, 2, 31, 32, 33, 64, 65), (1, 2, 8, 9, 40))
    ),
    *(Case(shape=(1, 1, 40, 37), taps=(k, k)) for k in (1, 2, 4, 5, 7, 8, 9, 15, 16, 17, 25, 31, 33, 40, 50)),
    *(Case(shape=(1, 1, 70, 90), taps=taps) for taps in ((1, 9), (9, 1), (1, 70), (70, 1), (45, 7), (7, 45), (2, 33))),
    *(Case(shape=(batch, 3, 34, 20), taps=(4, 3), groups=3) for batch in (1, 2, 3, 5)),
    *(Case(shape=(2, 1, 37, 41), taps=(4, 5), dilation=d) for d in ((1, 2), (2, 1), (3, 2), (5, 7), (99, 1))),
    Case(shape=(1, 1, 6, 5), taps=(4, 5), dilation=(50, 99)),
    Case(shape=(1, 1, 150, 130), taps=(15, 15)),
    Case(shape=(1, 1, 130, 150), taps=(31, 31), dtype=torch.float32),
    Case(shape=(1, 1, 256, 256), taps=(15, 15), dtype=torch.float32),
]
SEVERAL = [
    *(Case(shape=(1, c, 7, 9), taps=(3, 3)) for c in (2, 3, 4, 5, 7, 8, 12, 13, 16, 31, 33, 48, 64)),
    *(
        Case(shape=(1, 4, h, w), taps=(3, 2), groups=2)
        for h, w in itertools.product((1, 2, 3, 5, 30), (1, 2, 4, 9, 33))
    ),
    *(Case(shape=(1, 3, 9, 8), taps=taps) for taps in ((1, 1), (1, 4), (4, 1), (2, 7), (30, 2), (12, 12))),
    *(Case(shape=(batch, 6, 10, 9), taps=(3, 3), groups=3) for batch in (1, 2, 3, 5)),
    *(Case(shape=(1, 6, 17, 12), taps=(3, 4), groups=2, dilation=d) for d in ((1, 2), (2, 1), (3, 2), (20, 5))),
    Case(shape=(1, 192, 8, 8), taps=(3, 3), dtype=torch.float32),
    Case(shape=(1, 96, 5, 6), taps=(2, 3)),
    Case(shape=(1, 200, 3, 2), taps=(2, 1), dtype=torch.float32),  # anchors that do not fit in registers, nor here:
    Case(shape=(1, 100, 2, 3), taps=(1, 2)),
    Case(shape=(1, 40, 80, 80), taps=(2, 2)),  # a diagonal has more items than a block has threads
    Case(shape=(1, 3, 100, 60), taps=(5, 5), dtype=torch.float32),
]


@pytest.mark.parametrize("case", SINGLE, ids=str)
def test_one_channel_a_group(case: Case) -> None:
    case.check(TOOLKIT)


@pytest.mark.parametrize("case", SEVERAL, ids=str)
def test_several_channels_a_group(case: Case) -> None:
    case.check(TOOLKIT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("orientation", geometry.ORIENTATIONS)
@pytest.mark.parametrize(("channels", "groups", "dilation"), [(2, 2, (1, 1)), (6, 2, (1, 1)), (3, 1, (2, 3))])
def test_every_corner_and_its_adjoint(channels, groups, dilation, orientation, transpose, dtype) -> None:
    for size in ((35, 21), (11, 38)):
        Case(
            shape=(2, channels, *size),
            taps=(3, 5),
            groups=groups,
            orientation=orientation,
            transpose=transpose,
            dilation=dilation,
            dtype=dtype,
        ).check(TOOLKIT)


@pytest.mark.parametrize(
    ("limit", "kernel"),
    [
        (99 * 1024, "deblur_wavefront_solve_all"),
        (10_000, "deblur_wavefront_solve_ring"),
        (5_000, "deblur_wavefront_solve"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_whatever_fits_in_shared_memory(limit: int, kernel: str, dtype: torch.dtype) -> None:
    device = toolkit(seed=1, shared_limit=limit)
    size = 17 if dtype == torch.float32 else 11
    Case(shape=(2, size, 18, 10), taps=(3, 3), dtype=dtype, transpose=True).check(device)
    assert device.driver.launched[-1] == kernel


def test_more_channels_than_an_elimination_has_room_for_are_refused() -> None:
    with pytest.raises(OptionError, match="expected at most 357 channels per group on this GPU, got 358"):
        Case(shape=(1, 358, 1, 1), taps=(1, 1), dtype=torch.float32).solved(toolkit(shared_limit=10_000))


def test_taps_too_many_for_a_band_take_the_other_kernel() -> None:
    device = toolkit(shared_limit=20_000)
    Case(shape=(1, 2, 50, 40), taps=(40, 30), groups=2).check(device)
    assert device.driver.launched[-1] == "deblur_wavefront_solve"


@pytest.mark.parametrize("shape", [(0, 1, 5, 5), (2, 1, 0, 5), (1, 1, 5, 0), (0, 4, 3, 3)])
def test_empty_images_need_no_kernel(shape) -> None:
    device = toolkit()
    assert Case(shape=shape, taps=(3, 3)).solved(device).shape == shape
    assert device.driver.launched == []


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_anchor_without_an_inverse_gives_nan(channels: int) -> None:
    case = Case(shape=(2, 2 * channels, 5, 6), taps=(3, 3), groups=2)
    weight = case.weight()
    weight[0, :, 0, 0] = 0.0 if channels == 1 else 2 * weight[1, :, 0, 0]  # of the first group only

    class Singular(Case):
        def weight(self) -> torch.Tensor:
            return weight

    found = Singular(shape=case.shape, taps=case.taps, groups=case.groups).solved(TOOLKIT)
    assert found[:, :channels].isnan().all()
    assert found[:, channels:].isfinite().all()


def test_an_anchor_with_tiny_rows_is_no_singular_one() -> None:
    class Scaled(Case):
        def weight(self) -> torch.Tensor:
            return super().weight() * torch.tensor([1.0, 1e-20, 1e20])[:, None, None, None]

    Scaled(shape=(1, 3, 5, 6), taps=(1, 1)).check(TOOLKIT)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_nan_stays_within_the_pixels_that_depend_on_it(groups: int) -> None:
    case = Case(shape=(2, 2, 70, 40), taps=(9, 9), groups=groups)
    image = case.image()
    image[0, 0, 40, 13] = float("nan")
    found = case.solved(TOOLKIT, image=image)
    reached = torch.zeros(70, 40, dtype=torch.bool)
    reached[40:, 13:] = True
    assert torch.equal(found[0, 0].isnan(), reached)
    assert torch.equal(found[0, 1].isnan(), reached & (groups == 1))
    assert found[1].isfinite().all()


@pytest.mark.parametrize("taps", [(3, 1), (1, 3), (1, 1), (12, 1), (2, 2)], ids=str)
@pytest.mark.parametrize("shape", [(20, 40), (40, 20)], ids=str)
def test_a_nan_passes_along_the_taps_alone(shape: tuple[int, int], taps: tuple[int, int]) -> None:
    case = Case(shape=(1, 1, *shape), taps=taps)
    image = case.image()
    image[0, 0, 9, 5] = float("nan")
    found = case.solved(TOOLKIT, image=image)
    reached = torch.zeros(shape, dtype=torch.bool)
    reached[9 : None if taps[0] > 1 else 10, 5 : None if taps[1] > 1 else 6] = True
    assert torch.equal(found[0, 0].isnan(), reached)


REPEATED = [
    *(Case(shape=(1, 1, h, w), taps=(3, 4), border="replicate") for h, w in ((1, 1), (1, 9), (9, 1), (2, 2), (66, 40))),
    *(Case(shape=(1, 2, 34, 20), taps=(40, 5), groups=2, border="replicate", transpose=t) for t in (False, True)),
    *(
        Case(shape=(2, 4, 12, 9), taps=(3, 4), groups=2, orientation=name, transpose=t, border="replicate")
        for name in geometry.ORIENTATIONS
        for t in (False, True)
    ),
    Case(shape=(1, 3, 20, 17), taps=(3, 4), groups=3, dilation=(4, 5), transpose=True, border="replicate"),
    Case(shape=(1, 1, 6, 5), taps=(4, 5), dilation=(50, 99), border="replicate"),
]


@pytest.mark.parametrize("case", REPEATED, ids=str)
def test_a_repeated_edge(case: Case) -> None:
    case.check(TOOLKIT)
    case.check_weight_grad(TOOLKIT)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_vanishing_anchor_of_the_edge_gives_nan_where_it_is_read(channels: int) -> None:
    class Singular(Case):
        def weight(self) -> torch.Tensor:
            weight = torch.zeros(self.shape[1], channels, 2, 1, dtype=torch.float64)
            weight[:, :, 0, 0] = torch.eye(channels)
            weight[:, :, 1, 0] = -torch.eye(channels)  # 1 - 1 = 0 on the first row and in the corner
            return weight

    found = Singular(shape=(1, channels, 3, 4), taps=(2, 1), border="replicate").solved(TOOLKIT)
    assert found.isnan().all()


GRADIENTS = [
    *(Case(shape=(1, 1, h, w), taps=(3, 3)) for h, w in itertools.product((1, 7, 9, 17), (1, 8, 63, 66))),
    *(Case(shape=(2, 1, 40, 33), taps=(k, k)) for k in (1, 2, 7, 8, 9, 15, 17, 31)),
    *(Case(shape=(1, 1, 70, 80), taps=taps) for taps in ((1, 70), (70, 1), (64, 50), (33, 9))),
    *(Case(shape=(3, 2, 25, 30), taps=(4, 3), groups=2, dilation=d) for d in ((1, 2), (3, 2), (30, 1))),
    *(Case(shape=(1, 2, 20, 34), taps=(3, 5), groups=2, orientation=name) for name in geometry.ORIENTATIONS),
    Case(shape=(5, 1, 9, 9), taps=(20, 20)),
    Case(shape=(1, 1, 200, 150), taps=(15, 15), dtype=torch.float32),
]


@pytest.mark.parametrize("case", GRADIENTS, ids=str)
def test_weight_gradient(case: Case) -> None:
    device = toolkit(seed=1)
    found = case.check_weight_grad(device)
    assert device.driver.launched == ["deblur_weight_gradient", "deblur_sum_parts"]
    assert torch.equal(case.weight_grad(toolkit(seed=7, resident=1)), found)


@pytest.mark.parametrize("blocks", [1, 3])
def test_blocks_that_take_several_tiles_of_a_weight_gradient(blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "GRADIENT_BLOCKS", blocks)
    monkeypatch.setattr(plan, "plan_weight_grad", plan.plan_weight_grad.__wrapped__)
    for case in (GRADIENTS[-1], Case(shape=(3, 1, 20, 140), taps=(30, 70))):
        case.check_weight_grad(TOOLKIT)


@pytest.mark.parametrize(
    "case", [Case(shape=(1, 4, 9, 9), taps=(3, 3), groups=2), Case(shape=(0, 1, 9, 9), taps=(3, 3))], ids=str
)
def test_weight_gradients_that_are_left_to_torch(case: Case) -> None:
    device = toolkit()
    case.check_weight_grad(device)
    assert device.driver.launched == []
