"""The native kernels against a float64 oracle: a shift and a channel mix per tap, written out here."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from laws import ORIENTATIONS, Case
from looped import BOTH, looped
from torch import Tensor

from deblur.ops import _native, masked_conv2d_solve
from deblur.ops.geometry import Geometry

pytestmark = pytest.mark.skipif(not _native.available(), reason=str(_native.why_not()))

TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}
PLAIN = Geometry()

BORDERS = ("zero", "replicate")
DTYPES = (torch.float32, torch.float64)


def shift(size: int, by: int, border: str) -> Tensor:
    """The matrix that brings every pixel of a line the value of the one `by` before it."""
    before = torch.arange(size) - by
    matrix = torch.zeros(size, size, dtype=torch.float64)
    inside = before >= 0 if border == "zero" else torch.ones(size, dtype=torch.bool)
    matrix[torch.arange(size)[inside], before.clamp(0)[inside]] = 1.0
    return matrix


def oracle(x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """masked_conv2d by its definition, differentiable in `weight`."""
    orientation, transpose, groups, dilation, border = geometry
    batch, channels, height, width = x.shape
    n = channels // groups
    flipped = [dim for dim, word in ((2, "bottom"), (3, "right")) if word in orientation]
    x = x.double().flip(flipped)
    y = torch.zeros_like(x)
    for a, b in itertools.product(range(weight.shape[2]), range(weight.shape[3])):
        down, right = shift(height, a * dilation[0], border), shift(width, b * dilation[1], border)
        shifted = down.T @ x @ right if transpose else down @ x @ right.T
        mix = weight[:, :, a, b].double().reshape(groups, n, n)
        grouped = shifted.reshape(batch, groups, n, height, width)
        sum_over = "gio,bgihw->bgohw" if transpose else "goi,bgihw->bgohw"
        y = y + torch.einsum(sum_over, mix, grouped).reshape(x.shape)
    return y.flip(flipped)


def taps(channels: int, groups: int, height: int, width: int, dtype: torch.dtype) -> Tensor:
    """Small random taps around an anchor that is neither the identity nor symmetric, so that the inverse is stable."""
    n = channels // groups
    weight = torch.randn(channels, n, height, width, dtype=torch.float64) * (0.3 / (n * height * width))
    weight[:, :, 0, 0] += (torch.eye(n) + 0.2 * torch.ones(n, n).tril(-1)).repeat(groups, 1)
    return weight.to(dtype)


def check(x_shape, kernel_size, dtype, **options) -> None:
    geometry = Geometry(**options)
    torch.manual_seed(0)
    weight = taps(x_shape[1], geometry.groups, *kernel_size, dtype)
    x, grad = torch.randn(2, *x_shape, dtype=dtype)
    y = oracle(x, weight, geometry)
    scale = TOLERANCE[dtype]
    torch.testing.assert_close(_native.conv(x, weight, geometry).double(), y, rtol=0, atol=scale)
    torch.testing.assert_close(_native.solve(y.to(dtype), weight, geometry).double(), x.double(), rtol=0, atol=scale)
    wanted = weight.double().requires_grad_()
    (oracle(x, wanted, geometry) * grad.double()).sum().backward()
    found = _native.weight_grad(grad, x, kernel_size, geometry)
    assert found.shape == weight.shape
    spread = max(1, x.numel() / max(1, x_shape[1])) ** 0.5
    torch.testing.assert_close(found.double(), wanted.grad, rtol=0, atol=scale * spread)


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (3, 3), (4, 2), (5, 1)])
@looped(orientation=ORIENTATIONS, transpose=BOTH, dtype=DTYPES, border=BORDERS)
def test_every_corner_and_its_adjoint(orientation, transpose, channels, groups, dtype, border):
    options = {"orientation": orientation, "transpose": transpose, "groups": groups, "dilation": (1, 1)}
    check((2, channels, 19, 37), (3, 4), dtype, **options, border=border)


@pytest.mark.parametrize(
    ("height", "width"),
    [(1, 1), (1, 40), (40, 1), (2, 3), (8, 8), (16, 16), (17, 15), (33, 70), (130, 20), (300, 9)],
)
@looped(dtype=DTYPES)
def test_every_frame(height, width, dtype):
    for kernel_size in [(1, 1), (1, 5), (5, 1), (2, 2), (3, 3), (9, 9)]:
        check((1, 1, height, width), kernel_size, dtype)
        for transpose in (False, True):
            check((1, 1, height, width), kernel_size, dtype, transpose=transpose, border="replicate")
    check((2, 3, height, width), (3, 2), dtype)
    check((2, 3, height, width), (3, 2), dtype, transpose=True, border="replicate")


@looped(size=(1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 31), border=BORDERS)
def test_every_number_of_taps(size, border):
    check((1, 1, 150, 40), (size, 3), torch.float32, border=border)
    check((1, 1, 30, 40), (3, size), torch.float64, border=border)
    check((1, 1, 20, 40), (size, size), torch.float32, orientation="bottom_right", border=border)


@looped(kernel_size=((9, 3), (3, 9), (40, 40)), dtype=DTYPES, border=BORDERS)
def test_taps_that_reach_beyond_the_frame_are_ignored_or_read_its_edge(kernel_size, dtype, border):
    check((2, 2, 5, 6), kernel_size, dtype, groups=2, border=border)
    check((2, 2, 5, 6), kernel_size, dtype, transpose=True, border=border)


@looped(dilation=((1, 2), (2, 1), (3, 3), (2, 5), (30, 20), (50, 50)), border=BORDERS)
def test_every_dilation(dilation, border):
    for orientation in ("top_left", "bottom_right"):
        transpose = border == "replicate" and orientation == "bottom_right"
        options = {"orientation": orientation, "transpose": transpose, "dilation": dilation, "border": border}
        check((2, 1, 45, 33), (3, 4), torch.float32, groups=1, **options)
        check((1, 4, 12, 33), (3, 2), torch.float64, groups=2, **options)


@looped(channels=(2, 3, 4, 6, 7, 8, 9, 12, 13, 16, 17, 24, 33, 48), border=BORDERS)
def test_every_number_of_channels(channels, border):
    check((3, channels, 9, 10), (2, 3), torch.float32, border=border)
    check((1, 2 * channels, 20, 7), (3, 2), torch.float64, groups=2, transpose=True, border=border)


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (3, 3), (3, 1)])
@looped(batch=(0, 1, 2, 5, 16, 33, 100), border=BORDERS)
def test_every_batch(batch, channels, groups, border):
    check((batch, channels, 20, 12), (3, 3), torch.float32, groups=groups, border=border)


@looped(border=BORDERS)
def test_many_channels_in_bands(border):
    check((1, 2, 300, 21), (5, 2), torch.float32, border=border)


def test_a_weight_a_crop_with_taps_as_large_as_it():
    for transpose in (False, True):
        options = {"groups": 7, "transpose": transpose, "orientation": "bottom_left", "border": "replicate"}
        check((1, 7, 32, 32), (31, 31), torch.float32, **options)


@looped(border=(2, -1))
def test_a_border_that_the_library_does_not_know_is_refused(border, monkeypatch):
    _native._problem.cache_clear()
    monkeypatch.setitem(_native._BORDERS, "mirror", border)
    with pytest.raises(AssertionError, match="a problem it cannot read"):
        _native.conv(torch.rand(1, 1, 3, 3), torch.rand(1, 1, 2, 2), Geometry(border="mirror"))


def test_an_empty_batch_has_a_zero_weight_gradient():
    empty = torch.empty(0, 2, 4, 4)
    assert torch.equal(_native.weight_grad(empty, empty, (3, 3), PLAIN), torch.zeros(2, 2, 3, 3))


def of_any_number_of_threads(compute: Callable[[], list[Tensor]]) -> None:
    """Compute with several numbers of threads, one of them twice: not a bit may differ."""
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3, 5, 7, 2):
            torch.set_num_threads(threads)
            results.append(compute())
    finally:
        torch.set_num_threads(before)
    for others in results[1:]:
        assert [torch.equal(*pair) for pair in zip(results[0], others, strict=True)] == [True] * len(others)


@pytest.mark.parametrize(
    ("shape", "groups", "kernel_size"),
    [
        ((1, 1, 700, 90), 1, (15, 15)),
        ((2, 3, 300, 64), 3, (9, 5)),
        ((9, 6, 40, 33), 2, (3, 3)),
        ((1, 12, 260, 40), 1, (3, 3)),
    ],
)
@looped(dtype=DTYPES)
def test_the_number_of_threads_changes_no_bit(shape, groups, kernel_size, dtype):
    torch.manual_seed(0)
    weight = taps(shape[1], groups, *kernel_size, dtype)
    y, grad = torch.randn(2, *shape, dtype=dtype)

    def compute() -> list[Tensor]:
        found = []
        for transpose, border in itertools.product(BOTH, BORDERS):
            geometry = Geometry(transpose=transpose, groups=groups, border=border)
            found += [_native.solve(y, weight, geometry), _native.conv(y, weight, geometry)]
            found += [_native.weight_grad(grad, y, kernel_size, geometry)]
        return found

    of_any_number_of_threads(compute)


@looped(
    case=(
        Case(batch=1, size=(130, 150), taps=(9, 7)),
        Case(batch=2, channels=3, groups=3, size=(70, 65), taps=(5, 5)),
        Case(batch=3, channels=12, size=(16, 17)),
    )
)
def test_the_number_of_threads_changes_no_bit_of_a_solve_and_its_gradients(case):
    """Through the public operations, as training does."""

    def compute() -> list[Tensor]:
        y, weight = case.image(dtype=torch.float32).requires_grad_(), case.weight(torch.float32).requires_grad_()
        x = masked_conv2d_solve(y, weight, groups=case.groups)
        back = masked_conv2d_solve(y, weight, groups=case.groups, transpose=True)
        return [x, back, *torch.autograd.grad((x * back).sum(), (y, weight))]

    of_any_number_of_threads(compute)


def test_out_is_written_and_returned():
    y, weight = torch.randn(1, 1, 30, 40), taps(1, 1, 3, 3, torch.float32)
    out = torch.empty_like(y)
    assert _native.solve(y, weight, PLAIN, out=out) is out
    assert torch.equal(out, _native.solve(y, weight, PLAIN))


def test_a_nan_stays_within_the_pixels_that_depend_on_it():
    y = torch.randn(1, 1, 150, 60)
    y[0, 0, 70, 30] = float("nan")
    x = _native.solve(y, taps(1, 1, 9, 9, torch.float32), PLAIN)
    reached = torch.zeros(150, 60, dtype=torch.bool)
    reached[70:, 30:] = True
    assert torch.equal(x[0, 0].isnan(), reached)
    x = _native.solve(y, taps(1, 1, 9, 9, torch.float32), Geometry(border="replicate"))
    assert torch.equal(x[0, 0].isnan(), reached)
    y = _native.conv(y, taps(1, 1, 9, 9, torch.float32), Geometry(border="replicate"))
    reached[79:], reached[:, 39:] = False, False
    assert torch.equal(y[0, 0].isnan(), reached)


def test_decaying_into_subnormal_numbers_costs_nothing_and_leaves_the_processor_as_it_was():
    y = torch.zeros(1, 1, 64, 2000)
    y[0, 0, 0, 0] = 1.0
    weight = torch.zeros(1, 1, 2, 2)
    weight[0, 0, 0] = torch.tensor([1.0, -0.9])
    x = _native.solve(y, weight, PLAIN)
    assert x[0, 0, 0, -1] == 0
    assert torch.tensor(1e-39) * torch.tensor(1.0) == torch.tensor(1e-39)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_solves_with_threads_of_its_own():
    """The parent's threads, torch's among them, do not exist in the child, where waiting for them would never end."""
    program = (
        "import os, signal, torch\n"
        "from deblur.ops import _native\n"
        "from deblur.ops.geometry import Geometry\n"
        "torch.set_num_threads(2)\n"
        "a, weight = torch.rand(1, 1, 400, 400), torch.full((1, 1, 9, 9), 1e-3)\n"
        "weight[..., 0, 0] = 1\n"
        "a[0, 0] @ a[0, 0]\n"
        "before = _native.solve(a, weight, Geometry())\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    signal.alarm(60)\n"
        "    after = _native.solve(a, weight, Geometry())\n"
        "    os._exit(after.numpy().tobytes() != before.numpy().tobytes())\n"  # torch itself would wait for ever
        "raise SystemExit(os.waitpid(child, 0)[1] != 0)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=120).returncode == 0


@pytest.mark.parametrize("name", ["avx2", "baseline"])
def test_lesser_instruction_sets_agree(name, tmp_path):
    """Each build of the kernels, in a process of its own, since the choice is made once."""
    torch.manual_seed(0)
    case = {"y": torch.randn(2, 6, 150, 40), "weight": taps(6, 2, 5, 4, torch.float32)}
    case["deep"] = taps(6, 6, 11, 4, torch.float32)
    torch.save(case, tmp_path / "case.pt")
    program = (
        "import sys, torch\n"
        "from deblur.ops import _native\n"
        "from deblur.ops.geometry import Geometry\n"
        "case = torch.load(sys.argv[1])\n"
        "y, pair, found = case['y'], ((case['weight'], 2), (case['deep'], 6)), []\n"
        "for transpose, border in ((True, 'zero'), (False, 'replicate'), (True, 'replicate')):\n"
        "    for w, groups in pair:\n"
        "        geometry = Geometry('top_right', transpose, groups, (1, 2), border)\n"
        "        found += [_native.solve(y, w, geometry), _native.conv(y, w, geometry)]\n"
        "        found += [_native.weight_grad(y, y, tuple(w.shape[2:]), geometry)]\n"
        "torch.save((_native.describe(), found), sys.argv[2])\n"
    )

    def run(wish: str):
        target = tmp_path / f"found-{wish}.pt"
        environment = {**os.environ, "DEBLUR_ISA": wish}
        subprocess.run([sys.executable, "-c", program, tmp_path / "case.pt", target], check=True, env=environment)
        return torch.load(target)

    (_, best), (described, lesser) = run(""), run(name)
    assert described.lower().startswith((name, "neon"))
    for a, b in zip(best, lesser, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
