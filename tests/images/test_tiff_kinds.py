"""The many ways a TIFF can store the same pixels are all read exactly, or refused in one line."""

from __future__ import annotations

import io
import struct

import cv2
import numpy as np
import pytest
import tifffile
from looped import looped
from PIL import Image

from deblur.errors import FileError
from deblur.images import encode, read_frames
from deblur.images.scale import stored_from_frame


def tiff(samples: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, metadata=None, **options)
    return buffer.getvalue()


def stored_in(data: bytes) -> np.ndarray:
    (frame,) = read_frames(data)
    return stored_from_frame(frame).samples()


def kind_of(channels: int) -> dict:
    extra = {"extrasamples": ["unassalpha"]} if channels in (2, 4) else {}
    return {"photometric": "rgb" if channels >= 3 else "minisblack", **extra}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("layout", ["strips", "tiles", "planes", "tiled planes"])
@looped(channels=(1, 2, 3, 4), byteorder="<>", compression=(None, "zlib"))
def test_layouts(make_samples, dtype, channels, byteorder, layout, compression):
    samples = make_samples(dtype, channels, 37, 53)
    options = {"rowsperstrip": 7} if "tile" not in layout else {"tile": (16, 32)}
    stored = samples
    if channels > 1:
        options["planarconfig"] = "separate" if "planes" in layout else "contig"
        stored = np.ascontiguousarray(np.moveaxis(samples, 2, 0)) if "planes" in layout else samples
    predictor = compression is not None and dtype != "float32"
    data = tiff(
        stored, byteorder=byteorder, compression=compression, predictor=predictor, **options, **kind_of(channels)
    )
    np.testing.assert_array_equal(stored_in(data), samples)


def lzw(data: bytes) -> bytes:
    """TIFF's LZW with codes of growing width (a table that is cleared before 12 bits run out)."""
    out, bits, count = bytearray(), 0, 0

    def put(code: int, width: int) -> None:
        nonlocal bits, count
        bits, count = (bits << width) | code, count + width
        while count >= 8:
            count -= 8
            out.append((bits >> count) & 255)
        bits &= (1 << count) - 1

    table = {bytes([i]): i for i in range(256)}
    put(256, 9)
    width, following, prefix = 9, 258, b""
    for byte in data:
        longer = prefix + bytes([byte])
        if longer in table:
            prefix = longer
            continue
        put(table[prefix], width)
        table[longer] = following
        following += 1
        width = 9 if following < 512 else 10 if following < 1024 else 11 if following < 2048 else 12
        if following == 4094:
            put(256, width)
            table, width, following = {bytes([i]): i for i in range(256)}, 9, 258
        prefix = bytes([byte])
    put(table[prefix], width)
    following += 1
    width = 9 if following < 512 else 10 if following < 1024 else 11 if following < 2048 else 12
    put(257, width)
    put(0, -count % 8)
    return bytes(out)


def difference(rows: np.ndarray, predictor: int) -> np.ndarray:
    """Rows (H, W, S) to the bytes a writer would compress."""
    if predictor == 2:
        whole = rows.view(f"u{rows.itemsize}")
        rows = np.concatenate([whole[:, :1], whole[:, 1:] - whole[:, :-1]], axis=1)
    if predictor == 3:
        height, _, samples = rows.shape
        by_weight = rows.astype(rows.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1, rows.itemsize)
        row_bytes = by_weight.swapaxes(1, 2).reshape(height, -1, samples)
        return np.concatenate([row_bytes[:, :1], row_bytes[:, 1:] - row_bytes[:, :-1]], axis=1)
    return rows


def hand_made(
    samples: np.ndarray, *, compress, code: int, predictor: int, order: str, tile: tuple[int, int] | None, planes=False
):
    """A TIFF with any compression and predictor, in strips of 7 rows or in tiles, in either byte order."""
    cube = samples[..., None] if samples.ndim == 2 else samples
    height, width, channels = cube.shape
    blocks = []
    for part in np.split(cube, channels, axis=2) if planes else [cube]:
        if tile:
            padded = np.pad(part, ((0, -height % tile[0]), (0, -width % tile[1]), (0, 0)))
            for top in range(0, height, tile[0]):
                blocks += [padded[top : top + tile[0], x : x + tile[1]] for x in range(0, width, tile[1])]
        else:
            blocks += [part[top : top + 7] for top in range(0, height, 7)]
    segments = []
    for block in blocks:
        rows = difference(np.ascontiguousarray(block), predictor)
        segments.append(compress(rows.astype(rows.dtype.newbyteorder(order)).tobytes()))
    kind = {"u": 1, "f": 3}[samples.dtype.kind]
    tags = {256: width, 257: height, 258: [8 * samples.itemsize] * channels, 259: code, 262: 2 if channels > 2 else 1}
    tags |= {277: channels, 284: 2 if planes else 1, 317: predictor, 339: [kind] * channels}
    tags |= {322: tile[1], 323: tile[0]} if tile else {278: 7}
    if channels in (2, 4):
        tags[338] = 2
    sizes, head = [len(segment) for segment in segments], 8
    tags |= {(325 if tile else 279): sizes}
    offsets = [head + sum(sizes[:i]) for i in range(len(sizes))]
    tags |= {(324 if tile else 273): offsets}
    body = b"".join(segments) + b"\0" * (sum(sizes) % 2)
    directory_at = head + len(body)
    values_at = directory_at + 2 + 12 * len(tags) + 4
    table, values = struct.pack(order + "H", len(tags)), b""
    for tag, value in sorted(tags.items()):
        items = value if isinstance(value, list) else [value]
        long = tag in (273, 279, 324, 325, 256, 257)
        raw = struct.pack(f"{order}{len(items)}{'I' if long else 'H'}", *items)
        table += struct.pack(order + "HHI", tag, 4 if long else 3, len(items))
        if len(raw) <= 4:
            table += raw.ljust(4, b"\0")
        else:
            table += struct.pack(order + "I", values_at + len(values))
            values += raw
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", directory_at)
    return start + body + table + struct.pack(order + "I", 0) + values


