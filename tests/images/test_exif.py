"""EXIF, ICC profile and resolution reach the file that is written, between all formats."""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

from deblur.images import Frame, Metadata, Resolution, encode, read_frames
from deblur.images.exif import exif_orientation, sized_exif
from deblur.images.ifd import EXIF, GPS, INTEROPERABILITY, Entry, read_directory, write_directory

MAKE, MODEL, ORIENTATION, COPYRIGHT, EXPOSURE, WIDTH, HEIGHT, MAKER_NOTE = (
    *(0x010F, 0x0110, 0x0112, 0x8298),
    *(0x829A, 0xA002, 0xA003, 0x927C),
)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif_block(orientation: int = 1, order: str = "<") -> bytes:
    """An EXIF block with text, a fraction, sizes, a maker's note, GPS and interoperability, in either byte order."""
    exposure = Entry(5, struct.pack("<II", 1, 250))
    inside = {
        EXPOSURE: exposure,
        WIDTH: Entry(4, struct.pack("<I", 21)),
        HEIGHT: Entry(3, struct.pack("<H", 13)),
        MAKER_NOTE: Entry(7, bytes(range(101))),
        INTEROPERABILITY: {1: Entry(2, b"R98\0")},
    }
    directory = {
        MAKE: Entry(2, b"Maker of cameras\0"),
        MODEL: Entry(2, b"X\0"),
        ORIENTATION: Entry(3, struct.pack("<H", orientation)),
        COPYRIGHT: Entry(2, b"somebody else\0"),
        EXIF: inside,
        GPS: {1: Entry(2, b"N\0"), 2: Entry(5, struct.pack("<6I", 48, 1, 8, 1, 1234, 100))},
    }
    block = b"II*\0" + struct.pack("<I", 8) + write_directory(directory, 8)
    if order == "<":
        return block
    image_exif = Image.Exif()
    image_exif.endian = ">"
    image_exif[MAKE], image_exif[MODEL], image_exif[COPYRIGHT] = "Maker of cameras", "X", "somebody else"
    image_exif[ORIENTATION] = orientation
    image_exif.get_ifd(EXIF).update({EXPOSURE: 0.004, WIDTH: 21, HEIGHT: 13, MAKER_NOTE: bytes(range(101))})
    image_exif.get_ifd(GPS).update({1: "N", 2: (48.0, 8.0, 12.34)})
    return image_exif.tobytes().removeprefix(b"Exif\0\0")


def tags_of(exif: bytes) -> dict:
    order = "<" if exif[:2] == b"II" else ">"
    return read_directory(exif, struct.unpack(order + "I", exif[4:8])[0], order)


def frame_with(dtype: str = "uint8", **metadata) -> Frame:
    pixels = torch.rand(3, 13, 21, generator=torch.Generator().manual_seed(0))
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    return Frame(pixels=pixels, dtype=dtype, white=white, metadata=Metadata(**metadata))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_and_profile_survive_writing_and_reading_twice(suffix, order):
    exif = exif_block(order=order)
    (once,) = read_frames(encode([frame_with(exif=exif, icc=SRGB)], suffix))
    (twice,) = read_frames(encode([once], suffix))
    wanted = tags_of(exif)
    for frame in (once, twice):
        assert frame.metadata.icc == SRGB
        found = tags_of(frame.metadata.exif)
        for tag in (MAKE, MODEL, COPYRIGHT, GPS):
            assert found[tag] == wanted[tag]
        assert found[EXIF][EXPOSURE] == wanted[EXIF][EXPOSURE]
        assert found[EXIF][MAKER_NOTE] == wanted[EXIF][MAKER_NOTE]
        if order == "<":
            assert found[EXIF][INTEROPERABILITY] == wanted[EXIF][INTEROPERABILITY]


def test_big_endian_values_are_turned_round():
    tags = tags_of(exif_block(6, ">"))
    assert tags[ORIENTATION] == Entry(3, struct.pack("<H", 6))
    assert tags[MAKE] == Entry(2, b"Maker of cameras\0")
    assert tags[EXIF][EXPOSURE] == Entry(12, struct.pack("<d", 0.004))
    assert tags[GPS][2].value[:16] == struct.pack("<4I", 48, 1, 8, 1)
    assert tags[EXIF][MAKER_NOTE].value == bytes(range(101))


