"""A TIFF's further channels are what the file says: data, which is restored, or alpha, which is kept."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

import deblur
from deblur.errors import FileError
from deblur.images import Frame, encode, read_frames, write_frames

RNG = np.random.default_rng(0)


def tiff(samples: np.ndarray, kind: str, extra: list[int]) -> bytes:
    file = io.BytesIO()
    options = {"photometric": kind, "planarconfig": "contig", "metadata": None}
    tifffile.imwrite(file, samples, extrasamples=extra, **options)
    return file.getvalue()


CASES = [("rgb", [0]), ("rgb", [1]), ("rgb", [2]), ("rgb", [0, 0]), ("rgb", [0, 2]), ("rgb", [2, 0]), ("rgb", [2, 2])]
CASES += [("minisblack", [0]), ("minisblack", [2]), ("minisblack", [0, 0, 0, 0]), ("minisblack", [0, 0])]


@pytest.mark.parametrize(("kind", "extra"), CASES)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_extra_samples_come_back_in_their_order(kind: str, extra: list[int], dtype: str) -> None:
    colours = 3 if kind == "rgb" else 1
    samples = RNG.integers(1, 255, (12, 14, colours + len(extra))).astype(dtype)
    samples = samples / np.float32(255) if dtype == "float32" else samples
    (frame,) = read_frames(tiff(samples, kind, extra))
    alpha = next((index for index, code in enumerate(extra) if code), None)
    assert (frame.alpha is None) == (alpha is None)
    assert len(frame.pixels) == samples.shape[2] - (alpha is not None)
    with tifffile.TiffFile(io.BytesIO(encode([frame], ".tif"))) as again:
        page = again.pages[0]
        np.testing.assert_array_equal(page.asarray(), samples)
        assert [int(code) for code in page.extrasamples] == extra
        assert page.photometric.name.lower() == kind


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_bands_without_a_word_are_data(planar: str) -> None:
    samples = RNG.integers(0, 255, (12, 14, 6), np.uint8)
    file = io.BytesIO()
    stored = samples if planar == "contig" else samples.transpose(2, 0, 1)
    tifffile.imwrite(file, stored, photometric="minisblack", planarconfig=planar, metadata=None)
    (frame,) = read_frames(file.getvalue())
    assert frame.alpha is None
    np.testing.assert_allclose(frame.pixels.numpy() * 255, samples.transpose(2, 0, 1), atol=1e-4)


def test_infrared_is_restored_and_hides_nothing(tmp_path: Path) -> None:
    scene = deblur.blur(np.kron(RNG.random((16, 18, 4)), np.ones((4, 4, 1))), "gaussian:sigma=1")
    samples = np.rint(scene * 255).astype(np.uint8)
    samples[30:, :, 3] = 0
    path = tmp_path / "rgbn.tif"
    path.write_bytes(tiff(samples, "rgb", [0]))
    restored = deblur.apply(path, "gaussian:sigma=1", method="wiener", trust="none", outliers="none")
    change = np.abs(restored.astype(int) - samples)
    assert (change[:26].mean((0, 1)) > 1).all()
    assert (change[34:, :, :3].mean((0, 1)) > 1).all()
    array = deblur.apply(samples, "gaussian:sigma=1", method="wiener", trust="none", outliers="none")
    np.testing.assert_array_equal(restored, array)


def test_other_formats_refuse_data_channels(tmp_path: Path) -> None:
    frame = Frame(pixels=torch.rand(5, 8, 9))
    with pytest.raises(FileError, match=r"expected gray or RGB for PNG, got 5 channels; name the output .tif"):
        write_frames(tmp_path / "a.png", [frame])
    write_frames(tmp_path / "a.tif", [frame])
    assert read_frames(tmp_path / "a.tif")[0].pixels.shape == (5, 8, 9)
