"""The blur operator: it is the convolution it claims to be, and its adjoint is its adjoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from deblur.errors import KernelError, OptionError, ShapeError
from deblur.psf.operator import BOUNDARIES, Blur, blur, transfer_function

PADS = {"zero": "constant", "reflect": "symmetric", "replicate": "edge", "circular": "wrap"}
SIZES = [(5, 7), (4, 6), (1, 3), (2, 1), (9, 9)]


def _random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape)


def _grown(image: np.ndarray, size: tuple[int, int], mode: str) -> np.ndarray:
    """The image with what a kernel with its origin at (kh // 2, kw // 2) reads beyond its border."""
    return np.pad(image, [(k - 1 - k // 2, k // 2) for k in size], mode=mode)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("boundary", PADS)
def test_known_boundary_is_the_convolution_of_the_padded_picture(boundary: str, size: tuple[int, int]) -> None:
    image, psf = _random(20, 17), _random(*size, seed=1)
    expected = convolve2d(_grown(image, size, PADS[boundary]), psf, "valid")
    torch.testing.assert_close(blur(torch.tensor(image)[None], psf, boundary)[0], torch.tensor(expected))


@pytest.mark.parametrize("size", SIZES)
def test_valid_blur_is_what_scipy_calls_valid(size: tuple[int, int]) -> None:
    image, psf = _random(20, 17), _random(*size, seed=1)
    expected = torch.tensor(convolve2d(image, psf, "valid"))
    torch.testing.assert_close(blur(torch.tensor(image)[None], psf)[0], expected)


@pytest.mark.parametrize("size", SIZES)
def test_unknown_boundary_reads_the_scene_around_the_frame(size: tuple[int, int]) -> None:
    scene, psf = _random(20, 17), _random(*size, seed=1)
    expected = torch.tensor(convolve2d(scene, psf, "valid"))
    operator = Blur(psf, tuple(expected.shape), dtype=torch.float64)
    spare = torch.full((1, *operator.scene), 9.0, dtype=torch.float64)  # values the frame must not see
    spare[0, :20, :17] = torch.tensor(scene)
    torch.testing.assert_close(operator(spare)[0], expected)


def test_valid_and_unknown_agree_on_which_pixel_is_which() -> None:
    scene = torch.zeros(1, 20, 20, dtype=torch.float64)
    scene[0, 9, 11] = 1
    delta = np.zeros((5, 4))
    delta[5 // 2, 4 // 2] = 1
    seen = blur(scene, delta)
    operator = Blur(delta, tuple(seen.shape[-2:]), dtype=torch.float64)
    torch.testing.assert_close(operator.crop(operator.extend(seen)), seen)
    torch.testing.assert_close(operator(operator.extend(seen)), seen)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_adjoint(boundary: str, size: tuple[int, int]) -> None:
    operator = Blur(_random(3, *size), (19, 16), boundary, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    scene = torch.rand(3, *operator.scene, dtype=torch.float64, generator=generator)
    frame = torch.rand(3, 19, 16, dtype=torch.float64, generator=generator)
    torch.testing.assert_close((operator(scene) * frame).sum(), (scene * operator.adjoint(frame)).sum())


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_constant_frame_extends_to_a_constant_scene(boundary: str) -> None:
    operator = Blur(np.full((5, 5), 0.04), (16, 18), boundary)
    scene = operator.extend(torch.full((2, 16, 18), 0.25))
    assert scene.shape == (2, *operator.scene)
    assert bool((scene == 0.25).all())


def test_one_kernel_per_channel() -> None:
    image, psf = _random(3, 14, 15), _random(3, 3, 5, seed=1)
    expected = np.stack([convolve2d(plane, taps, "valid") for plane, taps in zip(image, psf, strict=True)])
    torch.testing.assert_close(blur(torch.tensor(image), psf), torch.tensor(expected))


def test_transfer_function_wraps_taps_that_do_not_fit() -> None:
    spectrum = transfer_function(torch.ones(1, 7, dtype=torch.float64), (1, 4), (0, 0))
    torch.testing.assert_close(spectrum, torch.fft.rfft2(torch.tensor([[2.0, 2, 2, 1]], dtype=torch.float64)))


def test_kernel_larger_than_the_frame_is_refused() -> None:
    with pytest.raises(KernelError, match="no larger than the frame of 8 x 9 pixels, got 9 x 3"):
        Blur(np.ones((9, 3)), (8, 9))


def test_unknown_name_of_a_boundary_is_refused() -> None:
    with pytest.raises(OptionError, match="unknown, zero, reflect, replicate, circular, got 'mirror'"):
        Blur(np.ones((3, 3)), (8, 9), "mirror")
    with pytest.raises(OptionError, match="valid, zero, reflect"):
        blur(torch.ones(1, 8, 8), np.ones((3, 3)), "unknown")


def test_image_of_another_size_is_refused() -> None:
    with pytest.raises(ShapeError, match="expected an image of 8 x 9 pixels"):
        Blur(np.ones((3, 3)), (8, 9)).adjoint(torch.ones(1, 9, 8))