def test_values_and_directories_start_at_even_places():
    odd = {
        MAKE: Entry(2, b"12345"),
        MODEL: Entry(2, b"1234567"),
        EXIF: {MAKER_NOTE: Entry(7, bytes(9))},
        GPS: {1: Entry(2, b"N\0")},
    }
    block = write_directory(odd, 8)
    assert [struct.unpack_from("<I", block, 2 + 12 * i + 8)[0] % 2 for i in range(4)] == [0, 0, 0, 0]
    gray = Frame(pixels=torch.zeros(1, 13, 21), metadata=Metadata(exif=exif_block(), compressed=False))  # 273 bytes
    with tifffile.TiffFile(io.BytesIO(encode([gray], ".tif"))) as tif:
        file, tags = tif.filehandle, tif.pages[0].tags
        for tag in (EXIF, GPS):
            file.seek(tags[tag].offset + 8)
            assert struct.unpack("<I", file.read(4))[0] % 2 == 0


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("pages", [1, 3])
def test_a_tiff_with_exif_is_sound_for_others(dtype, pages):
    frames = [frame_with(dtype, exif=exif_block(), icc=SRGB, resolution=Resolution(300, 150, "inch"))] * pages
    data = encode(frames, ".tif")
    with tifffile.TiffFile(io.BytesIO(data)) as tif:
        assert len(tif.pages) == pages
        for page in tif.pages:
            assert page.tags["Make"].value == "Maker of cameras"
            assert page.tags["ExifTag"].value["ExposureTime"] == (1, 250)
            assert page.tags["GPSTag"].value["GPSLatitude"] == (48, 1, 8, 1, 1234, 100)
            assert page.tags["InterColorProfile"].value == SRGB
            assert page.tags["XResolution"].value == (300, 1)
            assert "Software" not in page.tags
            assert page.asarray().shape == (13, 21, 3)
    if dtype == "uint8":
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data)) as image:
                assert image.getexif().get_ifd(EXIF)[WIDTH] == 21
                assert image.getexif().get_ifd(EXIF)[INTEROPERABILITY] is not None


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_others_find_exif_and_profile(suffix):
    data = encode([frame_with(exif=exif_block(), icc=SRGB)], suffix)
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif()[MAKE] == "Maker of cameras"
        assert image.info["icc_profile"] == SRGB


@pytest.mark.parametrize(
    ("suffix", "resolution", "expected"),
    [
        (".png", Resolution(11811, 5906, "metre"), Resolution(11811, 5906, "metre")),
        (".png", Resolution(300, 150, "inch"), Resolution(11811, 5906, "metre")),
        (".png", Resolution(1, 2, "none"), Resolution(1, 2, "none")),
        (".jpg", Resolution(300, 150, "inch"), Resolution(300, 150, "inch")),
        (".jpg", Resolution(11811, 5906, "metre"), Resolution(300, 150, "inch")),
        (".tif", Resolution(300, 150, "inch"), Resolution(300, 150, "inch")),
        (".tif", Resolution(118.5, 59, "cm"), Resolution(118.5, 59, "cm")),
        (".tif", Resolution(11811, 5906, "metre"), Resolution(118.11, 59.06, "cm")),
        (".bmp", Resolution(11811, 5906, "metre"), Resolution(300, 150, "inch")),
    ],
)
def test_resolution_survives(suffix, resolution, expected):
    (frame,) = read_frames(encode([frame_with(resolution=resolution)], suffix))
    assert frame.metadata.resolution.unit == expected.unit
    assert frame.metadata.resolution.x == pytest.approx(expected.x, rel=1e-4)
    assert frame.metadata.resolution.y == pytest.approx(expected.y, rel=1e-4)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp"])
def test_nothing_is_made_up(suffix):
    (frame,) = read_frames(encode([frame_with()], suffix))
    assert (frame.metadata.exif, frame.metadata.icc, frame.metadata.resolution) == (None, None, None)


def test_a_long_profile_is_spread_over_jpeg_segments():
    profile = SRGB + bytes(200_000)
    profile = struct.pack(">I", len(profile)) + profile[4:]
    (frame,) = read_frames(encode([frame_with(icc=profile)], ".jpg"))
    assert frame.metadata.icc == profile


def test_an_exif_block_too_long_for_jpeg_is_left_out():
    exif = b"II*\0\x08\0\0\0" + write_directory({MAKE: Entry(2, b"x" * 70_000)}, 8)
    assert read_frames(encode([frame_with(exif=exif)], ".jpg"))[0].metadata.exif is None
    assert read_frames(encode([frame_with(exif=exif)], ".png"))[0].metadata.exif == exif


def test_png_colour_chunks_are_kept_and_a_plain_gamma_is_used():
    chunks = ((b"gAMA", struct.pack(">I", 100_000)), (b"cHRM", bytes(32)))
    (frame,) = read_frames(encode([frame_with(png=chunks)], ".png"))
    assert frame.metadata.png == chunks
    assert frame.transfer.name == "linear"
    (frame,) = read_frames(encode([frame_with(png=((b"gAMA", struct.pack(">I", 55_556)),))], ".png"))
    assert frame.transfer.name == "gamma 1.8"
    (frame,) = read_frames(encode([frame_with(png=((b"sRGB", b"\0"), chunks[0]))], ".png"))
    assert frame.transfer.name == "srgb"


@pytest.mark.parametrize(
    ("code", "name"), [(16, "PQ"), (18, "HLG"), (1, "BT.709"), (4, "gamma 2.2"), (5, "gamma 2.8"), (8, "linear")]
)
def test_a_cicp_chunk_comes_before_all_others(code, name):
    chunks = ((b"gAMA", struct.pack(">I", 55_556)), (b"cICP", bytes((9, code, 0, 1))))
    (frame,) = read_frames(encode([frame_with(png=chunks, icc=SRGB)], ".png"))
    assert (frame.transfer.name, frame.notes, frame.metadata.png) == (name, (), chunks)


