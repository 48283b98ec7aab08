"""What a file shows to be light is taken so and said; what it declares wins; no finished picture is taken for light."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import torch
from linear_files import LINEAR, SRGB, coded, photo, photons, sky, smooth, tiff, white
from profiles import curv, profile, rgb

import deblur
from deblur import images, psf
from deblur.cli import main
from deblur.images import Frame, Metadata, read_frames
from deblur.images.ifd import EXIF, Entry, write_directory
from deblur.light import curve_of
from deblur.linearity import judged
from deblur.photometry import photon_transfer
from deblur.picture import Picture

KERNEL = "gaussian:sigma=1.5"


def frame_of(data: bytes) -> Frame:
    (frame,) = read_frames(data)
    return frame


def taken(frame: Picture, transfer: str = "auto") -> tuple[str, list[str]]:
    curve, notes = curve_of(frame, transfer)
    return curve.name, notes


@pytest.mark.parametrize("name", SRGB)
def test_no_finished_picture_is_taken_for_light(name: str) -> None:
    curve, notes = taken(frame_of(SRGB[name]()))
    assert curve == "srgb"
    assert all(note.startswith("taken as sRGB") and "--transfer linear" in note for note in notes)


def test_most_linear_files_are_recognised_and_the_others_get_a_note() -> None:
    told = {name: taken(frame_of(make())) for name, make in LINEAR.items()}
    assert len(SRGB) == len(LINEAR) == 20
    assert sum(curve == "linear" for curve, _ in told.values()) >= 16, told
    for name, (curve, (note,)) in told.items():
        said, typed = ("linear light", "srgb") if curve == "linear" else ("sRGB", "linear")
        assert note.startswith(f"taken as {said}"), name
        assert f"--transfer {typed} takes it" in note, name


@pytest.mark.parametrize("name", ["stars", "photograph, 16 bit"])
def test_a_word_decides_against_the_evidence(name: str) -> None:
    frame = frame_of(LINEAR[name]())
    assert taken(frame)[0] == "linear"
    assert taken(frame, "srgb") == ("srgb", [])
    assert taken(frame_of(SRGB["the Moon"]()), "linear") == ("linear", [])


def test_what_a_file_declares_wins() -> None:
    stars = white(sky(0.02, 1.5), 0.001)
    tagged = profile(rgb(curv(563)), "Two")
    assert taken(frame_of(tiff(stars, iccprofile=tagged))) == ("gamma 2.199", [])
    for code, name in ((1, "srgb"), (2, "gamma 2.199"), (65535, None)):
        block = b"II*\0\x08\0\0\0" + write_directory({EXIF: {0xA001: Entry(3, struct.pack("<H", code))}}, 8)
        written = images.encode([Frame(pixels=torch.zeros(1, 8, 8), metadata=Metadata(exif=block))], ".tif")
        declared = frame_of(written).transfer
        assert name == (declared and declared.name)
    assert frame_of(coded(photo("camera"), ".png")).transfer is None


def test_an_array_is_judged_by_its_values_alone() -> None:
    stars = torch.from_numpy(white(sky(0.02, 1.5), 0.001)).float()[None]
    assert taken(Picture(pixels=stars)) == ("srgb", [])
    assert taken(Picture(pixels=9 * stars))[0] == "linear"
    assert taken(Picture(pixels=9 * stars), "srgb") == ("srgb", [])


def test_a_file_of_floats_may_overshoot_white() -> None:
    for factor, curve in ((1.2, "srgb"), (200.0, "linear")):
        assert taken(frame_of(tiff(factor * smooth("coffee"))))[0] == curve


def test_the_names_of_programs_are_read() -> None:
    dim = white(np.full((64, 64), 0.01), 0.001)
    dim[10:14, 10:40] = 0.9
    for program, tags in (
        ("ImageJ", {"imagej": True}),
        ("OME", {"ome": True}),
        ("PixInsight", {"software": "PixInsight 1.8"}),
        ("DeepSkyStacker", {"description": "made by DeepSkyStacker 5"}),
        (None, {"software": "Adobe Photoshop 25"}),
    ):
        frame = frame_of(tiff(dim, "uint16", **tags))
        assert frame.origin is not None
        assert frame.origin.program == program
        assert taken(frame)[0] == ("srgb" if program is None else "linear")


def test_the_variance_of_photons_is_a_line_and_behind_a_curve_it_is_none() -> None:
    light = torch.linspace(0.03, 0.9, 256).expand(256, 256)
    noisy = torch.from_numpy(photons(light.numpy(), 3000))
    for values, rises in ((noisy, True), (noisy.clamp_min(0).pow(1 / 2.2), False)):
        found = photon_transfer(values)
        assert found is not None
        assert (found.slope > 0.8) == rises
    assert photon_transfer(torch.rand(40, 40)) is None
    assert photon_transfer(torch.full((99, 99), 0.5)) is None


def test_the_orientation_a_constant_and_a_tiny_frame_change_nothing() -> None:
    for values in (np.zeros((64, 64)), np.full((64, 64), 0.3), np.ones((1, 1)), white(np.zeros((9, 80)), 0.1)):
        assert taken(frame_of(tiff(values)))[0] == "srgb"
    frame = frame_of(LINEAR["photograph, float"]())
    turned = Frame(pixels=frame.pixels.flip(1).transpose(1, 2), origin=frame.origin)
    assert judged(turned).linear == judged(frame).linear


def test_a_large_frame_is_looked_at_in_places_all_over_it() -> None:
    wide = np.tile(photons(smooth("camera", 2) ** 2, 3000, 3), (6, 8))
    assert wide.size > 32 * 256**2
    assert taken(frame_of(tiff(wide)))[0] == "linear"


def test_a_part_gets_the_curve_of_the_whole() -> None:
    frame = frame_of(LINEAR["stars"]())
    part = frame.window(slice(0, 64), slice(0, 64))
    assert taken(part)[0] == "srgb"
    options = deblur.ApplyOptions(method="wiener", noise=0.001)
    told = deblur.restore(part, KERNEL, options, whole=frame)
    stated = deblur.ApplyOptions(method="wiener", noise=0.001, transfer="linear")
    linear = deblur.restore(part, KERNEL, stated, whole=frame)
    torch.testing.assert_close(told.image, linear.image)
    assert "taken as linear light" in told.notes[0]


def test_the_sharp_one_of_a_pair_follows_the_blurred_one() -> None:
    light = smooth("camera", 1) ** 2
    sharp, seen = tiff(light), cv2.GaussianBlur(light, (0, 0), 1.5)
    pair: list[Any] = [frame_of(tiff(photons(seen, 5000, 3))), frame_of(sharp)]
    assert [taken(frame)[0] for frame in pair] == ["linear", "srgb"]
    found, linear = (deblur.fit(*pair, size=9, transfer=transfer) for transfer in ("auto", "linear"))
    np.testing.assert_allclose(found.kernel, linear.kernel)
    assert "taken as linear light" in found.notes[-1]


@pytest.mark.slow
def test_the_fluxes_of_stars_survive_the_default_restoration(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """From the command line: a float TIFF as astronomy programs save it, without a profile."""
    rng = np.random.default_rng(1)
    places = [(row, column) for row in range(20, 180, 32) for column in range(20, 180, 32)]
    fluxes = 10 ** rng.uniform(-0.4, 0.9, len(places))
    scene = np.full((200, 200), 0.02)
    scene[tuple(np.transpose(places))] += fluxes
    seen = cv2.filter2D(scene, -1, psf.make("gaussian:sigma=2")) + 0.002 * rng.standard_normal(scene.shape)
    tifffile.imwrite(tmp_path / "stack.tif", seen.astype(np.float32))
    words = [str(tmp_path / "stack.tif"), "-k", "gaussian:sigma=2", "-o", str(tmp_path / "restored.tif")]
    assert main(["apply", *words, "--threads", "1"]) == 0
    assert "taken as linear light (32-bit float TIFF, a dark sky" in capsys.readouterr().err
    restored = images.read_frames(tmp_path / "restored.tif")[0].pixels[0].numpy()
    found = [(restored[r - 8 : r + 9, c - 8 : c + 9] - 0.02).sum() for r, c in places] / fluxes
    assert abs(np.median(found) - 1) < 0.05
    assert found.min() > 0.8
