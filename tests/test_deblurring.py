"""A picture alone goes in: what comes out is what its kernel, found first, would make of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from skimage import data

import deblur
from deblur import estimation, fitting, words
from deblur.estimation import Estimate
from deblur.psf import Kernel

TAPS = np.random.default_rng(3).random((7, 5)) ** 4


@dataclass(frozen=True, kw_only=True)
class Guess:
    """Says the same of every picture."""

    size: int | None = None

    def __call__(self, frames: Any, **_: Any) -> Estimate:
        return Estimate(kernel=Kernel(TAPS, confidence=0.731, misfit=0.00417, source="one picture alone"), method="a")


@pytest.fixture
def blurred() -> np.ndarray:
    blurred: np.ndarray = deblur.blur(data.camera()[100:230, 120:260], Kernel(TAPS), noise=0.005)
    return blurred


@pytest.mark.parametrize("options", [{}, {"noise": 0.02, "saturation": "none", "transfer": "linear", "mask": "none"}])
def test_a_picture_alone_is_restored_by_the_kernel_that_fit_finds(
    blurred: np.ndarray, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(estimation.ESTIMATORS, "blind", Guess)
    monkeypatch.setattr(fitting, "find", lambda picture, *_: Guess()([picture.pixels]))
    restored = deblur.apply(blurred, **options)
    assert (restored != blurred).any()
    np.testing.assert_array_equal(restored, deblur.apply(blurred, deblur.fit(blurred, **options), **options))
    batch = torch.from_numpy(np.stack([blurred, blurred[::-1]]))[:, None]
    both = deblur.apply(batch, **options)
    assert torch.equal(both, deblur.apply(batch, deblur.fit(batch, **options), **options))


def test_the_name_of_a_blur_without_numbers_is_fitted(blurred: np.ndarray) -> None:
    restored = deblur.apply(blurred, "defocus", method="wiener")
    estimate = deblur.fit(blurred, parametric="defocus")
    assert estimate.kernel.source.startswith("defocus:radius=")
    np.testing.assert_array_equal(restored, deblur.apply(blurred, estimate, method="wiener"))


@pytest.mark.slow
def test_a_kernel_of_free_taps_is_found_alike_twice(blurred: np.ndarray) -> None:
    np.testing.assert_array_equal(deblur.apply(blurred), deblur.apply(blurred, deblur.fit(blurred)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32", "float64"])
@pytest.mark.parametrize("colours", [(), (4,)])
def test_a_picture_without_a_blur_comes_back_to_the_bit(dtype: str, colours: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).random((40, 50, *colours))
    image = values.astype(dtype) if dtype.startswith("f") else (values * np.iinfo(dtype).max).astype(dtype)
    for kernel in ([[1.0]], np.array([[0, 0, 0], [0, 2, 0], [0, 0, 0]])):
        restored = deblur.apply(image, kernel)
        np.testing.assert_array_equal(restored, image)
        assert restored.dtype == image.dtype
        assert restored is not image
    tensor = torch.from_numpy(values)[None].float() if not colours else torch.from_numpy(values).movedim(-1, 0)
    assert torch.equal(deblur.apply(tensor, [[1.0]]), tensor)


def test_neither_nan_nor_a_mask_is_touched_where_there_is_no_blur() -> None:
    image = np.random.default_rng(0).random((40, 50))
    image[3, 4] = np.nan
    np.testing.assert_array_equal(deblur.apply(image, [[1.0]]), image)
    covered = np.ma.masked_greater(np.nan_to_num(image), 0.9)
    restored = deblur.apply(covered, [[1.0]])
    np.testing.assert_array_equal(restored.mask, covered.mask)
    np.testing.assert_array_equal(restored.data, covered.data)


def test_a_tap_alone_smooths_where_nothing_is_to_be_drawn_back() -> None:
    noisy = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
    assert (deblur.apply(noisy, [[1.0]], trust="none", method="wiener", noise=0.1) != noisy).any()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("one picture alone", "camera shake, about 6 pixels"),
        ("a pair of pictures", "a blur of about 6 pixels"),
        ("points: 14 of them", "as points of light show it, about 6 pixels"),
        ("defocus:radius=4.1234", "out of focus, radius 4.1"),
        ("motion:length=9.96,angle=170.4", "motion of 10 pixels at 170 degrees"),
        ("gaussian:sigma=12.3", "soft, like a gaussian of 12 pixels"),
        ("motion:length=9", "motion:length=9"),
        ("box:size=3.1", "box:size=3.1"),
        ("C:/kernels/k.npy", "a blur of about 6 pixels"),
        ("", "a blur of about 6 pixels"),
    ],
)
def test_a_blur_is_told_in_words(source: str, said: str) -> None:
    taps = np.zeros((9, 9))
    taps[2, 1:7] = [1, 0.06, 0.5, 0.3, 0.2, 0.06]
    taps[8, 8] = 0.04  # too faint to count
    assert words.of_kernel(Kernel(taps, source=source)) == said
    assert words.of_kernel(Kernel(np.stack(3 * [taps]), source=source)) == said


@pytest.mark.parametrize(
    ("confidence", "said"),
    [
        (1.0, "sure (1.00)"),
        (0.9, "sure (0.90)"),
        (0.89, "quite sure (0.89)"),
        (0.5, "not sure (0.50)"),
        (0.49, "unlikely (0.49)"),
        (0.0, "unlikely (0.00)"),
    ],
)
def test_how_sure_one_is_is_a_word_and_a_number(confidence: float, said: str) -> None:
    assert words.of_confidence(confidence) == said


@pytest.mark.parametrize(
    ("trusted", "said"),
    [
        (1.0, "restored"),
        (0.96, "restored"),
        (0.95, "drawn towards the file by 5%"),
        (0.4, "by 60%"),
        (0.05, "left as it was"),
        (0.0, "left as it was"),
    ],
)
def test_what_became_of_a_picture_is_told(trusted: float, said: str) -> None:
    assert words.of_share(trusted).endswith(said)
