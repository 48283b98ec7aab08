"""The operations on the path of a CUDA device: dispatch, launcher, cache; the device is the emulator.

Tensors stay on the CPU and the switch that asks for their device is held down; everything between `masked_conv2d_solve`
and the driver's calls is what runs with a device.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import emulated
import pytest
import torch
from laws import Case, agrees_with_the_dense_matrix, inverse_undoes_the_convolution, transpose_is_the_adjoint

import deblur
from deblur import ops
from deblur.errors import OptionError
from deblur.ops import _cuda, _dispatch, masked_conv2d_solve
from deblur.ops._cuda import modules, plan, serve
from deblur.ops._cuda.driver import DriverError
from deblur.ops._cuda.nvrtc import Nvrtc, NvrtcError
from deblur.ops.geometry import Geometry

CASES = [
    Case(size=(5, 4)),
    Case(batch=2, channels=4, groups=2, size=(4, 5), taps=(3, 2), dilation=(1, 2)),
    Case(channels=3, groups=3, size=(6, 3), taps=(2, 7)),
    Case(channels=3, size=(3, 4), taps=(2, 2)),
    Case(size=(5, 4), border="replicate"),
    Case(channels=4, groups=2, size=(4, 5), taps=(3, 2), dilation=(1, 2), border="replicate"),
    Case(channels=3, groups=3, size=(3, 1), taps=(5, 3), border="replicate"),
]

needs_emulator = pytest.mark.skipif(emulated.why_not_emulated() is not None, reason=str(emulated.why_not_emulated()))


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> modules.Toolkit:
    toolkit = emulated.toolkit(seed=3)
    monkeypatch.setenv("DEBLUR_CACHE", str(emulated.BUILD / "images"))
    monkeypatch.setattr(serve, "_toolkit", lambda: (toolkit, None))
    monkeypatch.setattr(_dispatch, "_cuda_serves", lambda image: True)
    return toolkit


@needs_emulator
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("orientation", ["top_left", "top_right"])
def test_the_laws_hold(device, case: Case, orientation: str, transpose: bool) -> None:
    options = {**case.options, "orientation": orientation, "transpose": transpose}
    inverse_undoes_the_convolution(case, torch.float64, **options)
    inverse_undoes_the_convolution(case, torch.float32, **options)
    agrees_with_the_dense_matrix(case, **options)
    transpose_is_the_adjoint(case, **{name: options[name] for name in ("groups", "dilation", "border", "orientation")})
    assert device.driver.launched


SMALL = [
    Case(batch=1, size=(3, 4), taps=(2, 2)),
    Case(batch=1, channels=2, groups=2, size=(2, 3), taps=(3, 2), dilation=(1, 2)),
    Case(batch=1, channels=2, size=(3, 2), taps=(2, 2)),
    Case(batch=1, channels=2, groups=2, size=(3, 2), taps=(2, 3), border="replicate"),
]


@needs_emulator
@pytest.mark.parametrize("case", SMALL, ids=str)
@pytest.mark.parametrize("transpose", [False, True])
def test_gradcheck_and_gradgradcheck(device, case: Case, transpose: bool) -> None:
    options = {**case.options, "orientation": "bottom_left", "transpose": transpose}
    leaves = (case.image().requires_grad_(), case.weight().requires_grad_())

    def solve(y: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return masked_conv2d_solve(y, weight, **options)

    assert torch.autograd.gradcheck(solve, leaves, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(solve, leaves)
    assert device.driver.launched


@needs_emulator
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_half_precision_is_computed_in_float32(device, channels: int, dtype: torch.dtype) -> None:
    case = Case(channels=channels, size=(40, 12))
    y, weight = case.image(dtype=dtype), case.weight(dtype)
    wide = masked_conv2d_solve(y.float(), weight.float())
    assert torch.equal(masked_conv2d_solve(y, weight), wide.to(dtype))


@needs_emulator
def test_a_singular_anchor_is_nan_and_no_error_as_nothing_waits_for_a_value(device) -> None:
    y, weight = torch.rand(1, 1, 4, 4), torch.ones(1, 1, 2, 2)
    weight[0, 0, 0, 0] = 0.0
    assert masked_conv2d_solve(y, weight).isnan().all()


@needs_emulator
def test_the_whole_graph_compiles(device) -> None:
    torch._dynamo.reset()
    case = Case(channels=2, groups=2, size=(9, 6))
    leaves = (case.image().requires_grad_(), case.weight().requires_grad_())

    def function(y: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return masked_conv2d_solve(y.sin(), weight, groups=2).cos()

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    value, expected = compiled(*leaves), function(*leaves)
    torch.testing.assert_close(value, expected)
    found, wanted = (torch.autograd.grad(each.square().sum(), leaves) for each in (value, expected))
    torch.testing.assert_close(found, wanted)
    assert {"deblur_band_solve", "deblur_weight_gradient"} <= set(device.driver.launched)


@needs_emulator
def test_inputs_that_are_not_contiguous(device) -> None:
    case = Case(channels=2, groups=2, size=(9, 6))
    y, weight = case.image(), case.weight()
    expected = masked_conv2d_solve(y, weight, groups=2)
    strided = masked_conv2d_solve(y.transpose(2, 3).contiguous().transpose(2, 3), weight, groups=2)
    assert torch.equal(strided, expected)
    assert strided.is_contiguous()


@needs_emulator
def test_a_call_launches_the_solving_kernel_once(device) -> None:
    for case, kernels in ((Case(batch=3, channels=2, groups=2, size=(70, 9)), 1), (Case(channels=3, size=(9, 9)), 4)):
        device.driver.launched.clear()
        masked_conv2d_solve(case.image(), case.weight(), groups=case.groups)
        assert len(device.driver.launched) == kernels
        assert sum("solve" in name for name in device.driver.launched) == 1


@needs_emulator
def test_compiled_once_per_machine_and_loaded_once_per_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEBLUR_CACHE", str(tmp_path))
    case = emulated.Case(shape=(1, 1, 3, 3), taps=(2, 2))
    first = emulated.toolkit()
    case.check(first)
    case.check(first)
    assert first.compiler.compiled == 1
    kept = list(tmp_path.iterdir())
    assert len(kept) == 1
    second = emulated.toolkit()
    case.check(second)
    assert second.compiler.compiled == 0
    changed = dict(second.sources)
    changed["toeplitz.cuh"] += "\n"
    third = emulated.toolkit(sources=changed)
    case.check(third)  # an include is part of the key
    assert third.compiler.compiled == 1


@needs_emulator
def test_a_cache_that_cannot_be_written_costs_time_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("DEBLUR_CACHE", str(blocked / "folder"))
    emulated.Case(shape=(1, 1, 3, 3), taps=(2, 2)).check(emulated.toolkit())


def tree(root: Path, *files: str) -> None:
    """Files of which each says where it is, below `root`."""
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


WHEEL, CHECKOUT = "deblur/_cuda/band.cuh", "csrc/cuda/band.cuh"


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ([WHEEL], WHEEL),
        ([WHEEL, CHECKOUT], WHEEL),  # another package's csrc, in the same site-packages
        ([CHECKOUT], None),
        ([CHECKOUT, "pyproject.toml", "CMakeLists.txt"], CHECKOUT),
        ([CHECKOUT, "pyproject.toml", "CMakeLists.txt", "site/deblur/_cuda/band.cuh"], CHECKOUT),  # the copy may be old
        (["site/deblur/_cuda/band.cuh"], "site/deblur/_cuda/band.cuh"),
        ([], None),
    ],
    ids=["a wheel", "a stranger's", "a stranger's alone", "a checkout", "an editable install", "apart", "nowhere"],
)
def test_the_sources_are_those_of_this_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: list[str], found: str | None
) -> None:
    tree(tmp_path, "deblur/ops/_cuda/modules.py", *files)
    monkeypatch.setattr(modules, "__file__", str(tmp_path / "deblur" / "ops" / "_cuda" / "modules.py"))
    monkeypatch.setattr(deblur, "__path__", [str(tmp_path / "site" / "deblur"), str(tmp_path / "deblur")])
    assert modules.find_sources() == ({} if found is None else {"band.cuh": found})


def test_where_it_cannot_run_one_sentence_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.is_available():
        pytest.skip("a CUDA device is here")
    assert not _cuda.available()
    why = _cuda.why_not()
    assert why is not None
    assert "CUDA" in why
    assert _cuda.describe() == why
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ops.warmup() is None
    with pytest.raises(RuntimeError, match="CUDA"):
        _cuda.solve(torch.rand(1, 1, 2, 2), torch.rand(1, 1, 1, 1), Geometry())


def test_info_says_what_serves_or_why_nothing_does() -> None:
    from deblur.cli import info

    said = info._collect()["cuda_kernels"]
    assert said == f"none: {_cuda.why_not()}" if not torch.cuda.is_available() else len(said)


def test_the_environment_can_switch_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBLUR_CUDA", "0")
    toolkit, why = serve._toolkit.__wrapped__()
    assert toolkit is None
    assert why == "the CUDA kernels are switched off by the environment variable DEBLUR_CUDA"


@pytest.mark.parametrize("error", [NvrtcError("line 1: no\nmore of it"), DriverError("line 1: no")], ids=type)
def test_a_kernel_that_cannot_be_made_is_a_reason_and_no_error(monkeypatch: pytest.MonkeyPatch, error) -> None:
    toolkit = emulated.toolkit()

    def fails(*arguments: object) -> bytes:
        raise error

    monkeypatch.setattr(toolkit, "kernels", fails)
    monkeypatch.setattr(serve, "_toolkit", lambda: (toolkit, None))
    why = "the CUDA kernels cannot be made for device 3: line 1: no"
    assert serve._why_not.__wrapped__(3) == why


def test_a_device_too_old_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    toolkit = emulated.toolkit()
    monkeypatch.setattr(toolkit.driver, "architecture", lambda device: 61)
    monkeypatch.setattr(serve, "_toolkit", lambda: (toolkit, None))
    assert serve._why_not.__wrapped__(0) == "CUDA device 0 has compute capability 6.1, the kernels need 7.0"


class FakeNvrtc(Nvrtc):
    def __init__(self, architectures: list[int]) -> None:
        self.identity, self.architectures = "NVRTC 0.0", architectures


def test_a_device_newer_than_the_compiler_gets_ptx_of_the_newest_it_knows() -> None:
    nvrtc = FakeNvrtc([75, 80, 90])
    assert nvrtc.target(80) == "sm_80"
    assert nvrtc.target(89) == "compute_80"
    assert nvrtc.target(120) == "compute_90"
    with pytest.raises(NvrtcError, match="not for a device of 61"):
        nvrtc.target(61)


def test_more_bands_than_a_launch_has_blocks_are_refused() -> None:
    shape = torch.Size((2**11, 1, 2**10, 2**10))
    with pytest.raises(OptionError, match="got 2147483648; split the batch"):
        plan.plan_solve(shape, torch.float32, (3, 3), Geometry(dilation=(2**10, 2**10)), 99 * 1024)
