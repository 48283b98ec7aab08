"""HEIC, RAW and FITS: what phones, cameras and telescopes write."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

from deblur import images, psf
from deblur.errors import FileError
from deblur.images import raw
from deblur.light import curve_of

heif = pytest.importorskip("pillow_heif")
rawpy = pytest.importorskip("rawpy")
fits = pytest.importorskip("astropy.io.fits")

RNG = np.random.default_rng(0)
SMOOTH = np.add.outer(np.arange(48), np.arange(64)) + 40


def heic(*, mode: str = "RGB", exif: bytes | None = None, icc: bytes | None = None) -> bytes:
    """A HEIC file of a ramp."""
    file = io.BytesIO()
    plane = SMOOTH.astype(np.uint16 if ";" in mode else np.uint8)
    samples = np.stack([plane, plane + 20, plane + 40], axis=2) * (256 if ";" in mode else 1)
    made = heif.from_bytes(mode, samples.shape[1::-1], np.ascontiguousarray(samples).tobytes())
    made.save(
        file, quality=100, chroma=444, **({"exif": exif} if exif else {}), **({"icc_profile": icc} if icc else {})
    )
    return file.getvalue()


def dng(*, orientation: int = 1) -> bytes:
    """A digital negative: an RGGB mosaic of a gray ramp, black at 512 and white at 4095."""
    file = io.BytesIO()
    mosaic = np.clip(512 + 40 * np.add.outer(np.arange(48), np.arange(64)), 0, 4095).astype(np.uint16)
    matrix = [(32406, 10000), (-15372, 10000), (-4986, 10000), (-9689, 10000), (18758, 10000), (415, 10000)]
    matrix += [(557, 10000), (-2040, 10000), (10570, 10000)]
    tags = [
        (274, "H", 1, orientation, True),
        (271, "s", 0, "Maker", True),
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, (0, 1, 1, 2), True),
        (50706, "B", 4, (1, 4, 0, 0), True),
        (50707, "B", 4, (1, 1, 0, 0), True),
        (50708, "s", 0, "Maker Model", True),
        (50714, "H", 1, 512, True),
        (50717, "H", 1, 4095, True),
        (50721, "2i", 9, tuple(n for pair in matrix for n in pair), True),
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),
        (50778, "H", 1, 21, True),
    ]
    tifffile.imwrite(file, mosaic, photometric=32803, extratags=tags, metadata=None, software=False)
    return file.getvalue()


def fits_file(values: Any, **cards: Any) -> bytes:
    """A FITS file with a mask behind its picture."""
    file = io.BytesIO()
    mask = fits.ImageHDU(np.ones((3, 3), np.int16), name="MASK")
    fits.HDUList([fits.PrimaryHDU(values, fits.Header(cards)), mask]).writeto(file)
    return file.getvalue()


def test_heic_is_read_with_exif_and_profile_and_written_as_jpeg(tmp_path: Path) -> None:
    exif = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 271, 2, 6, 26) + bytes(4) + b"Maker\0"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (frame,) = images.read_frames(heic(exif=exif, icc=icc), name="a.heic")
    assert frame.format == "HEIC"
    assert frame.dtype == "uint8"
    assert abs(frame.pixels[0, 10, 10] * 255 - SMOOTH[10, 10]) < 4
    path = images.written_name(tmp_path / "a.heic")
    images.write_frames(path, [frame])
    with Image.open(path) as written:
        assert written.format == "JPEG"
        assert written.info["icc_profile"] == icc
        assert written.getexif()[271] == "Maker"


def test_heic_of_ten_bits_keeps_them() -> None:
    (frame,) = images.read_frames(heic(mode="RGB;16"))
    assert frame.dtype == "uint16"
    assert len(frame.pixels[0].unique()) > 60
    assert abs(float(frame.pixels[0, 10, 10]) * 255 - SMOOTH[10, 10]) < 4


@pytest.mark.parametrize("orientation", [1, 6])
def test_raw_is_linear_light_between_the_cameras_levels(orientation: int) -> None:
    (frame,) = images.read_frames(dng(orientation=orientation), name="a.dng")
    pixels = frame.pixels if orientation == 1 else frame.pixels.rot90(1, (1, 2))
    assert pixels.shape == (3, 48, 64)
    assert curve_of(frame, "auto")[0].name == "linear"
    ramp = torch.tensor([pixels[:, n, n].mean() for n in (8, 16, 24, 32)])
    wanted = torch.tensor([2 * n * 40 / (4095 - 512) for n in (8, 16, 24, 32)])
    assert torch.allclose(ramp, wanted, atol=0.02)
    assert frame.notes[0].startswith("developed into linear light")
    assert "black 512, white 4095" in frame.notes[0]


def test_raw_is_written_as_a_tiff_that_says_that_it_is_linear(tmp_path: Path) -> None:
    (frame,) = images.read_frames(dng(), name="a.dng")
    assert images.written_name("b/a.dng") == Path("b/a.tif")
    images.write_frames(tmp_path / "a.tif", [frame])
    (again,) = images.read_frames(tmp_path / "a.tif")
    assert torch.equal(again.pixels, frame.pixels)
    assert again.dtype == "uint16"
    assert curve_of(again, "auto")[0].name == "linear"
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.pages.first.aspage().tags[271].value == "Maker"


def test_the_profile_of_linear_light_is_one_to_other_programs() -> None:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(raw.linear_profile()))
    assert "Linear light" in ImageCms.getProfileDescription(profile)
    srgb = ImageCms.createProfile("sRGB")
    half = Image.new("RGB", (1, 1), (55, 55, 55))  # of light
    shown = ImageCms.profileToProfile(half, profile, srgb).getpixel((0, 0))
    assert max(abs(value - 127) for value in shown) <= 2


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
def test_fits_comes_back_with_header_and_what_lies_behind(tmp_path: Path, dtype: str) -> None:
    values = RNG.integers(0, 200, (30, 40)).astype(dtype)
    data = fits_file(values, OBJECT="M31", CRPIX1=20.5, CRPIX2=11.25)
    (frame,) = images.read_frames(data)
    assert frame.format == "FITS"
    images.write_frames(tmp_path / "a.fits", [frame])
    with fits.open(tmp_path / "a.fits") as units:
        assert [unit.name for unit in units] == ["PRIMARY", "MASK"]
        assert units[0].header["OBJECT"] == "M31"
        assert np.array_equal(units[0].data, values)
    part = frame.window(slice(4, 20), slice(7, 30))
    images.write_frames(tmp_path / "part.fits", [part])
    header = fits.getheader(tmp_path / "part.fits")
    assert (header["CRPIX1"], header["CRPIX2"], header["NAXIS1"]) == (13.5, 7.25, 23)


def test_fits_in_an_extension_colours_and_cubes(tmp_path: Path) -> None:
    for name, planes in (("colour", 3), ("cube", 5)):
        values = RNG.random((planes, 20, 24)).astype(np.float32)
        made = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(values, fits.Header({"FILTER": "R"}), name="SCI")])
        made.writeto(tmp_path / f"{name}.fits")
        frames = images.read_frames(tmp_path / f"{name}.fits")
        assert [len(frame.pixels) for frame in frames] == ([3] if planes == 3 else [1] * 5)
        images.write_frames(tmp_path / "again.fits", frames, force=True)
        with fits.open(tmp_path / "again.fits") as units:
            assert units["SCI"].header["FILTER"] == "R"
            assert np.array_equal(units["SCI"].data, values)


def test_fits_is_linear_and_its_kernels_are_read(tmp_path: Path) -> None:
    (frame,) = images.read_frames(fits_file(RNG.integers(0, 200, (30, 40)).astype(np.uint8)))
    curve, notes = curve_of(frame, "auto")
    assert curve.name == "linear"
    assert notes == ["taken as linear light (8-bit FITS); --transfer srgb takes it as sRGB"]
    taps = np.outer([1, 2, 1], [1, 2, 1]) / 16
    (tmp_path / "k.fits").write_bytes(fits_file(taps))
    assert np.allclose(psf.read(tmp_path / "k.fits"), taps)


@pytest.mark.parametrize(
    ("module", "data", "name", "message"),
    [
        ("pillow_heif", heic, "a.heic", "for which pillow-heif is missing; pip install 'deblur-wavefront[photo]'"),
        ("rawpy", dng, "a.dng", "for which rawpy is missing; pip install 'deblur-wavefront[photo]'"),
        ("astropy.io.fits", lambda: fits_file(np.ones((4, 5))), "a.fits", "export it as a 32-bit float TIFF"),
    ],
)
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, module: str, data: Any, name: str, message: str
) -> None:
    made = data()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(FileError, match=message.replace("[", r"\[")):
        images.read_frames(made, name=name)


@pytest.mark.parametrize("data", [heic()[:400], b"FUJIFILMCCD-RAW" + bytes(900), fits_file(np.ones((64, 64)))[:6000]])
def test_damaged_files_are_refused(data: bytes) -> None:
    with pytest.raises(FileError, match="damaged"):
        images.read_frames(data)


def test_what_is_read_only_is_no_output(tmp_path: Path) -> None:
    for name, instead in (("a.heic", ".jpg"), ("a.dng", ".tif")):
        with pytest.raises(FileError, match=f"name the output {instead}"):
            images.output_format(tmp_path / name)
