"""Which values are black and white is said alike everywhere; what was guessed is told with what to type."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from pictures import picture

import deblur
from deblur.errors import DeblurWarning, OptionError

KERNEL = "gaussian:sigma=1"
SCENE = picture(48, 56)[0].double().numpy()
OPTIONS: dict[str, Any] = {"method": "wiener", "noise": 0.01, "mask": "none", "trust": "none", "outliers": "none"}


def restored(image: Any, **options: Any) -> Any:
    return deblur.apply(image, KERNEL, **{**OPTIONS, **options})


@pytest.mark.parametrize(("black", "white"), [(None, 4095.0), (64.0, 1023.0)])
@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.float32])
def test_named_levels_are_those_of_the_array_scaled(dtype: type, black: float | None, white: float) -> None:
    low = black or 0.0
    array = np.rint(SCENE * (white - low) + low).astype(dtype)
    there = restored((array - low) / (white - low))
    here = restored(array, black=black, white=white)
    assert here.dtype == dtype
    lowest = -low / (white - low) if np.issubdtype(dtype, np.integer) else -np.inf
    np.testing.assert_allclose((here - low) / (white - low), np.clip(there, lowest, None), atol=2 / white)
    tensor = restored(torch.from_numpy(array.astype(np.float32)), black=black, white=white)
    np.testing.assert_allclose(tensor.numpy(), restored(array.astype(np.float32), black=black, white=white))


@pytest.mark.parametrize(("top", "bits"), [(200, 8), (1000, 10), (4000, 12), (16000, 14)])
@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_fewer_bits_than_the_type_has_are_recognised_and_told(dtype: type, top: int, bits: int) -> None:
    array = np.rint(SCENE / SCENE.max() * top).astype(dtype)
    with pytest.warns(DeblurWarning, match=f"taken as {bits} bits, white at {2**bits - 1}"):
        guessed = restored(array)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = restored(array, white=2**bits - 1, transfer="srgb")
    np.testing.assert_array_equal(guessed, said)


def test_an_array_and_a_file_are_scaled_alike(tmp_path: Path) -> None:
    array = np.rint(SCENE / SCENE.max() * 4000).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", array)
    here, record = restored(array, full_output=True)
    there, told = restored(tmp_path / "a.tif", full_output=True)
    np.testing.assert_array_equal(here, there)
    assert record.notes[0] == told.notes[0]
    np.testing.assert_array_equal(restored(tmp_path / "a.tif", white=65535), restored(array, white=65535))


def test_a_batch_has_one_scale() -> None:
    batch = torch.from_numpy(np.stack([SCENE, SCENE / 8])[:, None] * 4000).to(torch.int32).numpy().astype(np.uint16)
    result, records = restored(torch.from_numpy(batch), full_output=True)
    assert [record.notes[0] for record in records] == [records[0].notes[0]] * 2
    np.testing.assert_array_equal(result[1].numpy(), restored(torch.from_numpy(batch[1]), white=4095).numpy())


def test_floats_beyond_white_are_told_with_what_to_type() -> None:
    with pytest.warns(DeblurWarning, match=r"beyond white.*--white N"):
        restored(SCENE * 255)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(restored(SCENE * 255, white=255) / 255, restored(SCENE), atol=1e-6)


def test_notes_come_with_the_record_or_as_warnings_that_point_at_the_caller() -> None:
    array = np.rint(SCENE / SCENE.max() * 4000).astype(np.uint16)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        deblur.apply(array, KERNEL, **OPTIONS)
        deblur.denoise(array, noise=0.01)
        deblur.blur(array, KERNEL)
    assert {(warning.filename, warning.category) for warning in seen} == {(__file__, DeblurWarning)}
    assert sum("12 bits" in str(warning.message) for warning in seen) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result, record = deblur.apply(array, KERNEL, **OPTIONS, full_output=True)
        notes = deblur.fit(array[:40, :40], model="taps", size=5).notes
    assert result.shape == array.shape
    assert any("12 bits" in note for note in record.notes)
    assert any("12 bits" in note for note in notes)


@pytest.mark.parametrize("options", [{"white": 0.0}, {"black": 2.0}, {"white": float("nan")}, {"white": "1"}])
def test_levels_that_make_no_scale_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=r"expected (black|white)"):
        restored(SCENE, **options)


def test_a_picture_has_its_own_scale() -> None:
    with pytest.raises(OptionError, match="which has its own"):
        restored(deblur.Picture(pixels=torch.rand(1, 40, 40)), white=255)
