"""A JPEG's tables and blocks are told truly: its DCT consists of multiples of the tables, wherever the blocks lie."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter

from deblur.images import Coding, Frame, encode, read_frames
from deblur.images.scale import turn

HEIGHT, WIDTH = 61, 45  # as stored: no multiples of 8 or 16
SUBSAMPLINGS = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2)}


def jpeg(quality: int, subsampling: str = "4:4:4", orientation: int = 1, gray: bool = False, **options) -> bytes:
    """A picture whose values are far from black and white, so that decoding clips nothing."""
    rng = np.random.default_rng(0)
    samples = 128 + 60 * gaussian_filter(rng.normal(size=(HEIGHT, WIDTH, 3)), (0.7, 0.7, 0)).clip(-1, 1)
    image = Image.fromarray(samples.round().astype(np.uint8))
    exif = Image.Exif()
    exif[274] = orientation
    buffer = io.BytesIO()
    image = image.convert("L") if gray else image
    image.save(buffer, "JPEG", quality=quality, subsampling=subsampling, exif=exif, **options)
    return buffer.getvalue()


def components(frame: Frame) -> np.ndarray:
    """Y, or Y, Cb and Cr around 0."""
    pixels = frame.pixels.double().numpy() * 255
    if len(pixels) == 1:
        return pixels - 128
    red, green, blue = pixels
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([y - 128, (blue - y) / 1.772, (red - y) / 1.402])


def misfit(plane: np.ndarray, table: np.ndarray, offset: tuple[int, int]) -> float:
    """How far the DCT of the whole blocks is from multiples of the table: the RMS, over coarse entries."""
    top, left = (-offset[0] % 8, -offset[1] % 8)
    rows, columns = ((size - start) // 8 for size, start in zip(plane.shape, (top, left), strict=True))
    blocks = plane[top : top + 8 * rows, left : left + 8 * columns].reshape(rows, 8, columns, 8).swapaxes(1, 2)
    coefficients = dctn(blocks, axes=(2, 3), norm="ortho")
    off = coefficients - table * np.round(coefficients / table)
    return float(np.sqrt((off[..., table >= 8] ** 2).mean()))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("quality", "gray"), [(60, True), (60, False), (90, True), (90, False)])
def test_the_picture_is_made_of_multiples_of_its_tables(quality, gray, orientation):
    (frame,) = read_frames(jpeg(quality, orientation=orientation, gray=gray))
    coding = frame.coding
    assert (coding.format, coding.subsampling, len(coding.tables)) == ("JPEG", (1, 1), 1 if gray else 3)
    for part in (frame, frame.window(*(slice(5, None), slice(18, None)))):
        for plane, table in zip(components(part), part.coding.tables, strict=True):
            right = misfit(plane, table, part.coding.offset)
            row, column = part.coding.offset
            assert right < 0.7, "rounding to whole levels alone is 0.3 in gray and more in colour"
            assert right < 0.6 * misfit(plane, table, (row + 4, column))
            assert right < 0.6 * misfit(plane, table, (row, column + 4))
    if orientation >= 5:  # no table is symmetric
        (plane, *_), table = components(frame), coding.tables[0]
        assert misfit(plane, table.T, coding.offset) > 1.5 * misfit(plane, table, coding.offset)


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("quality", [60, 90])
def test_brightness_keeps_its_tables_under_subsampled_colour(quality, subsampling):
    data = jpeg(quality, subsampling)
    (frame,) = read_frames(data)
    assert frame.coding.subsampling == SUBSAMPLINGS[subsampling]
    assert frame.coding.offset == (0, 0)
    with Image.open(io.BytesIO(data)) as image:
        luma, chroma = (np.reshape(image.quantization[i], (8, 8)) for i in (0, 1))
    np.testing.assert_array_equal(frame.coding.tables, [luma, chroma, chroma])
    assert misfit(components(frame)[0], luma, (0, 0)) < 0.7


def test_the_tables_are_those_of_the_standard_in_natural_order():
    (frame,) = read_frames(jpeg(50, gray=True))
    assert frame.coding.tables[0, 0].tolist() == [16, 11, 10, 16, 24, 40, 51, 61]
    assert frame.coding.tables[0, :, 0].tolist() == [16, 12, 14, 14, 18, 24, 49, 72]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turn_takes_the_grid_of_colour_along(orientation):
    """The lines of pixels at which a unit starts, marked in a picture, are where the turned coding says."""
    rows, columns = np.indices((HEIGHT, WIDTH))
    offset, subsampling = (3, 6), (2, 1)
    stored = Coding(format="JPEG", tables=np.arange(64).reshape(1, 8, 8), subsampling=subsampling, offset=offset)
    starts = ((rows + offset[0]) % 16 == 0, (columns + offset[1]) % 8 == 0)
    ends = ((rows + offset[0]) % 16 == 15, (columns + offset[1]) % 8 == 7)  # the last
    seen = stored.turned(orientation, HEIGHT, WIDTH)
    swapped = orientation >= 5
    for axis in (0, 1):
        source = 1 - axis if swapped else axis
        flipped = orientation in ((3, 4, 7, 8), (2, 3, 6, 7))[axis]
        first = turn((ends if flipped else starts)[source], orientation)
        place = np.arange(first.shape[axis]) + seen.offset[axis]
        expected = place % seen.unit[axis] == 0
        np.testing.assert_array_equal(first[:, 0] if axis == 0 else first[0], expected)
    assert seen.subsampling == (subsampling[::-1] if swapped else subsampling)
    np.testing.assert_array_equal(seen.tables[0], stored.tables[0].T if swapped else stored.tables[0])


def test_cropping_twice_is_cropping_once():
    whole = Coding(format="JPEG", tables=np.ones((1, 8, 8)), subsampling=(2, 2))
    assert whole.at(13, 30).at(9, 5).offset == whole.at(22, 35).offset == (6, 3)


def test_the_tables_cannot_be_changed():
    coding = Coding(format="JPEG", tables=np.ones((1, 8, 8)))
    with pytest.raises(ValueError, match="read-only"):
        coding.tables[0] = 2


def test_gray_has_no_colour_to_share_whatever_its_factors():
    (frame,) = read_frames(jpeg(60, "4:2:0", gray=True))
    assert (len(frame.coding.tables), frame.coding.subsampling) == (1, (1, 1))


def test_a_jpeg_of_red_green_and_blue_has_no_coding_of_brightness_and_colour():
    (frame,) = read_frames(jpeg(90, keep_rgb=True))
    assert frame.coding is None


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".bmp"])
def test_other_formats_have_none_and_saving_drops_it(suffix):
    (frame,) = read_frames(jpeg(60))
    (again,) = read_frames(encode([frame], suffix, 80))
    assert again.coding is None


def test_saving_a_jpeg_again_codes_it_anew():
    (frame,) = read_frames(jpeg(60, "4:2:0", orientation=6))
    (again,) = read_frames(encode([frame], ".jpg", 90))
    assert (again.coding.offset, again.coding.subsampling) == ((0, 0), (1, 1))
    assert again.coding.tables.max() < frame.coding.tables.max()


def test_progressive_files_have_it_too():
    plain, progressive = (read_frames(jpeg(60, progressive=progressive))[0] for progressive in (False, True))
    np.testing.assert_array_equal(plain.coding.tables, progressive.coding.tables)
    torch.testing.assert_close(plain.pixels, progressive.pixels)
