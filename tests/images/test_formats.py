"""A format that is one module and one line in `FORMATS` is read, written, named and reached from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch

from deblur import images
from deblur.cli import main
from deblur.errors import FileError
from deblur.images import FORMATS, Format, Frame, encode, read_frames, write_frames
from deblur.images.stored import Stored
from deblur.training import pictures
from deblur.training.recipe import Data


class Pgm:
    """What a module for the portable graymap would hold: `P5 WIDTH HEIGHT 255`, then a byte a pixel."""

    SUFFIXES = (".pgm",)

    @staticmethod
    def matches(data: bytes, name: str) -> bool:
        return data.startswith(b"P5\n")

    @staticmethod
    def read(data: bytes) -> list[Stored]:
        header, width, height, white, pixels = data.split(maxsplit=4)
        assert (header, white) == (b"P5", b"255")
        return [Stored(array=np.frombuffer(pixels, np.uint8).reshape(int(height), int(width)).copy())]

    @staticmethod
    def write(file: BinaryIO, pages: list[Stored], quality: int | None) -> None:
        (page,) = pages
        height, width = page.array.shape
        file.write(b"P5\n%d %d\n255\n" % (width, height) + page.array.tobytes())


@pytest.fixture
def pgm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "PGM", Format(Pgm.SUFFIXES, Pgm.matches, Pgm.read, Pgm.write, ("uint8",), alpha=False))


@pytest.fixture
def gray() -> Frame:
    values = np.random.default_rng(0).integers(1, 255, (40, 50)).astype(np.float32)
    return Frame(pixels=torch.from_numpy(values)[None] / 255)


@pytest.mark.usefixtures("pgm")
def test_a_new_format_is_read_and_written(tmp_path: Path, gray: Frame) -> None:
    path = tmp_path / "new.pgm"
    write_frames(path, [gray])
    assert path.read_bytes().startswith(b"P5\n50 40\n255\n")
    (frame,) = read_frames(path)
    assert frame.format == "PGM"
    torch.testing.assert_close(frame.pixels, gray.pixels)
    assert encode([frame], "PGM") == path.read_bytes()


@pytest.mark.usefixtures("pgm")
def test_a_new_format_is_named_where_formats_are_listed(gray: Frame) -> None:
    with pytest.raises(
        FileError,
        match="expected PNG, TIFF, JPEG, WebP, BMP, FITS, HEIC, RAW or PGM, got a file of another kind; export it",
    ):
        read_frames(b"no picture at all, but long enough to be one")
    with pytest.raises(
        FileError, match=r"a suffix like \.png \.tif \.jpg \.webp \.bmp \.fits \.pgm, got '\.xyz'; rename"
    ):
        images.output_format("x.xyz")


@pytest.mark.usefixtures("pgm")
def test_the_command_line_takes_a_new_format(tmp_path: Path, gray: Frame) -> None:
    sharp, blurred = tmp_path / "sharp.pgm", tmp_path / "blurred.pgm"
    write_frames(sharp, [gray])
    words = ["--kernel", "box:size=3", "--transfer", "linear", "-o", str(blurred)]
    assert main(["blur", str(sharp), *words]) == 0
    (frame,) = read_frames(blurred)
    assert frame.format == "PGM"
    windows = gray.pixels[0].unfold(0, 3, 1).unfold(1, 3, 1).mean((2, 3))
    assert (frame.pixels[0] - windows).abs().max() < 1 / 255


@pytest.mark.usefixtures("pgm")
def test_training_takes_a_new_format(tmp_path: Path, gray: Frame) -> None:
    for name in ("a", "b"):
        write_frames(tmp_path / f"{name}.pgm", [gray])
    data = Data(crop=8, validation=0.5, validation_count=1)
    assert pictures.read([str(tmp_path)], data)


def test_it_is_gone_without_its_line(tmp_path: Path, gray: Frame) -> None:
    with pytest.raises(FileError, match="expected a suffix like"):
        write_frames(tmp_path / "old.pgm", [gray])


def test_every_file_matches_its_own_format_alone(gray: Frame) -> None:
    pytest.importorskip("astropy")
    for name in (name for name, format in FORMATS.items() if format.write is not None):
        data = encode([gray], name)
        assert [other for other, format in FORMATS.items() if format.matches(data, "")] == [name]
