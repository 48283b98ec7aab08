"""Whatever an operation is given that it cannot use is refused in one line that says what would fit."""

from __future__ import annotations

import re

import pytest
import torch
from looped import looped

from deblur.errors import DtypeError, OptionError, ShapeError, SingularAnchorError
from deblur.ops import log_abs_det, masked_conv2d, masked_conv2d_solve, stability

X, W = torch.rand(2, 4, 5, 5), torch.eye(4)[:, :, None, None].expand(4, 4, 3, 3)

BAD = {
    "an image of three axes": ({"x": X[0]}, ShapeError, r"shape \(B, C, H, W\), got \(4, 5, 5\)"),
    "other channels": ({"x": X[:, :3]}, ShapeError, "the 4 channels of weight"),
    "an image that is no tensor": ({"x": X.numpy()}, DtypeError, "torch.Tensor, got ndarray"),
    "integers": ({"x": X.int(), "weight": W.int()}, DtypeError, "float32 or float64, got torch.int32"),
    "complex numbers": ({"x": X.cfloat(), "weight": W.cfloat()}, DtypeError, "got torch.complex64"),
    "two dtypes": ({"x": X.double()}, DtypeError, "one dtype, got torch.float64 and torch.float32"),
    "two devices": ({"x": X.to("meta")}, OptionError, "one device, got meta and cpu"),
    "a weight of three axes": ({"weight": W[0]}, ShapeError, r"\(C, C // groups, kh, kw\), got \(4, 3, 3\)"),
    "a weight that is no tensor": ({"weight": [[1.0]]}, DtypeError, "torch.Tensor, got list"),
    "no taps": ({"weight": W[:, :, :0]}, ShapeError, "at least one channel and one tap"),
    "no channels": ({"x": X[:, :0], "weight": W[:0, :0]}, ShapeError, "at least one channel"),
    "a full weight with groups": ({"groups": 2}, ShapeError, r"= \(4, 2, 3, 3\) with groups=2"),
    "a depthwise weight without groups": ({"weight": W[:, :1]}, ShapeError, "needs groups=4"),
    "groups that do not divide": ({"groups": 3}, OptionError, "expected groups to divide the 4 channels"),
    "no groups": ({"groups": 0}, OptionError, "to divide the 4 channels of weight, got 0; try 1"),
    "negative groups": ({"groups": -1}, OptionError, "to divide the 4 channels of weight, got -1"),
    "groups of a half": ({"groups": 0.5}, OptionError, "expected groups to be an integer, got 0.5"),
    "a misspelt orientation": ({"orientation": "topleft"}, OptionError, "got 'topleft', did you mean 'top_left'"),
    "no orientation": (
        {"orientation": None},
        OptionError,
        "expected an orientation, got None; Known: bottom_left, bottom_right, top_left",
    ),
    "a misspelt border": ({"border": "replicated"}, OptionError, "did you mean 'replicate'"),
    "no border": ({"border": None}, OptionError, "expected a border, got None; Known: replicate, zero"),
    "dilation 0": ({"dilation": 0}, OptionError, "expected dilation to be at least 1, got 0"),
    "a negative dilation": ({"dilation": (1, -2)}, OptionError, "expected dilation to be at least 1"),
    "three dilations": ({"dilation": (1, 1, 1)}, OptionError, "an integer or a pair of them, got"),
    "a dilation of a half": ({"dilation": 1.5}, OptionError, "an integer or a pair"),
    "a pair with a half": ({"dilation": (1, 1.5)}, OptionError, "an integer or a pair of them, got"),
}


@pytest.mark.parametrize("name", BAD)
@looped(operation=(masked_conv2d, masked_conv2d_solve))
def test_a_bad_argument_is_refused_in_one_line(operation, name: str) -> None:
    changed, error, message = BAD[name]
    arguments = {"x": X, "weight": W, **changed}
    x, weight = arguments.pop("x"), arguments.pop("weight")
    with pytest.raises(error, match=message) as caught:
        operation(x, weight, **arguments)
    assert re.fullmatch("expected .+, got .+[;?] .+", str(caught.value))  # one line: what fits, what came, what to do


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(OptionError, match="expected a method, got 'gauss'; Known: jacobi, wavefront"):
        masked_conv2d_solve(X, W, method="gauss")


def test_the_name_of_the_argument_is_in_the_message() -> None:
    with pytest.raises(ShapeError, match=r"^expected x of"):
        masked_conv2d(X[0], W)
    with pytest.raises(ShapeError, match=r"^expected y of"):
        masked_conv2d_solve(X[0], W)


METHODS = ("wavefront", "jacobi")

