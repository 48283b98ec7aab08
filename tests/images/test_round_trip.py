"""Reading and writing again gives back every stored value, for every format, depth, channels and alpha."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from deblur.errors import FileError, OptionError
from deblur.images import FORMATS, Frame, encode, read_frames, write_frames
from deblur.images.scale import stored_from_frame

LOSSLESS = [
    *[("PNG", dtype, channels) for dtype in ("uint8", "uint16") for channels in (1, 2, 3, 4)],
    *[("TIFF", dtype, channels) for dtype in ("uint8", "uint16", "float32") for channels in (1, 2, 3, 4)],
    *[("BMP", "uint8", channels) for channels in (1, 3, 4)],
]


def frame_of(samples: np.ndarray, format: str = "PNG", **rest) -> Frame:
    planes = samples[None] if samples.ndim == 2 else np.moveaxis(samples, 2, 0)
    full = {"uint8": 255, "uint16": 65535, "float32": 1}[samples.dtype.name]
    values = torch.from_numpy(np.ascontiguousarray(planes).astype(np.float32) / np.float32(full))
    alpha = values[-1] if len(values) in (2, 4) else None
    colour = values[:3] if len(values) >= 3 else values[:1]
    return Frame(pixels=colour, alpha=alpha, dtype=samples.dtype.name, white=full, format=format, **rest)


@pytest.mark.parametrize(("format", "dtype", "channels"), LOSSLESS)
def test_lossless_formats_keep_every_value(tmp_path, make_samples, format, dtype, channels):
    samples = make_samples(dtype, channels)
    path = tmp_path / f"picture{FORMATS[format].suffixes[0]}"
    write_frames(path, [frame_of(samples)])
    (frame,) = read_frames(path)
    assert frame.format == format
    assert frame.dtype == dtype
    assert frame.pixels.shape == ((3 if channels >= 3 else 1), 13, 21)
    assert frame.pixels.dtype == torch.float32
    np.testing.assert_array_equal(stored_from_frame(frame).samples(), samples)
    assert encode([frame], format) == path.read_bytes()


@pytest.mark.parametrize(("dtype", "channels"), [(d, c) for d in ("uint8", "uint16") for c in (1, 2, 3, 4)])
def test_png_is_read_alike_by_others(make_samples, dtype, channels):
    samples = make_samples(dtype, channels, height=40, width=500)
    data = encode([frame_of(samples)], ".png")
    theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if channels == 2:
        theirs = theirs[..., [0, 3]]
    elif channels >= 3:
        theirs = theirs[..., [2, 1, 0, 3][:channels]]
    np.testing.assert_array_equal(theirs, samples)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.size == (500, 40)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_bands_join(make_samples, monkeypatch, channels):
    monkeypatch.setattr("deblur.images.png._BAND_BYTES", 300)
    samples = make_samples("uint16", channels)
    (frame,) = read_frames(encode([frame_of(samples)], ".png"))
    np.testing.assert_array_equal(stored_from_frame(frame).samples(), samples)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_tiff_is_read_alike_by_opencv(make_samples, dtype, channels):
    samples = make_samples(dtype, channels)
    theirs = cv2.imdecode(np.frombuffer(encode([frame_of(samples)], ".tif"), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(theirs if channels == 1 else theirs[..., ::-1], samples)


def test_every_16_bit_value_survives():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    (frame,) = read_frames(encode([frame_of(values)], ".png"))
    np.testing.assert_array_equal(stored_from_frame(frame).array, values)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_lossless_webp_keeps_every_value(make_samples, channels):
    samples = make_samples("uint8", channels)
    (frame,) = read_frames(encode([frame_of(samples)], ".webp", quality=100))
    expected = samples if channels >= 3 else samples[..., [0, 0, 0, 1]] if channels == 2 else np.stack([samples] * 3, 2)
    np.testing.assert_array_equal(stored_from_frame(frame).samples(), expected)
    assert frame.metadata.lossless
    again = encode([frame], ".webp")
    np.testing.assert_array_equal(stored_from_frame(read_frames(again)[0]).samples(), expected)


def smooth(height: int = 64, width: int = 96) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([x / width, y / height, (x + y) / (height + width)], 2) * 200 + 20


@pytest.mark.parametrize(("suffix", "quality", "bound"), [(".jpg", None, 1.2), (".jpg", 50, 6), (".webp", None, 2.5)])
@pytest.mark.parametrize("gray", [False, True])
def test_lossy_formats_come_close(suffix, quality, bound, gray):
    samples = smooth().astype(np.uint8)
    samples = samples[..., 0] if gray else samples
    (frame,) = read_frames(encode([frame_of(samples)], suffix, quality))
    assert frame.pixels.shape[0] == (1 if gray and suffix == ".jpg" else 3)
    expected = samples if frame.pixels.shape[0] == 3 or samples.ndim == 2 else samples[..., 0]
    stored = stored_from_frame(frame).array
    stored = stored[..., 0] if stored.ndim > expected.ndim else stored
    assert np.abs(stored.astype(float) - expected).mean() < bound
    assert not frame.metadata.lossless


def test_jpeg_quality_trades_size_and_keeps_full_colour_at_the_top(make_samples):
    frame = frame_of(smooth().astype(np.uint8))
    sizes = [len(encode([frame], ".jpg", quality)) for quality in (20, 60, 95, 100)]
    assert sizes == sorted(sizes)
    with Image.open(io.BytesIO(encode([frame], ".jpg"))) as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3


def test_16_bits_become_8_from_black_to_white():
    values = np.array([[100, 2100, 4100]], np.uint16)
    (frame,) = read_frames(encode([frame_of(values)], ".png"), black=100, white=4100)
    (small,) = read_frames(encode([frame], ".bmp"))
    assert small.dtype == "uint8"
    np.testing.assert_array_equal(stored_from_frame(small).array, [[0, 128, 255]])


def test_pages_of_different_kinds_stay_in_order(tmp_path, make_samples):
    pages = [make_samples("uint16", 1), make_samples("uint16", 3, 5, 8, 1), make_samples("uint16", 4, 9, 4, 2)]
    write_frames(tmp_path / "stack.tif", [frame_of(page) for page in pages])
    frames = read_frames(tmp_path / "stack.tif")
    assert len(frames) == 3
    for frame, page in zip(frames, pages, strict=True):
        np.testing.assert_array_equal(stored_from_frame(frame).samples(), page)
    write_frames(tmp_path / "again.tif", frames)
    assert [p.shape for p in tifffile.TiffFile(tmp_path / "again.tif").pages] == [(13, 21), (5, 8, 3), (9, 4, 4)]


def test_integers_are_rounded_and_limited_floats_are_not():
    pixels = torch.tensor([[[-0.2, 0.5004, 1.3]]])
    (eight,) = read_frames(encode([Frame(pixels=pixels)], ".png"))
    np.testing.assert_array_equal(stored_from_frame(eight).array, [[0, 128, 255]])
    (real,) = read_frames(encode([Frame(pixels=pixels, dtype="float32", white=1.0)], ".tif"))
    np.testing.assert_array_equal(real.pixels.numpy(), pixels.numpy())


@pytest.mark.parametrize(
    ("frames", "suffix", "message"),
    [
        ([], ".png", "expected a picture to write, got none"),
        (
            [Frame(pixels=torch.zeros(1, 2, 2))] * 2,
            ".png",
            "expected one picture for PNG, got 2 pages; name the output .tif",
        ),
        (
            [Frame(pixels=torch.zeros(1, 2, 2), dtype="float32")],
            ".png",
            "expected integer samples for PNG, got float values; name the output .tif",
        ),
        (
            [Frame(pixels=torch.zeros(1, 2, 2), alpha=torch.zeros(2, 2))],
            ".jpg",
            "expected a picture without alpha for JPEG, got one with it; name the output .png or .tif",
        ),
        (
            [Frame(pixels=torch.full((1, 2, 2), float("nan")))],
            ".png",
            "expected finite pixels to write, got NaN or infinite ones; nothing was written",
        ),
    ],
)
def test_what_a_format_cannot_hold_is_refused_and_nothing_is_written(tmp_path, frames, suffix, message):
    path = tmp_path / f"out{suffix}"
    with pytest.raises(FileError) as caught:
        write_frames(path, frames)
    assert str(caught.value) == f"{path}: {message}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("suffix", "name", "largest"), [(".webp", "WebP", 16383), (".jpg", "JPEG", 65500)])
def test_a_side_has_a_limit(tmp_path, suffix, name, largest):
    with pytest.raises(FileError, match=rf"expected at most {largest} pixels a side for {name}, got {largest + 1}"):
        write_frames(tmp_path / f"wide{suffix}", [Frame(pixels=torch.zeros(1, 1, largest + 1))])
    assert encode([Frame(pixels=torch.zeros(1, 1, largest))], suffix)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out", "out.xyz", "out.gif"])
def test_an_unknown_suffix_is_refused(tmp_path, name):
    with pytest.raises(FileError, match=r"expected a suffix like \.png \.tif \.jpg \.webp \.bmp \.fits, got "):
        write_frames(tmp_path / name, [Frame(pixels=torch.zeros(1, 2, 2))])


@pytest.mark.parametrize("quality", [0, 101, -5])
def test_a_quality_out_of_range_is_refused(quality):
    with pytest.raises(OptionError, match=f"^expected --quality from 1 to 100, got {quality}$"):
        encode([Frame(pixels=torch.zeros(1, 2, 2))], ".jpg", quality)


def test_standard_streams(monkeypatch, make_samples):
    samples = make_samples("uint16", 3)
    data = encode([frame_of(samples, "TIFF")], "TIFF")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    out = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(out))
    frames = read_frames("-")
    write_frames("-", frames)
    assert frames[0].format == "TIFF"
    assert out.getvalue() == data
