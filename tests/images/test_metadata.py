"""XMP, IPTC, comments, texts, private tags and stacks reach the file that is written, or are named as lost."""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from deblur.errors import FileError
from deblur.images import FORMATS, Metadata, encode, losses, read_frames

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
IPTC = b"8BIM\x04\x04\0\0" + struct.pack(">I", 14) + b"\x1c\x02\x78\0\x09A caption"
SCALE, TIEPOINT, KEYS, GDAL = 33550, 33922, 34735, 42112


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


SEGMENTS = (
    segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
    segment(0xED, b"Photoshop 3.0\0" + IPTC),
    segment(0xEB, b"another program\0" + bytes(range(256))),
    segment(0xFE, "exhibit 17, \u00e9".encode()),
)


def jpeg(rgb: np.ndarray, *, orientation: int = 1, **options) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", exif=exif, **options)
    data = buffer.getvalue()
    return data[:2] + b"".join(SEGMENTS) + data[2:]


def geotiff(rgb: np.ndarray) -> bytes:
    tags = [
        (SCALE, 12, 3, (0.5, 0.5, 0.0), True),
        (TIEPOINT, 12, 6, (0, 0, 0, 440720.0, 3751320.0, 0), True),
        (KEYS, 3, 8, (1, 1, 0, 1, 1024, 0, 1, 1), True),
        (GDAL, 2, 0, "<GDALMetadata/>", True),
        (700, 1, len(XMP), XMP, True),
    ]
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, rgb, photometric="rgb", extratags=tags, metadata=None)
    return buffer.getvalue()


@pytest.fixture
def rgb(make_samples):
    return make_samples("uint8", 3, 24, 40)


def test_the_segments_of_a_jpeg_stay_byte_for_byte(rgb):
    data = encode(read_frames(jpeg(rgb)), "JPEG")
    assert b"".join(SEGMENTS) in data
    assert np.asarray(Image.open(io.BytesIO(data))).shape == rgb.shape


def test_xmp_and_iptc_reach_other_formats(rgb):
    frames = read_frames(jpeg(rgb))
    assert Image.open(io.BytesIO(encode(frames, "PNG"))).info["xmp"] == XMP
    assert Image.open(io.BytesIO(encode(frames, "PNG"))).text["Comment"] == "exhibit 17, \u00e9"
    assert Image.open(io.BytesIO(encode(frames, "WebP"))).info["xmp"] == XMP
    tags = tifffile.TiffFile(io.BytesIO(encode(frames, "TIFF"))).pages[0].tags
    assert bytes(tags[700].value) == XMP
    assert bytes(tags[34377].value) == IPTC


@pytest.mark.parametrize("name", ["PNG", "TIFF", "WebP"])
def test_xmp_reaches_a_jpeg_from_every_format(rgb, name):
    (frame,) = read_frames(encode(read_frames(jpeg(rgb)), name))
    assert segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP) in encode([frame], "JPEG")


def test_xmp_of_a_picture_that_is_turned_says_that_it_is_upright(rgb):
    data = encode(read_frames(jpeg(rgb, orientation=6)), "JPEG")
    assert XMP.replace(b'Orientation="6"', b'Orientation="1"') in data
    assert Image.open(io.BytesIO(data)).size == (24, 40)


def test_the_texts_of_a_png_stay(rgb):
    info = PngImagePlugin.PngInfo()
    info.add_text("Description", "exhibit 17", zip=True)
    info.add_itxt("Titre", "\u00e9t\u00e9", lang="fr")
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", pnginfo=info)
    frames = read_frames(buffer.getvalue())
    assert Image.open(io.BytesIO(encode(frames, "PNG"))).text == {"Description": "exhibit 17", "Titre": "\u00e9t\u00e9"}
    assert losses(frames, "PNG") == ()
    assert losses(frames, "JPEG") == ("its PNG texts are left out: JPEG holds none",)


def test_private_tags_of_a_tiff_stay_byte_for_byte(rgb):
    before = tifffile.TiffFile(io.BytesIO(geotiff(rgb))).pages[0].tags
    frames = read_frames(geotiff(rgb))
    after = tifffile.TiffFile(io.BytesIO(encode(frames, "TIFF"))).pages[0].tags
    for tag in (SCALE, TIEPOINT, KEYS, GDAL, 700):
        assert (after[tag].dtype, after[tag].value) == (before[tag].dtype, before[tag].value), tag
    assert losses(frames, "PNG") == ("its private TIFF tags (GeoTIFF and others) are left out: PNG holds none",)