@pytest.mark.parametrize(
    ("dtype", "predictor"), [("uint8", 1), ("uint8", 2), ("uint16", 1), ("uint16", 2), ("float32", 1), ("float32", 3)]
)
@looped(channels=(1, 2, 3, 4), order="<>", tile=(None, (16, 32)))
def test_lzw(make_samples, dtype, predictor, channels, order, tile):
    samples = make_samples(dtype, channels, 37, 53)
    data = hand_made(samples, compress=lzw, code=5, predictor=predictor, order=order, tile=tile)
    np.testing.assert_array_equal(stored_in(data), samples)


@pytest.mark.parametrize(("dtype", "predictor"), [("uint8", 2), ("uint16", 1), ("uint16", 2), ("float32", 3)])
@looped(channels=(2, 3, 4), tile=(None, (16, 32)))
def test_lzw_in_planes(make_samples, dtype, predictor, channels, tile):
    samples = make_samples(dtype, channels, 37, 53)
    data = hand_made(samples, compress=lzw, code=5, predictor=predictor, order="<", tile=tile, planes=True)
    np.testing.assert_array_equal(stored_in(data), samples)


@looped(order="<>", tile=(None, (16, 32)))
def test_deflated_floats_with_their_predictor(make_samples, order, tile):
    import zlib

    samples = make_samples("float32", 3, 37, 53)
    data = hand_made(samples, compress=zlib.compress, code=8, predictor=3, order=order, tile=tile)
    np.testing.assert_array_equal(stored_in(data), samples)


@looped(dtype=("uint8", "uint16", "float32"), channels=(1, 3))
def test_lzw_of_opencv(make_samples, dtype, channels):
    samples = make_samples(dtype, channels, 37, 53)
    theirs = samples if channels == 1 else samples[..., ::-1]
    data = cv2.imencode(".tif", theirs, [cv2.IMWRITE_TIFF_COMPRESSION, 5])[1].tobytes()
    np.testing.assert_array_equal(stored_in(data), samples)


def test_packbits(make_samples):
    buffer = io.BytesIO()
    samples = make_samples("uint8", 3)
    Image.fromarray(samples).save(buffer, "TIFF", compression="packbits")
    np.testing.assert_array_equal(stored_in(buffer.getvalue()), samples)


def test_bigtiff(make_samples):
    samples = make_samples("uint16", 3)
    np.testing.assert_array_equal(stored_in(tiff(samples, bigtiff=True, photometric="rgb")), samples)


def test_jpeg_in_tiff_is_read():
    y, x = np.mgrid[0:64, 0:96]
    samples = np.stack([x * 2, y * 3, 255 - x], 2).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, "TIFF", compression="jpeg", quality=98)
    assert np.abs(stored_in(buffer.getvalue()).astype(int) - samples).mean() < 3


@looped(dtype=("uint8", "uint16"), channels=(1, 2))
def test_white_is_zero_is_turned_over(make_samples, dtype, channels):
    samples = make_samples(dtype, channels)
    options = {"extrasamples": ["unassalpha"], "planarconfig": "contig"} if channels == 2 else {}
    expected = samples.copy()
    gray = expected if channels == 1 else expected[..., 0]
    gray[...] = np.iinfo(dtype).max - gray
    np.testing.assert_array_equal(stored_in(tiff(samples, photometric="miniswhite", **options)), expected)


@pytest.mark.parametrize(("step", "dtype"), [(256, np.uint8), (257, np.uint8), (1, np.uint16)])
def test_palettes_become_rgb_of_their_depth(make_samples, step, dtype):
    index = make_samples("uint8", 1)
    rng = np.random.default_rng(1)
    palette = (rng.integers(0, 256 if step > 1 else 65536, (3, 256)) * step).astype(np.uint16)
    stored = stored_in(tiff(index, photometric="palette", colormap=palette))
    assert stored.dtype == dtype
    np.testing.assert_array_equal(stored, palette.T[index] >> (8 if step > 1 else 0))


