"""The EXIF orientation is applied once: pixels come as seen and go out upright."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from deblur.images import encode, read_frames
from deblur.images.scale import stored_from_frame, turn

SEEN = np.arange(5 * 8, dtype=np.uint8).reshape(5, 8) * 6  # what the user sees: 5 rows, 8 columns

# How a camera stores what is seen, from the definition of the tag: (row 0 is at the ..., column 0 is at the ...)
STORED = {
    1: SEEN,  # top, left
    2: SEEN[:, ::-1],  # top, right
    3: SEEN[::-1, ::-1],  # bottom, right
    4: SEEN[::-1],  # bottom, left
    5: SEEN.T,  # left, top
    6: SEEN[:, ::-1].T[:, :],  # right, top
    7: SEEN[::-1, ::-1].T,  # right, bottom
    8: SEEN[::-1].T,  # left, bottom
}


def file_with(format: str, orientation: int, alpha: bool = False) -> bytes:
    samples = np.ascontiguousarray(STORED[orientation])
    buffer = io.BytesIO()
    if format == "TIFF":
        data = np.stack([samples, 255 - samples], 2) if alpha else samples
        options = {"extrasamples": ["unassalpha"], "planarconfig": "contig"} if alpha else {}
        tifffile.imwrite(
            buffer, data, photometric="minisblack", extratags=[(274, 3, 1, orientation, True)], metadata=None, **options
        )
        return buffer.getvalue()
    exif = Image.Exif()
    exif[274] = orientation
    image = Image.fromarray(np.stack([samples, 255 - samples], 2), "LA") if alpha else Image.fromarray(samples)
    options = {"quality": 100} if format == "JPEG" else {"lossless": True, "exact": True} if format == "WEBP" else {}
    image.save(buffer, format, exif=exif, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_pixels_are_as_seen_and_stay_so(format, orientation):
    data = file_with(format, orientation)
    (frame,) = read_frames(data)
    assert frame.pixels.shape[1:] == (5, 8)
    tolerance = 3 if format == "JPEG" else 0
    np.testing.assert_allclose(frame.pixels[0].numpy() * 255, SEEN, atol=tolerance + 1e-4)
    suffix = {"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif", "WEBP": ".webp"}[format]
    written = encode([frame], suffix)
    (again,) = read_frames(written)
    np.testing.assert_allclose(again.pixels[0].numpy() * 255, SEEN, atol=2 * tolerance + 1e-4)
    with Image.open(io.BytesIO(written)) as image:
        assert image.getexif().get(274, 1) == 1
        assert image.size == (8, 5)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_turn_agrees_with_pillow(orientation):
    with Image.open(io.BytesIO(file_with("PNG", orientation))) as image:
        theirs = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(theirs, SEEN)
    np.testing.assert_array_equal(turn(STORED[orientation], orientation), SEEN)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_alpha_turns_with_the_colours(format, orientation):
    (frame,) = read_frames(file_with(format, orientation, alpha=True))
    stored = stored_from_frame(frame)
    np.testing.assert_array_equal(stored.array, SEEN)
    np.testing.assert_array_equal(stored.alpha, 255 - SEEN)


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg", "group4"])
@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_compressed_tiffs_are_turned_once_too(compression, orientation):
    samples = np.zeros((40, 64), np.uint8)
    samples[:8, :24] = 255
    exif = Image.Exif()
    exif[274] = orientation
    turned = {1: samples, 6: samples[:, ::-1].T, 8: samples[::-1].T}[orientation]
    image = Image.fromarray(np.ascontiguousarray(turned))
    image = image.convert("1") if compression == "group4" else image
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", compression=compression, exif=exif)
    (frame,) = read_frames(buffer.getvalue())
    np.testing.assert_allclose(frame.pixels[0].numpy() * 255, samples, atol=8)


def test_every_page_has_its_own_orientation():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for orientation in (1, 6, 3):
            page = np.ascontiguousarray(STORED[orientation])
            writer.write(page, photometric="minisblack", extratags=[(274, 3, 1, orientation, True)], metadata=None)
    for frame in read_frames(buffer.getvalue()):
        np.testing.assert_array_equal(stored_from_frame(frame).array, SEEN)


def test_a_resolution_is_turned_too():
    buffer = io.BytesIO()
    options = {"extratags": [(274, 3, 1, 6, True)], "metadata": None, "resolution": (300, 150), "resolutionunit": 2}
    tifffile.imwrite(buffer, STORED[6].copy(), photometric="minisblack", **options)
    (frame,) = read_frames(buffer.getvalue())
    assert (frame.metadata.resolution.x, frame.metadata.resolution.y) == (150, 300)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_a_senseless_orientation_is_none(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    buffer = io.BytesIO()
    Image.fromarray(SEEN).save(buffer, "PNG", exif=exif)
    np.testing.assert_array_equal(stored_from_frame(read_frames(buffer.getvalue())[0]).array, SEEN)
