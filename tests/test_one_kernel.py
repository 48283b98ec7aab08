"""A kernel gives the same picture whichever way it goes from the estimation to the restoration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data

import deblur
from deblur import images, psf
from deblur.arrays import picture_of
from deblur.cli import main
from deblur.psf import Kernel

BLUR = "motion:length=7,angle=30"


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    """A sharp picture and a blurred one small enough for the method of exactly known kernels, 8 bits."""
    sharp = data.camera()[100:210, 120:240]
    return sharp, deblur.blur(sharp, BLUR, noise=0.01, transfer="linear")


@pytest.mark.parametrize("fitted", [{}, {"parametric": "motion"}, {"model": "masked", "size": 5}])
def test_python_and_the_command_line_restore_alike(
    pair: tuple[np.ndarray, np.ndarray], fitted: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sharp, blurred = pair
    if fitted.get("model") == "masked":
        blurred = deblur.blur(sharp, "exponential:decay=1,angle=-45", boundary="zero")
    for name, image in (("b.png", blurred), ("s.png", sharp)):
        cv2.imwrite(name, image)
    kernel = "k.npz" if fitted.get("model") == "masked" else "k.npy"
    words = [word for key, value in fitted.items() for word in (f"--{key}", str(value))]
    assert main(["fit", "b.png", "--sharp", "s.png", "-o", kernel, *words]) == 0
    assert main(["apply", "b.png", "-k", kernel, "-o", "r.png"]) == 0
    estimate = deblur.fit(blurred, sharp, **fitted)
    assert 0 <= estimate.confidence <= 1
    assert psf.read(kernel).misfit == estimate.kernel.misfit
    restored = deblur.apply(blurred, estimate)
    np.testing.assert_array_equal(restored, cv2.imread("r.png", cv2.IMREAD_UNCHANGED))
    np.testing.assert_array_equal(restored, deblur.apply(blurred, estimate.kernel))
    np.testing.assert_array_equal(restored, deblur.apply(blurred, kernel))
    np.testing.assert_array_equal(restored, deblur.apply("b.png", Path(kernel)))


def test_a_fitted_kernel_is_not_taken_for_a_known_one(pair: tuple[np.ndarray, np.ndarray]) -> None:
    picture, taps = picture_of(pair[1]), psf.make(BLUR)
    assert deblur.restore(picture, taps).method == "flow"
    assert deblur.restore(picture, Kernel(taps, confidence=0.9)).method == "hyperlaplacian"


@pytest.mark.parametrize("confidence", [0.0, 0.7])
def test_a_confidence_given_by_hand_comes_before_the_kernels_own(
    pair: tuple[np.ndarray, np.ndarray], confidence: float
) -> None:
    kernel = Kernel(psf.make(BLUR), confidence=0.3, misfit=0.05)
    told = deblur.apply(pair[1], kernel, method="wiener", confidence=confidence)
    own = deblur.apply(pair[1], kernel.replaced(confidence=confidence), method="wiener")
    np.testing.assert_array_equal(told, own)
    assert (told != deblur.apply(pair[1], kernel, method="wiener")).any()


def test_the_misfit_is_what_a_restoration_weighs(pair: tuple[np.ndarray, np.ndarray]) -> None:
    taps = psf.make(BLUR)
    sharp, smooth = (
        deblur.apply(pair[1], Kernel(taps, confidence=0.5, misfit=misfit), method="wiener").astype(float)
        for misfit in (0.001, 0.05)
    )
    assert np.abs(np.diff(smooth)).mean() < np.abs(np.diff(sharp)).mean()


def test_files_keep_their_kind_and_pictures_stay_pictures(pair: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "b.png"
    cv2.imwrite(str(path), pair[1])
    (frame,) = images.read_frames(path)
    options: dict[str, Any] = {"method": "wiener", "transfer": "linear"}
    by_array = deblur.apply(pair[1], BLUR, **options)
    by_picture = deblur.apply(frame, BLUR, **options)
    assert isinstance(by_picture, images.Frame)
    images.write_frames(tmp_path / "r.png", [by_picture])
    for other in (cv2.imread(str(tmp_path / "r.png"), cv2.IMREAD_UNCHANGED), deblur.apply(path, BLUR, **options)):
        np.testing.assert_array_equal(by_array, other)
    fitted = [deblur.fit(one, pair[0], size=9).kernel for one in (pair[1], frame, path)]
    np.testing.assert_array_equal(fitted[0], fitted[1])
    np.testing.assert_array_equal(fitted[0], fitted[2])
