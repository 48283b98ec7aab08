"""The CUDA kernels on a CUDA device: what the emulator cannot show. Skipped, with the reason, where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from emulated import Case

from deblur import ops
from deblur.ops import _cuda, masked_conv2d, masked_conv2d_solve, reference

pytestmark = [
    pytest.mark.needs_cuda,
    pytest.mark.skipif(not _cuda.available(), reason=f"needs a CUDA device: {_cuda.why_not()}"),
]

CASES = [
    Case(shape=(1, 1, 1, 1), taps=(1, 1)),
    Case(shape=(2, 1, 33, 65), taps=(3, 4)),
    Case(shape=(1, 1, 300, 500), taps=(15, 15)),
    Case(shape=(1, 2, 200, 70), taps=(31, 9), groups=2, dilation=(2, 1), orientation="bottom_left"),
    Case(shape=(1, 1, 200, 190), taps=(150, 150)),
    Case(shape=(3, 12, 16, 16), taps=(3, 3), transpose=True),
    Case(shape=(2, 48, 16, 16), taps=(3, 3)),
    Case(shape=(2, 192, 8, 8), taps=(3, 3)),
    Case(shape=(1, 6, 130, 90), taps=(4, 5), groups=2, orientation="top_right"),
]


def solve_on_device(case: Case, dtype: torch.dtype) -> torch.Tensor:
    return masked_conv2d_solve(case.image().to("cuda", dtype), case.weight().to("cuda", dtype), **case.options)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_values(case: Case, dtype: torch.dtype) -> None:
    tolerance = {torch.float64: 1e-11, torch.float32: 1e-4, torch.float16: 4e-3, torch.bfloat16: 3e-2}[dtype]
    weight, image = case.weight().to(dtype).double(), case.image().to(dtype).double()
    expected = reference.solve(image, weight, case.geometry)
    found = solve_on_device(case, dtype)
    assert found.dtype == dtype
    torch.testing.assert_close(found.cpu().double(), expected, rtol=0, atol=tolerance * float(expected.abs().max()))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_run_gives_the_same_bits(case: Case) -> None:
    first = solve_on_device(case, torch.float32)
    for _ in range(20):
        assert torch.equal(solve_on_device(case, torch.float32), first)


@pytest.mark.parametrize("side", [1024, 4096, 8192])
@pytest.mark.parametrize("taps", [3, 15, 31])
def test_large_images_come_back(side: int, taps: int) -> None:
    case = Case(shape=(1, 1, side, side), taps=(taps, taps), dtype=torch.float32)
    x, weight = case.image().cuda(), case.weight().cuda()
    y = masked_conv2d(x, weight)
    torch.testing.assert_close(masked_conv2d_solve(y, weight), x, rtol=0, atol=1e-4)


def test_a_large_image_with_several_channels_comes_back() -> None:
    case = Case(shape=(1, 3, 1024, 700), taps=(5, 5), dtype=torch.float32)
    x, weight = case.image().cuda(), case.weight().cuda()
    torch.testing.assert_close(masked_conv2d_solve(masked_conv2d(x, weight), weight), x, rtol=0, atol=1e-4)


@pytest.mark.parametrize("case", [CASES[1], CASES[5]], ids=str)
def test_gradients(case: Case) -> None:
    leaves = [tensor[..., :9, :9].contiguous().cuda().requires_grad_() for tensor in (case.image()[:1], case.weight())]

    def solve(y: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return masked_conv2d_solve(y, weight, **case.options)

    assert torch.autograd.gradcheck(solve, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(solve, leaves, fast_mode=True)


def test_the_current_stream_is_used() -> None:
    case = CASES[2]
    image, weight = case.image().cuda(), case.weight().cuda()
    expected = masked_conv2d_solve(image, weight)
    stream = torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        late = torch.zeros_like(image)
        torch.cuda._sleep(50_000_000)
        late.copy_(image)  # a launch on another stream would read zeros
        found = masked_conv2d_solve(late, weight)
    stream.synchronize()
    assert torch.equal(found, expected)


@pytest.fixture
def no_synchronisation() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("case", [CASES[2], CASES[6]], ids=str)
def test_nothing_waits_for_the_device(case: Case, request: pytest.FixtureRequest) -> None:
    image = case.image().cuda().requires_grad_()
    weight = case.weight().cuda().requires_grad_()
    ops.warmup()
    torch.cuda.synchronize()
    request.getfixturevalue("no_synchronisation")
    masked_conv2d_solve(image, weight).sum().backward()


@pytest.mark.parametrize("case", [CASES[2], CASES[5]], ids=str)
def test_a_graph_captures_and_replays_it(case: Case) -> None:
    ops.warmup()
    image, weight = case.image().cuda(), case.weight().cuda()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = masked_conv2d_solve(image, weight, **case.options)
    for seed in range(3):
        image.copy_(torch.randn(image.shape, generator=torch.Generator().manual_seed(seed)))
        weight.mul_(1.5)  # weights are read by the device, in every replay
        graph.replay()
        expected = reference.solve(image, weight, case.geometry)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_the_whole_graph_compiles(mode: str) -> None:
    torch._dynamo.reset()
    case = CASES[5]
    leaves = [tensor.cuda().requires_grad_() for tensor in (case.image(), case.weight())]

    def function(y: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return masked_conv2d_solve(y.sin(), weight, **case.options).cos()

    compiled: Any = torch.compile(function, fullgraph=True, mode=mode)
    for _ in range(3):
        value, expected = compiled(*leaves), function(*leaves)
        torch.testing.assert_close(value, expected)
        found = torch.autograd.grad(value.square().sum(), leaves)
        wanted = torch.autograd.grad(expected.square().sum(), leaves)
        for mine, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(mine, other)


def test_a_singular_anchor_is_nan() -> None:
    assert masked_conv2d_solve(torch.ones(1, 1, 3, 3).cuda(), torch.zeros(1, 1, 2, 2).cuda()).isnan().all()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_the_device_of_the_tensors_is_used_whichever_is_current() -> None:
    case = CASES[2]
    with torch.cuda.device(0):
        found = masked_conv2d_solve(case.image().to("cuda:1"), case.weight().to("cuda:1"))
    assert found.device.index == 1
    torch.testing.assert_close(found.cpu(), case.expected(), rtol=0, atol=1e-10)
