"""What cannot be read is refused in one line that says what it is and what to do."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from deblur.errors import FileError, OptionError
from deblur.images import read_frames

EXPORT = "export it as a 16-bit TIFF or PNG"
READS = "expected PNG, TIFF, JPEG, WebP, BMP, FITS, HEIC or RAW"


def picture(format: str, mode: str = "RGB", size: tuple[int, int] = (60, 40), **options) -> bytes:
    rng = np.random.default_rng(0)
    bands = {"L": 1, "RGB": 3, "RGBA": 4, "CMYK": 4, "P": 1}[mode]
    samples = rng.integers(0, 256, (size[1], size[0], bands), dtype=np.uint8)
    image = Image.frombytes(mode, size, samples.tobytes())
    if mode == "P":
        image.putpalette(rng.integers(0, 256, 768, dtype=np.uint8).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def line_of(source, **options) -> str:
    with pytest.raises(FileError) as caught:
        read_frames(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_missing_folder_and_empty(tmp_path):
    path = tmp_path / "none.png"
    assert line_of(path) == f"{path}: there is no such file; check the name"
    assert line_of(tmp_path) == f"{tmp_path}: expected a picture file, got a folder; name the files in it"
    path.write_bytes(b"")
    readable = READS.removeprefix("expected ")
    assert line_of(path) == f"{path}: expected a picture ({readable}), got an empty file; copy it again"
    assert line_of(path / "deeper.png").startswith(f"{path}/deeper.png: cannot be read (Not a directory)")
    assert line_of("a\0b.png").startswith("a\0b.png: cannot be read (")


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"\0\0\0\x18ftypavif\0\0\0\0" + bytes(40), "an AVIF picture"),
        (b"\xff\x0a" + bytes(40), "a JPEG XL picture"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "a JPEG 2000 picture"),
        (b"GIF89a" + bytes(40), "a GIF"),
        (b"8BPS\0\1" + bytes(40), "a Photoshop file"),
        (b"\x76\x2f\x31\x01" + bytes(40), "an OpenEXR picture"),
        (b"%PDF-1.7" + bytes(40), "a PDF"),
        (b"\x93NUMPY\1\0" + bytes(40), "a NumPy or ZIP archive"),
        (b"\0\0\0\x18ftypisom" + bytes(40), "a video"),
    ],
)
def test_other_kinds_of_files_are_named(tmp_path, head, what):
    path = tmp_path / "photo.jpg"
    path.write_bytes(head)
    assert line_of(path) == f"{path}: {READS}, got {what}; {EXPORT}"


@pytest.mark.parametrize(
    "head",
    [
        b"II*\0\x10\0\0\0CR\2\0",
        b"FUJIFILMCCD-RAW 0201",
        b"IIRO\x08\0\0\0",
        b"IIU\0\x18\0\0\0",
        b"\0\0\0\x18ftypcrx \0\0\0\1",
    ],
)
def test_the_beginning_of_a_raw_file_is_no_whole_one(head):
    pytest.importorskip("rawpy")
    assert line_of(head + bytes(40)).startswith(
        "the given bytes: expected a RAW file that LibRaw reads, got another or a"
    )


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_the_beginning_of_a_heic_file_is_no_whole_one(brand):
    pytest.importorskip("pillow_heif")
    assert line_of(b"\0\0\0\x18ftyp" + brand + bytes(44)).startswith(
        "the given bytes: expected a whole HEIC file, got a"
    )


@pytest.mark.parametrize("suffix", [".nef", ".ARW", ".dng", ".pef", ".srw"])
def test_raw_files_that_look_like_tiff_are_known_by_their_suffix(tmp_path, suffix):
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(picture("TIFF"))
    pytest.importorskip("rawpy")
    assert line_of(path).startswith(f"{path}: expected a RAW file that LibRaw reads, got another or a damaged one (")


def test_raw_files_are_known_by_content_too():
    for tags, options in (([(50706, 1, 4, b"\1\4\0\0", True)], {}), ([(330, 4, 1, 8, True)], {"subfiletype": 1})):
        buffer = io.BytesIO()
        extra = {"extratags": tags} if not options else {"subifds": 1}
        with tifffile.TiffWriter(buffer) as writer:
            writer.write(np.zeros((4, 5), np.uint8), photometric="minisblack", metadata=None, **options, **extra)
            if options:
                writer.write(np.zeros((8, 10), np.uint16), photometric="cfa", metadata=None)
        assert "expected developed pixels, got a camera's RAW file" in line_of(buffer.getvalue())


@pytest.mark.parametrize("junk", [b"hello, this is a text and no picture at all", b"\0" * 100, b"B", b"BM", b"\x89PNG"])
def test_junk(junk):
    assert line_of(junk) == f"the given bytes: {READS}, got a file of another kind; {EXPORT}"


def test_the_content_counts_and_not_the_suffix(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(picture("JPEG"))
    assert read_frames(path)[0].format == "JPEG"


FILES = {
    "PNG": picture("PNG"),
    "JPEG": picture("JPEG"),
    "WebP": picture("WEBP", lossless=True),
    "BMP": picture("BMP"),
    "TIFF": picture("TIFF"),
}


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize("part", [0.02, 0.1, 0.5, 0.9, 0.99])
def test_cut_off_files_are_never_half_read(format, part):
    data = FILES[format]
    message = line_of(data[: max(30, int(len(data) * part))])
    assert message.startswith(f"the given bytes: expected a whole {format} file, got a damaged or cut-off one (")
    assert message.endswith("); export it again")


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"])
@pytest.mark.parametrize("part", [0.3, 0.8])
def test_cut_off_compressed_tiffs_are_never_half_read(compression, part):
    buffer = io.BytesIO(picture("TIFF", compression=compression))
    with tifffile.TiffFile(buffer) as tif:
        page = tif.pages[0]
        at, size = page.dataoffsets[-1], page.databytecounts[-1]
    damaged = bytearray(buffer.getvalue())
    start = at + int(size * part)
    damaged[start : at + size] = bytes(at + size - start)  # zeros instead of the end of the last strip
    assert line_of(bytes(damaged)).startswith(
        "the given bytes: expected a whole TIFF file, got a damaged or cut-off one ("
    )


def test_a_header_without_sense_is_said_so():
    assert line_of(b"\xff\xd8\xff" + bytes(60)) == (
        "the given bytes: expected a whole JPEG file, got a damaged or cut-off one (its header makes no sense); "
        "export it again"
    )


def test_a_picture_of_a_billion_pixels_is_refused():
    data = bytearray(picture("BMP"))
    data[18:26] = struct.pack("<ii", 1 << 16, 1 << 15)
    assert line_of(bytes(data)) == (
        "the given bytes: expected at most 1073741824 pixels, got a file that claims to have more; cut it to pieces"
    )


def test_a_flipped_bit_in_a_png_is_found():
    data = bytearray(picture("PNG"))
    data[len(data) // 2] ^= 1
    assert line_of(bytes(data)) == (
        "the given bytes: expected a whole PNG file, got a damaged or cut-off one (a checksum is wrong); "
        "export it again"
    )


def test_a_png_whose_pixels_are_missing_is_refused():
    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    for depth, rows in ((8, 4), (16, 4)):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 6, 10, depth, 2, 0, 0, 0))
        pixels = chunk(b"IDAT", zlib.compress(bytes((1 + 6 * 3 * depth // 8) * rows)))
        data = b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")
        assert "expected a whole PNG file, got a damaged or cut-off one" in line_of(data)
    empty = chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 10, 8, 2, 0, 0, 0)) + chunk(b"IEND", b"")
    assert "(its size is zero)" in line_of(b"\x89PNG\r\n\x1a\n" + empty)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("format", FILES)
def test_damaged_files_never_escape_the_family(format, seed):
    rng = np.random.default_rng(seed)
    data = bytearray(FILES[format])
    for place in rng.integers(2, min(len(data), 400), 12):
        data[place] = rng.integers(256)
    try:
        frames, message = read_frames(bytes(data)), ""
    except FileError as error:
        frames, message = [], str(error)
    assert "\n" not in message
    assert all(frame.pixels.numel() for frame in frames)


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_is_refused(format):
    assert line_of(picture(format, "CMYK")) == (
        "the given bytes: expected gray or RGB, got CMYK (print colours); export it as RGB, in 16-bit TIFF or PNG"
    )


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_animations_are_refused(format):
    frames = [Image.fromarray(np.full((8, 9, 3), 100 * i, np.uint8)) for i in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, format, save_all=True, append_images=frames[1:], duration=100)
    assert line_of(buffer.getvalue()) == (
        "the given bytes: expected one picture, got an animation; export the frame you want"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_floats_that_are_no_numbers_are_refused(value):
    samples = np.zeros((600, 5), np.float32)
    samples[-1, 3] = value
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples)
    assert line_of(buffer.getvalue()) == (
        "the given bytes: expected finite values, got NaN or infinite ones; replace them first"
    )


@pytest.mark.parametrize(("black", "white"), [(255, 255), (300, None), (10, 5), (float("nan"), 1), (0, float("inf"))])
def test_a_range_that_is_none_is_refused(black, white):
    with pytest.raises(OptionError, match=r"^expected --black below --white and both within 1.7e\+38, got black "):
        read_frames(picture("PNG"), black=black, white=white)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF"])
def test_palettes_are_expanded_without_loss(format):
    data = picture(format, "P")
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB"))
    (frame,) = read_frames(data)
    np.testing.assert_allclose(frame.pixels.numpy() * 255, np.moveaxis(expected, 2, 0), atol=1e-4)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF"])
def test_one_bit_becomes_black_and_white(format):
    bits = np.random.default_rng(0).random((11, 19)) > 0.5
    buffer = io.BytesIO()
    Image.fromarray(bits).save(buffer, format)
    (frame,) = read_frames(buffer.getvalue())
    assert frame.dtype == "uint8"
    np.testing.assert_array_equal(frame.pixels[0].numpy(), bits.astype(np.float32))


@pytest.mark.parametrize("depth", [2, 4])
def test_few_bits_fill_the_range(depth):
    values = np.arange(2**depth, dtype=np.uint8)
    packed = sum(int(value) << depth * (len(values) - 1 - i) for i, value in enumerate(values))
    row = b"\0" + packed.to_bytes(len(values) * depth // 8, "big")
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", len(values), 1, depth, 0, 0, 0, 0)), (b"IDAT", zlib.compress(row))]
    data = b"\x89PNG\r\n\x1a\n"
    for kind, content in [*chunks, (b"IEND", b"")]:
        data += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    (frame,) = read_frames(data)
    np.testing.assert_allclose(frame.pixels[0, 0].numpy(), values / values[-1], atol=1e-6)


@pytest.mark.parametrize(("depth", "colour_type"), [(8, 0), (8, 2), (16, 0), (16, 2), (8, 3)])
def test_a_transparent_colour_becomes_alpha(depth, colour_type):
    rng = np.random.default_rng(0)
    bands = 3 if colour_type == 2 else 1
    samples = rng.integers(0, 4 if colour_type == 3 else 2**depth, (3, 4, bands))
    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for row in samples)
    key = samples[1, 2]
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 4, 3, depth, colour_type, 0, 0, 0))]
    if colour_type == 3:
        chunks += [(b"PLTE", bytes(range(12))), (b"tRNS", bytes(255 * (i != key[0]) for i in range(4)))]
    else:
        chunks += [(b"tRNS", key.astype(">u2").tobytes())]
    data = b"\x89PNG\r\n\x1a\n"
    for kind, content in [*chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]:
        data += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    (frame,) = read_frames(data)
    np.testing.assert_array_equal(frame.alpha.numpy(), (samples != key).any(2))


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (5, 9), (17, 12)])
def test_interlaced_pngs_are_read_and_counted_row_by_row(depth, width, height):
    samples = np.random.default_rng(0).integers(0, 2**depth, (height, width, 3)).astype(f"u{depth // 8}")
    rows = b""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    for left, top, across, down in passes:
        some = samples[top::down, left::across].astype(f">u{depth // 8}")
        rows += b"".join(b"\0" + row.tobytes() for row in some if row.size)

    def file(content: bytes) -> bytes:
        data = b"\x89PNG\r\n\x1a\n"
        header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 1)
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(content)), (b"IEND", b"")):
            data += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        return data

    (frame,) = read_frames(file(rows))
    np.testing.assert_allclose(frame.pixels.numpy() * (2**depth - 1), np.moveaxis(samples, 2, 0), atol=0.01)
    assert "(some of its rows are missing)" in line_of(file(rows[:-1]))
