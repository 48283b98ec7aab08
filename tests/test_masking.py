"""Pixels that are not to be believed reach nothing, however that is said: a mask, NaN, a masked array, a float file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import torch
from pictures import picture

import deblur
from deblur.errors import DeblurError, FileError, OptionError, ShapeError
from deblur.images import Frame, write_frames
from deblur.masking import mask_named, masked
from deblur.picture import Picture

BLUR = "gaussian:sigma=1.5"
HOLE = (slice(20, 26), slice(30, 36))
OPTIONS: dict[str, Any] = {"method": "wiener", "transfer": "linear", "noise": 0.003, "saturation": "none"}


@pytest.fixture(scope="module")
def frame() -> npt.NDArray[np.float32]:
    return np.asarray(deblur.blur(picture()[0].numpy(), BLUR, transfer="linear"), np.float32)


@pytest.fixture(scope="module")
def believed(frame: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    believed = np.ones(frame.shape, bool)
    believed[HOLE] = False
    return believed


def _spoilt(frame: npt.NDArray[Any], value: float) -> npt.NDArray[Any]:
    spoilt = frame.copy()
    spoilt[HOLE] = value
    return spoilt


def _saved(mask: npt.NDArray[np.bool_], path: Path) -> Path:
    write_frames(path, [Frame(pixels=torch.from_numpy(mask)[None].float())])
    return path


def test_every_way_to_say_it_means_the_same(
    frame: npt.NDArray[np.float32], believed: npt.NDArray[np.bool_], tmp_path: Path
) -> None:
    spoilt = _spoilt(frame, 0.9)
    by_array = deblur.apply(spoilt, BLUR, mask=believed, **OPTIONS)
    tifffile.imwrite(tmp_path / "nan.tif", _spoilt(frame, np.nan))
    ways = [
        deblur.apply(spoilt, BLUR, mask=200 * believed.astype(np.uint8), **OPTIONS),
        deblur.apply(spoilt, BLUR, mask=torch.from_numpy(believed), **OPTIONS),
        deblur.apply(spoilt, BLUR, mask=_saved(believed, tmp_path / "mask.png"), **OPTIONS),
        deblur.apply(_spoilt(frame, np.nan), BLUR, **OPTIONS),
        deblur.apply(_spoilt(frame, -np.inf), BLUR, **OPTIONS),
        deblur.apply(torch.from_numpy(_spoilt(frame, np.nan)), BLUR, **OPTIONS).numpy(),
        deblur.apply(Picture(pixels=torch.from_numpy(_spoilt(frame, np.nan))[None]), BLUR, **OPTIONS).pixels[0].numpy(),
        deblur.apply(tmp_path / "nan.tif", BLUR, **OPTIONS),
        np.asarray(deblur.apply(np.ma.masked_array(spoilt, ~believed), BLUR, **OPTIONS)),
    ]
    for way in ways:
        np.testing.assert_allclose(way, by_array, atol=1e-5)
    assert np.abs(by_array - deblur.apply(spoilt, BLUR, **OPTIONS)).max() > 0.05


def test_an_estimate_stands_in_the_place_of_what_was_not_believed(
    frame: npt.NDArray[np.float32],
) -> None:
    restored = deblur.apply(_spoilt(frame, np.nan), BLUR, **OPTIONS | {"method": "hyperlaplacian"})
    assert np.isfinite(restored).all()
    off, filled = np.abs(restored[HOLE] - frame[HOLE]).mean(), np.abs(frame.mean() - frame[HOLE]).mean()
    assert off < filled / 2


def test_a_masked_array_comes_back_with_its_mask(
    frame: npt.NDArray[np.float32], believed: npt.NDArray[np.bool_]
) -> None:
    for values in (frame, (255 * frame).round().astype(np.uint8)):
        given = np.ma.masked_array(values, ~believed)
        restored = deblur.apply(given, BLUR, **OPTIONS)
        assert isinstance(restored, np.ma.MaskedArray)
        assert restored.dtype == values.dtype
        np.testing.assert_array_equal(restored.mask, ~believed)
        restored.mask[0, 0] = True  # a mask of its own
        assert not given.mask[0, 0]
    assert isinstance(deblur.apply(np.ma.masked_array(frame), BLUR, **OPTIONS), np.ma.MaskedArray)


def test_channels_are_masked_apart(frame: npt.NDArray[np.float32]) -> None:
    colour = np.dstack([frame, frame, frame])
    colour[HOLE][..., 1] = np.nan
    restored = deblur.apply(colour, BLUR, **OPTIONS)
    plain = deblur.apply(np.dstack([frame, frame, frame]), BLUR, **OPTIONS)
    assert np.isfinite(restored).all()
    np.testing.assert_allclose(restored[..., 0], plain[..., 0], atol=0.02)


def test_it_is_said_how_many_there_are(frame: npt.NDArray[np.float32], believed: npt.NDArray[np.bool_]) -> None:
    nan = Picture(pixels=torch.from_numpy(_spoilt(frame, np.nan))[None])
    assert masked(nan).notes == ("36 pixels not believed (NaN)",)
    infinite = Picture(pixels=torch.from_numpy(_spoilt(frame, np.inf))[None])
    assert masked(infinite).notes == ("36 pixels not believed (NaN or infinite)",)
    assert masked(Picture(pixels=torch.from_numpy(frame)[None]), mask=believed).notes == (
        "36 pixels not believed (--mask)",
    )
    assert masked(Picture(pixels=torch.from_numpy(frame)[None])).notes == ()


def test_the_kernel_is_found_without_them(frame: npt.NDArray[np.float32], believed: npt.NDArray[np.bool_]) -> None:
    sharp, options = picture()[0].numpy(), {"size": 9, "transfer": "linear", "saturation": "none"}
    kernel = deblur.fit(_spoilt(frame, 0.9), sharp, mask=believed, **options).kernel
    np.testing.assert_allclose(kernel, deblur.fit(_spoilt(frame, np.nan), sharp, **options).kernel, atol=1e-6)
    good = deblur.fit(frame, sharp, **options).kernel.taps
    spoilt = deblur.fit(_spoilt(frame, 0.9), sharp, **options).kernel.taps
    assert np.abs(kernel.taps - good).sum() < np.abs(spoilt - good).sum() / 5


def test_denoising_and_blurring(frame: npt.NDArray[np.float32]) -> None:
    assert np.isfinite(deblur.denoise(_spoilt(frame, np.nan), noise=0.05)).all()
    with pytest.raises(ShapeError, match="known everywhere"):
        deblur.blur(_spoilt(frame, np.nan), BLUR)


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (np.ones((3, 4)), ShapeError, r"expected a mask of \d+ x \d+ pixels like the picture, got 4 x 3"),
        (np.ones((3, 4, 3)), OptionError, r"expected a mask of \(rows, columns\).* got an array \(3, 4, 3\)"),
        (None, OptionError, "expected a mask of .*auto or none, got None"),
        (np.zeros((3, 4)), OptionError, "got 0 everywhere; invert it"),
        ("missing.png", FileError, "missing.png: there is no such file"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused_in_one_line(
    mask: Any, error: type[DeblurError], message: str, frame: npt.NDArray[np.float32]
) -> None:
    with pytest.raises(error, match=message):
        deblur.apply(frame, BLUR, mask=mask)


@pytest.mark.parametrize("share", [0.6, 1.0])
def test_a_picture_that_is_mostly_nan_is_refused(share: float, frame: npt.NDArray[np.float32]) -> None:
    lost = frame.copy()
    lost[: int(share * len(frame)) + 1] = np.nan
    for job in (lambda: deblur.apply(lost, BLUR), lambda: deblur.fit(lost), lambda: deblur.denoise(lost)):
        with pytest.raises(ShapeError, match=r"expected finite pixel values, got NaN or infinity in \d+% of the pix"):
            job()
    with pytest.raises(ShapeError, match="all of them masked"):
        deblur.apply(np.ma.masked_array(frame, True), BLUR)


def test_alpha_is_no_place_for_nan(frame: npt.NDArray[np.float32]) -> None:
    with pytest.raises(ShapeError, match="finite"):
        deblur.apply(np.dstack([frame, _spoilt(np.ones_like(frame), np.nan)]), BLUR, alpha=True)


def test_a_masked_alpha_hides_the_pixel_in_every_channel(frame: npt.NDArray[np.float32]) -> None:
    both = np.ma.masked_array(np.dstack([frame, np.ones_like(frame)]))
    both[HOLE][..., 1] = np.ma.masked
    restored = deblur.apply(both, BLUR, alpha=True, **OPTIONS)
    np.testing.assert_array_equal(restored.mask, both.mask)


def test_a_mask_is_zero_in_the_values_of_its_file(tmp_path: Path) -> None:
    values = np.array([[0, 1], [255, 0]], np.uint8)
    write_frames(tmp_path / "mask.png", [Frame(pixels=torch.from_numpy(values)[None] / 255)])
    believed = mask_named(tmp_path / "mask.png")
    assert isinstance(believed, torch.Tensor)
    assert believed.tolist() == [[False, True], [True, False]]
