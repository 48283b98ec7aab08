"""`deblur.denoise` on arrays: what comes out has the form of what came, and noise is found and removed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pictures import of
from scenes import noisy, photograph

import deblur
from deblur.denoising import remove_noise
from deblur.errors import DtypeError, FileError, OptionError, ShapeError
from deblur.options import DenoiseOptions


@pytest.mark.parametrize("shape", [(20, 17), (20, 17, 1), (20, 17, 2), (9, 8, 3), (9, 8, 4), (1, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_shape_type_and_alpha_are_kept(shape: tuple[int, ...], dtype: type) -> None:
    white = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    image = (np.random.default_rng(0).random(shape) * white).astype(dtype)
    alpha = len(shape) == 3 and shape[2] in (2, 4)
    result = deblur.denoise(image, noise=0.1, alpha=alpha)
    assert (result.shape, result.dtype) == (image.shape, image.dtype)
    assert np.isfinite(result).all()
    if alpha:
        np.testing.assert_array_equal(result[..., -1], image[..., -1])


def test_hidden_colours_neither_reach_nor_change() -> None:
    image = np.full((24, 24, 2), 0.5, np.float32)
    image[:, :10] = 0
    other = image.copy()
    other[:, :10, 0] = 1
    one, two = (deblur.denoise(each, noise=0.1, alpha=True) for each in (image, other))
    np.testing.assert_array_equal(one[:, 10:], two[:, 10:])
    np.testing.assert_array_equal(two[:, :10], other[:, :10])


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_flat_picture_without_noise_is_left_as_it_is(level: float) -> None:
    image = torch.full((40, 44), level)
    assert torch.equal(deblur.denoise(image), image)


def test_noise_is_found_and_removed() -> None:
    clean = photograph(200).float()
    frame = noisy(clean, 20 / 255)
    result = remove_noise(of(frame))
    assert result.sigma == pytest.approx(20 / 255, rel=0.1)
    assert float((result.image - clean).square().mean()) < float((frame - clean).square().mean()) / 4


def test_strength_is_a_factor_of_the_noise() -> None:
    frame = noisy(photograph(32), 0.1)[0]
    torch.testing.assert_close(deblur.denoise(frame, noise=0.1), deblur.denoise(frame, noise=0.05, strength=2))


def test_progress_is_told_tile_by_tile() -> None:
    told: list[tuple[int, int]] = []
    result = remove_noise(
        of(torch.rand(1, 8, 8)),
        DenoiseOptions(noise=0.1),
        on_step=lambda s: told.append((s.index, s.total)),
    )
    assert told == [(1, 1)]
    assert result.steps == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"noise": 2.0}, OptionError, "expected noise as a fraction of full scale"),
        ({"noise": "loud"}, OptionError, "expected noise to be one of auto, got 'loud'"),
        ({"strength": 0}, OptionError, "expected a strength above 0, got 0"),
        ({"threads": 0}, OptionError, "expected at least 1 thread"),
        ({"device": "tpu"}, OptionError, "expected device to be one of auto, cpu, cuda"),
        ({"prior": "none.pt"}, FileError, "none.pt: there is no such checkpoint"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message.replace("?", r"\?")):
        deblur.denoise(np.zeros((8, 8), np.uint8), **options)


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (np.zeros((8, 8), np.int32), DtypeError),
        (np.zeros((3, 8, 8)), ShapeError),
        (np.zeros((0, 8)), ShapeError),
        (np.full((8, 8), np.nan), ShapeError),
    ],
)
def test_bad_pictures_are_refused(image: np.ndarray, error: type[Exception]) -> None:
    with pytest.raises(error):
        deblur.denoise(image)
