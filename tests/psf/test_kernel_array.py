"""Origin, fit, rearrangement, masked form and picture of a kernel's array."""

from __future__ import annotations

import numpy as np
import pytest

import deblur.psf as psf
from deblur.errors import KernelError


def test_kernel_larger_than_the_frame_does_not_fit() -> None:
    psf.fits(np.ones((5, 7)), (5, 7))
    message = "expected a kernel no larger than the frame, got 5 x 7 taps for 5 x 6 pixels; crop it about its origin"
    with pytest.raises(KernelError) as caught:
        psf.fits(np.ones((5, 7)), (3, 5, 6))
    assert str(caught.value) == message


def test_kernels_per_channel_match_the_channels() -> None:
    psf.fits(np.ones((3, 5, 5)), (3, 9, 9))
    psf.fits(np.ones((1, 5, 5)), (3, 9, 9))
    for frame in ((1, 9, 9), (9, 9)):
        with pytest.raises(KernelError, match="3 kernels for 1 channel"):
            psf.fits(np.ones((3, 5, 5)), frame)


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (5, 6), (6, 5), (2, 7, 4)])
def test_flip_is_a_half_turn_about_the_origin_tap(shape: tuple[int, ...]) -> None:
    kernel = np.random.default_rng(0).random(shape)
    turned = psf.flip(kernel)
    for tap in np.argwhere(kernel):
        mirrored = tap.copy()
        mirrored[-2:] = 2 * np.array(psf.origin(kernel.shape)) - tap[-2:]
        mirrored[-2:] += np.array(psf.origin(turned.shape)) - psf.origin(kernel.shape)
        assert turned[tuple(mirrored)] == kernel[tuple(tap)]
    assert turned.sum() == pytest.approx(kernel.sum())


@pytest.mark.parametrize("shape", [(1, 1), (9, 8), (8, 9), (3, 7, 7)])
def test_trim_keeps_every_tap_at_its_distance_from_the_origin(shape: tuple[int, ...]) -> None:
    kernel = np.zeros(shape)
    kernel[..., shape[-2] // 2, shape[-1] // 2] = 1
    if shape[-1] > 3:
        kernel[..., shape[-2] // 2 - 1, shape[-1] // 2 + 2] = 0.5
    small = psf.trim(kernel)
    assert small.shape[-2:] == ((3, 5) if shape[-1] > 3 else (1, 1))
    offsets = [np.argwhere(array)[:, -2:] - psf.origin(array.shape) for array in (kernel, small)]
    np.testing.assert_array_equal(*offsets)


@pytest.mark.parametrize(
    ("angle", "orientation"),
    [(0, "top_left"), (-40, "top_left"), (220, "top_right"), (40, "bottom_left"), (140, "bottom_right")],
)
def test_trail_reads_against_its_direction(angle: float, orientation: str) -> None:
    form = psf.masked_form(psf.exponential(decay=3, angle=angle))
    assert form is not None
    assert form.orientation == orientation


@pytest.mark.parametrize("angle", [-40, 0, 40, 90, 140, 220])
def test_masked_form_is_the_blur_itself(angle: float) -> None:
    torch = pytest.importorskip("torch")
    from scipy.signal import convolve2d

    from deblur.ops import masked_conv2d

    kernel = psf.exponential(decay=1.5, angle=angle)
    form = psf.masked_form(kernel)
    assert form is not None
    frame = np.random.default_rng(1).random((20, 23))
    rows, columns = psf.origin(kernel.shape)
    full = convolve2d(frame, kernel)[rows : rows + 20, columns : columns + 23]
    weight = torch.from_numpy(form.weight)[None, None]
    masked = masked_conv2d(torch.from_numpy(frame)[None, None], weight, orientation=form.orientation)
    np.testing.assert_allclose(masked[0, 0], full, atol=1e-12)


@pytest.mark.parametrize(
    "spec", ["motion:length=5", "gaussian:sigma=1", "defocus:radius=2", "shake", "laplace:decay=1"]
)
def test_two_sided_blur_has_no_masked_form(spec: str) -> None:
    assert psf.masked_form(psf.make(spec)) is None


def test_zero_anchor_has_no_masked_form() -> None:
    assert psf.masked_form(np.array([[0.0, 0.0, 1.0]])) is None


def test_picture_is_gray_upscaled_and_whole() -> None:
    kernel = psf.motion(length=7, angle=30)
    image = psf.draw(kernel, size=100)
    factor = image.shape[0] // kernel.shape[0]
    assert image.dtype == np.uint8
    assert image.shape == (kernel.shape[0] * factor, kernel.shape[1] * factor)
    assert min(image.shape) >= 100
    assert image.max() == 255
    np.testing.assert_allclose(image[::factor, ::factor], kernel / kernel.max() * 255, atol=0.51)
    assert psf.draw(np.array([[-1.0, 2.0]]), size=1).tolist() == [[0, 255]]
    assert psf.draw(np.ones((3, 5, 5)), size=5).shape == (5, 19)
    assert max(psf.draw(psf.motion(length=400)).shape) <= 1024