def test_a_part_of_a_geotiff_keeps_its_place_on_earth(rgb):
    (frame,) = read_frames(geotiff(rgb))
    part = frame.window(slice(4, 20), slice(10, 30))
    tags = tifffile.TiffFile(io.BytesIO(encode([part], "TIFF"))).pages[0].tags
    assert tags[TIEPOINT].value[:5] == (-10, -4, 0, 440720.0, 3751320.0)


@pytest.mark.parametrize("kind", ["ImageJ", "OME"])
def test_a_stack_keeps_axes_channels_and_calibration(kind):
    planes = np.arange(6 * 20 * 30, dtype=np.uint16).reshape(3, 2, 20, 30)
    if kind == "ImageJ":
        options = {"imagej": True, "metadata": {"axes": "ZCYX", "spacing": 0.2, "unit": "um", "Labels": ["a"] * 6}}
    else:
        channels = {"Name": ["DAPI", "GFP"]}
        options = {"metadata": {"axes": "ZCYX", "PhysicalSizeZ": 0.2, "Channel": channels}, "ome": True}
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, planes, resolution=(1 / 0.065, 1 / 0.065), **options)
    before = tifffile.TiffFile(io.BytesIO(buffer.getvalue()))
    frames = read_frames(buffer.getvalue())
    after = tifffile.TiffFile(io.BytesIO(encode(frames, "TIFF")))
    assert (after.is_imagej, after.is_ome) == (before.is_imagej, before.is_ome)
    assert after.series[0].axes == before.series[0].axes
    assert np.array_equal(after.asarray(), planes)
    assert after.pages[0].description == before.pages[0].description
    assert after.pages[0].tags["XResolution"].value == before.pages[0].tags["XResolution"].value
    if kind == "ImageJ":
        assert after.imagej_metadata["Labels"] == ["a"] * 6
    assert frames[0].notes == losses(frames, "TIFF") == ()


def test_a_part_of_a_stack_is_described_no_more(make_samples):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.stack([make_samples("uint16", 1)] * 3), imagej=True)
    parts = [frame.window(slice(0, 8), slice(0, 8)) for frame in read_frames(buffer.getvalue())]
    assert losses(parts, "TIFF") == ("its description of the stack (ImageJ, OME) is left out: TIFF holds none",)
    assert "ImageJ" not in tifffile.TiffFile(io.BytesIO(encode(parts, "TIFF"))).pages[0].description


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [40, 75, 92])
def test_a_jpeg_keeps_its_tables_and_subsampling(rgb, quality, subsampling):
    before = Image.open(io.BytesIO(data := jpeg(rgb, quality=quality, subsampling=subsampling)))
    after = Image.open(io.BytesIO(encode(read_frames(data), "JPEG")))
    assert after.quantization == before.quantization
    assert [layer[1:3] for layer in after.layer] == [layer[1:3] for layer in before.layer]


def test_a_turned_jpeg_turns_its_tables(rgb):
    before = Image.open(io.BytesIO(data := jpeg(rgb, orientation=6, quality=60)))
    after = Image.open(io.BytesIO(encode(read_frames(data), "JPEG")))
    for table in (0, 1):
        assert np.array_equal(np.reshape(after.quantization[table], (8, 8)).T.ravel(), before.quantization[table])


def test_a_quality_that_is_asked_for_comes_before_the_tables(rgb):
    frames = read_frames(jpeg(rgb, quality=40))
    asked = Image.open(io.BytesIO(encode(frames, "JPEG", 90)))
    assert asked.quantization == Image.open(io.BytesIO(jpeg(rgb, quality=90))).quantization


def test_a_gray_jpeg_keeps_its_table(make_samples):
    buffer = io.BytesIO()
    Image.fromarray(make_samples("uint8", 1)).save(buffer, "JPEG", quality=50)
    again = Image.open(io.BytesIO(encode(read_frames(buffer.getvalue()), "JPEG")))
    assert again.quantization == Image.open(buffer).quantization


def test_a_picture_that_a_small_file_claims_is_refused_by_its_header(rgb):
    data = jpeg(rgb)
    at = data.index(b"\xff\xc0") + 5
    for height, width in ((31623, 31623), (65500, 65500)):
        claimed = data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]
        with pytest.raises(FileError, match="that claim"):
            read_frames(claimed)


@pytest.mark.parametrize("field", ["xmp", "comment", "exif"])
def test_what_is_too_long_for_a_segment_is_told_and_what_just_fits_is_kept(rgb, field):
    (frame,) = read_frames(jpeg(rgb))
    room, start = FORMATS["JPEG"].room[field], b"II*\0\x08\0\0\0\0\0" if field == "exif" else b""
    for longer in (0, 1):
        value = start + b"x" * (room - len(start) + longer)
        held = replace(frame, metadata=Metadata(**{field: value}))
        assert bool(losses([held], "JPEG")) == bool(longer)
        assert (value in encode([held], "JPEG")) == (not longer)
