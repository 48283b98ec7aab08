"""One rule for the axes: arrays have their channels last, tensors first."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deblur.errors import ShapeError
from deblur.layout import as_batch, as_given, as_planes, channels_first

GOOD = [(40, 50), (40, 3), (3, 4), (1, 40, 50), (3, 40, 50), (3, 40, 4), (4, 2, 3), (8, 3, 40, 4), (2, 1, 40, 50)]


@pytest.mark.parametrize("shape", GOOD)
def test_pictures_are_taken_and_given_back_in_their_layout(shape):
    tensor = torch.rand(shape)
    channels_first(tensor)
    batch = as_batch(tensor)
    assert batch.dim() == 4
    assert batch.shape[-2:] == tensor.shape[-2:]
    assert batch.data_ptr() == tensor.data_ptr()
    assert torch.equal(as_given(batch, tensor), tensor)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((40, 50, 3), "expected a tensor (C, H, W), got (40, 50, 3), which looks like (H, W, C); use .movedim(-1, 0)"),
        ((5, 50, 1), "expected a tensor (C, H, W), got (5, 50, 1), which looks like (H, W, C); use .movedim(-1, 0)"),
        (
            (2, 40, 50, 4),
            "expected a tensor (B, C, H, W), got (2, 40, 50, 4), which looks like (B, H, W, C); use .movedim(-1, 1)",
        ),
        ((5,), "expected a tensor (H, W), (C, H, W) or (B, C, H, W), got (5,)"),
        ((1, 2, 3, 40, 50), "expected a tensor (H, W), (C, H, W) or (B, C, H, W), got (1, 2, 3, 40, 50)"),
    ],
)
def test_other_layouts_are_refused(shape, message):
    for check in (channels_first, as_batch):
        with pytest.raises(ShapeError) as caught:
            check(torch.rand(shape))
        assert str(caught.value) == message


def test_the_axes_that_are_named_make_it_right():
    channels_first(torch.rand(40, 50, 3).movedim(-1, 0))
    channels_first(torch.rand(2, 40, 50, 3).movedim(-1, 1))


def test_arrays_become_planes():
    array = np.random.default_rng(0).random((4, 5, 3))
    np.testing.assert_array_equal(as_planes(array)[2], array[..., 2])
    np.testing.assert_array_equal(as_planes(array[..., 0]), array[None, ..., 0])
    with pytest.raises(ShapeError, match=r"expected an array \(H, W\) or \(H, W, C\), got \(1, 4, 5, 3\)"):
        as_planes(array[None])