def test_a_cicp_chunk_that_says_nothing_leaves_it_to_the_others_and_an_unknown_one_is_said():
    gamma = (b"gAMA", struct.pack(">I", 55_556))
    (frame,) = read_frames(encode([frame_with(png=(gamma, (b"cICP", bytes((2, 2, 0, 1)))))], ".png"))
    assert frame.transfer.name == "gamma 1.8"
    (frame,) = read_frames(encode([frame_with(png=(gamma, (b"cICP", bytes((9, 9, 0, 1)))))], ".png"))
    assert frame.transfer.name == "srgb"
    assert "names the transfer 9 of ITU-T H.273" in frame.notes[0]


def test_the_profile_gives_the_transfer_and_a_note_if_it_cannot():
    (frame,) = read_frames(encode([frame_with(icc=SRGB)], ".png"))
    assert (frame.transfer.name, frame.notes) == ("srgb", ())
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    (frame,) = read_frames(encode([frame_with(icc=lab)], ".tif"))
    assert frame.transfer.name == "srgb"
    assert "taken as sRGB" in frame.notes[0]


@pytest.mark.parametrize("order", ["<", ">"])
def test_reset_orientation_changes_that_value_and_the_thumbnail_only(order):
    exif = exif_block(6, order)
    data = encode([frame_with()], ".png")
    image = Image.open(io.BytesIO(data))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    (frame,) = read_frames(buffer.getvalue())
    upright = frame.metadata.exif
    assert exif_orientation(exif) == 6
    assert exif_orientation(upright) == 1
    assert sum(a != b for a, b in zip(exif, upright, strict=True)) == 1


def test_the_thumbnail_of_the_blurred_picture_is_dropped():
    directory = write_directory({MAKE: Entry(2, b"m\0")}, 8)
    exif = b"II*\0\x08\0\0\0" + directory[:14] + struct.pack("<I", 8 + len(directory)) + directory[18:] + directory
    exif_of = read_frames(encode([frame_with(exif=exif)], ".webp"))[0].metadata.exif
    assert struct.unpack_from("<I", exif_of, 8 + 14) == (0,)


def test_exif_sizes_follow_the_picture():
    exif = sized_exif(exif_block(), 40, 30)
    assert tags_of(exif)[EXIF][WIDTH].value == struct.pack("<I", 40)
    assert tags_of(exif)[EXIF][HEIGHT].value == struct.pack("<H", 30)


@pytest.mark.parametrize("cut", [8, 9, 20, 60, 120])
def test_a_broken_exif_block_harms_nothing(cut):
    for suffix in (".png", ".jpg", ".webp", ".tif"):
        frame = frame_with(exif=exif_block(6)[:cut])
        (again,) = read_frames(encode([frame], suffix))
        assert again.pixels.shape == frame.pixels.shape or again.pixels.shape == (3, 21, 13)


def test_a_second_picture_in_a_jpeg_is_reported():
    buffer = io.BytesIO()
    first, second = (Image.fromarray(np.full((8, 12, 3), value, np.uint8)) for value in (10, 200))
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    (frame,) = read_frames(buffer.getvalue())
    assert frame.notes == ("the file holds 1 more pictures (a gain map or preview), which are left out",)
    assert float(frame.pixels.mean()) == pytest.approx(10 / 255, abs=2 / 255)


def test_a_tiff_description_survives():
    page = np.zeros((4, 5), np.uint8)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, page, description="a cell, 40x", metadata=None)
    (frame,) = read_frames(buffer.getvalue())
    data = encode([frame], ".tif")
    assert tifffile.TiffFile(io.BytesIO(data)).pages[0].description == "a cell, 40x"


def test_uncompressed_tiffs_stay_uncompressed_and_others_are_deflated(make_samples):
    for compression, expected in ((None, 1), ("zlib", 8), ("lzma", 8)):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, make_samples("uint16", 3), compression=compression, photometric="rgb")
        data = encode(read_frames(buffer.getvalue()), ".tif")
        assert tifffile.TiffFile(io.BytesIO(data)).pages[0].compression == expected


def test_opencv_finds_nothing_wrong_with_a_png_full_of_metadata():
    frame = frame_with("uint16", exif=exif_block(), icc=SRGB, resolution=Resolution(300, 300), png=((b"sRGB", b"\0"),))
    data = encode([frame], ".png")
    assert data.count(b"sRGB\0") == 0, "a profile and an sRGB chunk exclude each other"
    theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(
        theirs[..., ::-1], np.moveaxis((frame.pixels * 65535).round().numpy(), 0, 2).astype(np.uint16)
    )


def test_replaced_pixels_keep_the_metadata():
    (frame,) = read_frames(encode([frame_with(exif=exif_block(), icc=SRGB)], ".png"))
    restored = replace(frame, pixels=frame.pixels * 0.5)
    (again,) = read_frames(encode([restored], ".png"))
    assert again.metadata == frame.metadata