SINGULAR = {
    "a zero": (torch.zeros(1, 1, 2, 2), 1),
    "a zero in one channel": (torch.tensor([1.0, 0.0, 2.0]).view(3, 1, 1, 1), 3),
    "a zero among taps": (torch.tensor([[1.0, 0.5], [0.0, 0.5], [2.0, 0.5]]).view(3, 1, 2, 1), 3),
    "dependent rows": (torch.tensor([[1.0, 2.0], [2.0, 4.0]]).view(2, 2, 1, 1), 1),
    "dependent but for rounding": (torch.tensor([[0.1, 0.2], [0.3, 0.6]]).view(2, 2, 1, 1), 1),
    "a zero row": (torch.tensor([[1.0, 2.0], [0.0, 0.0]]).view(2, 2, 1, 1), 1),
    "one group of two": (torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 1.0]]).view(4, 2, 1, 1), 2),
}


@pytest.mark.parametrize("name", SINGULAR)
@pytest.mark.usefixtures("backend")
@looped(dtype=(torch.float16, torch.float32, torch.float64), method=METHODS)
def test_a_singular_anchor_is_refused(name: str, dtype: torch.dtype, method: str) -> None:
    weight, groups = SINGULAR[name]
    if name == "dependent but for rounding" and dtype == torch.float16:
        return  # rounded to half precision these rows are independent
    y = torch.ones(1, weight.shape[0], 3, 3, dtype=dtype)
    with pytest.raises(SingularAnchorError, match=r"^expected the anchor .* to be invertible"):
        masked_conv2d_solve(y, weight.to(dtype), groups=groups, method=method)
    masked_conv2d(y, weight.to(dtype), groups=groups)  # the convolution itself needs no inverse


@pytest.mark.usefixtures("backend")
@looped(zero=(0.0, -0.0), batch=(0, 2))
def test_the_channel_without_an_inverse_is_named(zero: float, batch: int) -> None:
    weight = torch.full((2, 2, 4, 1), 0.5).transpose(1, 3)  # (2, 1, 4, 2), not contiguous
    weight[1, 0, 0, 0] = zero
    with pytest.raises(SingularAnchorError, match=r"to be invertible, got 0 in channel 1; set it"):
        masked_conv2d_solve(torch.ones(batch, 2, 5, 5), weight, groups=2)


FOLDED = {
    "corner": [[1.0, 0.1], [-0.9, -0.2]],
    "first row": [[1.0, 0.1], [-1.0, 0.2]],
    "first column": [[0.3, -0.1], [0.5, 0.2]],  # with a third tap, 0 but for rounding
}


@pytest.mark.parametrize("name", FOLDED)
@pytest.mark.usefixtures("backend")
@looped(channels=(1, 2), method=METHODS)
def test_a_singular_anchor_of_the_edge_is_refused_by_name(name: str, channels: int, method: str) -> None:
    taps = torch.tensor(FOLDED[name])
    if name == "first column":
        taps = torch.cat((taps, torch.tensor([[-0.2], [0.0]])), 1)
    weight = torch.eye(channels)[:, :, None, None] * taps
    y = torch.rand(1, channels, 4, 5)
    with pytest.raises(SingularAnchorError, match=f"expected the {name}'s anchor .* to be invertible"):
        masked_conv2d_solve(y, weight, border="replicate", method=method)
    masked_conv2d_solve(y, weight, method=method)
    if name != "corner":  # a frame without such pixels
        single = y[..., :1] if name == "first row" else y[..., :1, :]
        masked_conv2d_solve(single, weight, border="replicate", method=method)
        assert log_abs_det(weight, *single.shape[2:], border="replicate").isfinite()
    assert log_abs_det(weight, 4, 5, border="replicate") < -10


def test_a_badly_scaled_anchor_is_not_singular() -> None:
    for anchor in ([[1.0, 0.0], [0.0, 1e-30]], [[1.0, 1e-20], [1.0, 2e-20]], [[0.0, 1.0], [1.0, 0.0]]):
        weight = torch.tensor(anchor).view(2, 2, 1, 1)
        x = torch.ones(1, 2, 3, 3)
        back = masked_conv2d(masked_conv2d_solve(x, weight), weight)
        torch.testing.assert_close(back, x, rtol=1e-3, atol=1e-3)


def test_frames_are_checked() -> None:
    for function in (log_abs_det, stability):
        with pytest.raises(OptionError, match="expected H and W to be integers"):
            function(W, 3.0, 4)
        with pytest.raises(OptionError, match="expected H and W"):
            function(W, -1, 4)
        with pytest.raises(ShapeError, match="needs groups=4"):
            function(W[:, :1], 3, 4)
    with pytest.raises(OptionError, match="expected dilation to be at least 1"):
        stability(W, 4, 4, dilation=0)


def test_the_log_determinant_of_a_singular_anchor_is_minus_infinity() -> None:
    assert log_abs_det(torch.zeros(1, 1, 2, 2), 3, 3) == -torch.inf
    assert log_abs_det(torch.ones(2, 2, 1, 1), 3, 3) == -torch.inf
    half = log_abs_det(torch.full((1, 1, 1, 1), 0.5, dtype=torch.float16), 2, 2)
    torch.testing.assert_close(half, 4 * torch.tensor(0.5).log())