def test_one_bit_becomes_gray(make_samples):
    bits = make_samples("uint8", 1) > 127
    for mode in ("minisblack", "miniswhite"):
        stored = stored_in(tiff(bits, photometric=mode))
        np.testing.assert_array_equal(stored, np.where(bits == (mode == "minisblack"), 255, 0))


def test_half_floats_are_read_as_floats(make_samples):
    samples = make_samples("float32", 3).astype(np.float16)
    np.testing.assert_array_equal(stored_in(tiff(samples, photometric="rgb")), samples.astype(np.float32))


@looped(code=(0, 1, 2))
def test_the_kind_of_the_fourth_channel_is_kept(make_samples, code):
    samples = make_samples("uint16", 4)
    data = tiff(samples, photometric="rgb", extrasamples=[code])
    written = encode(read_frames(data), ".tif")
    with tifffile.TiffFile(io.BytesIO(written)) as tif:
        assert tuple(map(int, tif.pages[0].extrasamples)) == (code,)
        np.testing.assert_array_equal(tif.pages[0].asarray(), samples)


def test_thumbnails_and_masks_are_left_out_with_a_note(make_samples):
    buffer = io.BytesIO()
    samples = make_samples("uint8", 3)
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(samples, photometric="rgb", metadata=None)
        writer.write(samples[::2, ::2].copy(), photometric="rgb", subfiletype=1, metadata=None)
    (frame,) = read_frames(buffer.getvalue())
    np.testing.assert_array_equal(stored_from_frame(frame).array, samples)
    assert frame.notes == ("the file holds 1 thumbnails, reduced copies or masks, which are left out",)


def test_an_imagej_stack_of_real_pages_is_read_page_by_page(make_samples):
    stack = np.stack([make_samples("uint16", 1, seed=seed) for seed in range(4)])
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, stack, imagej=True)
    frames = read_frames(buffer.getvalue())
    np.testing.assert_array_equal(np.stack([stored_from_frame(frame).array for frame in frames]), stack)


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        (
            np.zeros((4, 5, 4), np.uint8),
            {"photometric": "separated"},
            "expected gray or RGB, got CMYK (print colours);",
        ),
        (
            np.zeros((4, 5), np.uint32),
            {},
            "expected samples of 8 or 16 bits or 32-bit floats, got 32 bits (unsigned); export it so",
        ),
        (
            np.zeros((4, 5), np.int16),
            {},
            "expected samples of 8 or 16 bits or 32-bit floats, got 16 bits (signed); export it so",
        ),
        (
            np.zeros((4, 5), np.float64),
            {},
            "expected samples of 8 or 16 bits or 32-bit floats, got 64 bits (float); export it so",
        ),
        (
            np.zeros((4, 5), np.complex64),
            {},
            "expected samples of 8 or 16 bits or 32-bit floats, got 64 bits (of another kind); export it so",
        ),
        (
            np.zeros((4, 5, 3), np.uint8),
            {"photometric": "cielab"},
            "expected gray or RGB with or without alpha, got 3 channels of the kind CIELAB;",
        ),
        (
            np.zeros((4, 6), np.uint16),
            {"photometric": "cfa"},
            "expected developed pixels, got a camera's RAW file; export",
        ),
        (
            np.zeros((3, 16, 16), np.uint8),
            {"photometric": "minisblack", "volumetric": True, "tile": (16, 16, 16)},
            "expected a page for each plane, got a stack of planes behind one page; save it again so",
        ),
    ],
)
def test_kinds_that_are_refused(samples, options, message):
    with pytest.raises(FileError) as caught:
        read_frames(tiff(samples, **options))
    assert str(caught.value).startswith(f"the given bytes: {message}")
    assert "\n" not in str(caught.value)


def test_a_stack_behind_one_directory_is_refused():
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((5, 8, 9), np.uint16), truncate=True, photometric="minisblack")
    with pytest.raises(
        FileError, match="expected a page for each plane, got a stack of planes behind one page; save it again so"
    ):
        read_frames(buffer.getvalue())


def test_one_bad_page_names_itself():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(np.zeros((4, 5), np.uint8), metadata=None)
        writer.write(np.zeros((4, 5), np.int32), metadata=None)
    with pytest.raises(
        FileError,
        match=r"^the given bytes: page 2: expected samples of 8 or 16 bits or 32-bit floats, got 32 bits \(signed\)",
    ):
        read_frames(buffer.getvalue())


def test_a_compression_nobody_reads_is_named():
    data = bytearray(tiff(np.zeros((4, 5), np.uint16)))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as tif:
        place = tif.pages[0].tags[259].valueoffset
    struct.pack_into("<H", data, place, 34712)  # JPEG 2000
    with pytest.raises(
        FileError, match="expected LZW, Deflate or no compression, got JPEG2000 with 16 bits; save it again so"
    ):
        read_frames(bytes(data))
