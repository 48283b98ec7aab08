"""What the numbers of a kernel stand for is recognised where it is certain, and said with what to type."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

import deblur
from deblur import psf
from deblur.errors import FileError, KernelError, OptionError
from deblur.psf import Kernel, Reading, understood
from deblur.psf.array import square

SHAKE = np.pad(psf.make("shake:size=15,seed=3"), 8)
GAUSSIAN = np.pad(psf.make("gaussian:sigma=2"), 8)
SHAPES = [SHAKE, GAUSSIAN, np.pad(psf.make("motion:length=11,angle=0"), 8), np.pad(psf.make("defocus:radius=4"), 6)]


def coded(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("background", [1, 3, 40])
@pytest.mark.parametrize("taps", SHAPES)
def test_a_background_of_a_picture_is_taken_off(taps: np.ndarray, background: int) -> None:
    picture = np.rint(background + taps / taps.max() * (255 - background)).astype(np.uint8)
    kernel = understood(picture)
    assert np.abs(kernel - taps).sum() / 2 < 0.02
    assert f"a background of {background}" in kernel.notes[0]
    assert "--kernel-background 0" in kernel.notes[0]
    kept = understood(picture, Reading(background=0))
    assert kept[0, 0] > 0
    assert not kept.notes
    np.testing.assert_allclose(understood(picture, Reading(background=background)), kernel)


def test_the_noise_of_a_background_is_taken_off_with_it() -> None:
    noise = np.random.default_rng(0).normal(0, 5, GAUSSIAN.shape)
    kernel = understood(100 + GAUSSIAN / GAUSSIAN.max() * 1000 + noise)
    assert np.abs(kernel - GAUSSIAN).sum() / 2 < 0.03
    assert np.count_nonzero(kernel) < 150


@pytest.mark.parametrize(
    "taps",
    [
        np.ones((9, 9)),
        [[1, 1, 1], [1, 8, 1], [1, 1, 1]],
        psf.make("gaussian:sigma=3")[4:-4, 4:-4],  # its rim is not dark, and falls
        *(np.rint(taps / taps.max() * 255) for taps in SHAPES),
        psf.make("motion:length=11,angle=30"),
        [[0.5, *[0] * 19, 0.5]],  # two ghosts, not one point in the order of an FFT
        np.pad(psf.make("gaussian:sigma=1"), ((0, 0), (0, 14)))
        + np.pad(psf.make("gaussian:sigma=1"), ((0, 0), (14, 0))),
    ],
)
def test_a_plain_kernel_is_what_it_is(taps: np.ndarray) -> None:
    kernel = understood(taps)
    assert not kernel.notes
    np.testing.assert_array_equal(kernel, psf.check(taps))


@pytest.mark.parametrize("taps", [*SHAPES, np.pad(GAUSSIAN, ((1, 0), (1, 0)))])
def test_the_order_of_an_fft_is_recognised(taps: np.ndarray) -> None:
    kernel = understood(np.fft.ifftshift(taps))
    np.testing.assert_allclose(kernel, taps)
    assert "--kernel-origin centre" in kernel.notes[0]
    np.testing.assert_allclose(understood(np.fft.ifftshift(taps), Reading(origin="corner")), taps)


def test_a_centre_of_mass_off_the_origin_is_told_and_moved_when_asked() -> None:
    off = np.pad(GAUSSIAN, ((0, 6), (0, 10)))
    (note,) = understood(off).notes
    assert "5.0 left, 3.0 up" in note
    assert "--kernel-origin mass" in note
    moved = understood(off, Reading(origin="mass"))
    np.testing.assert_allclose(psf.trim(moved), psf.trim(GAUSSIAN))
    assert not moved.notes
    assert not understood(off, Reading(origin="centre")).notes
    even = np.exp(-((np.arange(6)[:, None] - 2.5) ** 2 + (np.arange(6) - 2.5) ** 2) / 4)
    assert "0.5 left, 0.5 up" in understood(even).notes[0]


def test_a_stack_is_for_a_gray_frame_or_for_channels_that_are_named(tmp_path: Path) -> None:
    path, ours = tmp_path / "psf.npy", tmp_path / "ours.npy"
    np.save(path, np.ones((3, 5, 5)))
    colour = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    with pytest.raises(KernelError, match=r"a stack of 3 planes.*--kernel-channels"):
        deblur.apply(colour, path, method="wiener")
    with pytest.raises(KernelError, match="--kernel-channels"):
        deblur.blur(colour, path)
    assert "--kernel-channels" in psf.remarks(psf.read(path))[-1]
    named = deblur.apply(colour, path, method="wiener", kernel_channels=True)
    psf.save(ours, np.ones((3, 5, 5)))
    assert json.loads((tmp_path / "ours.json").read_text())["channels"] == 3
    assert (deblur.apply(colour, ours, method="wiener") == named).all()


def test_a_coloured_picture_is_a_kernel_for_each_channel_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "k.tif"
    planes = np.stack([np.roll(GAUSSIAN, shift, 1) for shift in (-1, 0, 1)], 2).astype(np.float32)
    tifffile.imwrite(path, planes, photometric="rgb")
    with pytest.raises(FileError, match="--kernel-channels"):
        psf.read(path)
    np.testing.assert_allclose(psf.read(path, channels=True), psf.check(planes.transpose(2, 0, 1)), rtol=1e-6)


@pytest.mark.parametrize("taps", [SHAKE, GAUSSIAN])
def test_the_frame_shows_whether_a_picture_of_its_kernel_is_coded(taps: np.ndarray) -> None:
    from skimage import data

    frame = deblur.blur(data.camera()[60:260, 90:290], taps, noise=0.003)
    light = taps / taps.max()
    options = deblur.ApplyOptions(method="wiener", trust="none")
    (picture,) = deblur.conversion.pictures_from(frame)
    for stored, said in ((coded(light), "--kernel-transfer linear"), (light, None)):
        kernel = understood(np.rint(stored * 255).astype(np.uint8))
        assert "--kernel-transfer srgb" in psf.remarks(kernel)[-1]
        settled = deblur.restoring.settled(kernel, picture, options)
        assert np.abs(square(settled, least=16) - square(taps, least=16)).sum() / 2 < 0.02
        assert said is None or said in settled.notes[-1]
        notes = deblur.restore(picture, kernel, options).notes
        assert bool([note for note in notes if "kernel-transfer" in note]) == bool(said)


def test_told_readings_are_taken_as_they_are() -> None:
    codes = np.rint(coded(SHAKE / SHAKE.max()) * 255).astype(np.uint8)
    assert understood(codes, Reading(transfer="linear")).otherwise is None
    decoded = understood(codes, Reading(transfer="srgb"))
    assert decoded.otherwise is None
    assert np.abs(decoded - SHAKE).sum() / 2 < 0.01
    for wrong in ({"transfer": "gamma"}, {"origin": "top"}, {"background": "dark"}, {"background": float("nan")}):
        with pytest.raises(OptionError, match="expected a kernel"):
            Reading(**wrong)
    with pytest.raises(KernelError, match="leaves light"):
        understood(codes, Reading(background=300))


def test_a_kernel_with_more_to_know_keeps_it_through_copies_and_turns() -> None:
    kernel = understood(np.rint(coded(SHAKE / SHAKE.max()) * 255).astype(np.uint8))
    turned = kernel.flipped().flipped()
    assert isinstance(turned.otherwise, Kernel)
    np.testing.assert_array_equal(turned.otherwise, kernel.otherwise)


def test_margins_without_light_change_nothing() -> None:
    frame = np.random.default_rng(0).random((64, 64))
    taps = psf.make("gaussian:sigma=1.5")
    at = np.arange(63) - 31
    wide = np.exp(-(at[:, None] ** 2 + at**2) / 2 / 1.5**2)
    near = deblur.apply(frame, taps, method="wiener", transfer="linear")
    assert np.abs(deblur.apply(frame, wide, method="wiener", transfer="linear") - near).max() < 1e-2
