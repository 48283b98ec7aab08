"""The record of a kernel: an array of its taps for everybody, and what is known about it, in memory and in files."""

from __future__ import annotations

import copy
import json
import math
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from deblur import psf
from deblur.errors import FileError, KernelError, OptionError
from deblur.psf import Kernel, MaskedForm
from deblur.psf.kernel import MISFIT, misfit_of
from deblur.psf.sidecar import encode_factors

TAPS = np.random.default_rng(0).random((3, 5))
FACTORS = (MaskedForm("top_left", np.array([[0.75, 0.25]])), MaskedForm("bottom_right", np.array([[0.5], [0.5]])))
FULL: dict[str, Any] = {
    "confidence": 0.9,
    "misfit": 0.0041,
    "source": "a test",
    "alternatives": (Kernel([[1.0, 2.0]], confidence=0.3), Kernel([[1.0]])),
}


def test_the_taps_are_checked_and_normalised_once() -> None:
    kernel = Kernel(TAPS)
    assert kernel.sum() == pytest.approx(1)
    np.testing.assert_array_equal(kernel, psf.check(TAPS))
    assert Kernel.of(kernel) is kernel
    with pytest.raises(KernelError, match="positive sum"):
        Kernel(np.array([[1.0, -1.0]]))
    with pytest.raises(ValueError, match="read-only"):
        kernel[...] = 0  # what was checked stays what it is
    with pytest.raises(KernelError, match="which cannot be changed"):
        kernel /= 2
    assert Kernel(kernel.replaced(confidence=0.4)).confidence == 0.4


def test_arrays_are_what_numpy_opencv_scipy_and_torch_make_of_it() -> None:
    kernel, image = Kernel(TAPS, **FULL), np.random.default_rng(1).random((9, 8))
    plain = kernel.taps
    assert type(plain) is np.ndarray
    for made in (2 * kernel, kernel[0], kernel[..., ::-1], np.pad(kernel, 1), np.flip(kernel), np.stack([kernel] * 2)):
        assert type(made) is np.ndarray
    assert {type(getattr(kernel, name)()) for name in ("argsort", "conj", "diagonal", "flatten")} == {np.ndarray}
    for name in ("astype", "reshape", "transpose"):
        assert type(getattr(kernel, name)(*{"astype": [np.float32], "reshape": [-1]}.get(name, []))) is np.ndarray
    assert type(kernel.T) is type(kernel.round(2)) is type(kernel.copy()) is np.ndarray
    assert (kernel.shape, kernel.ndim, kernel.max(), len(kernel)) == ((3, 5), 2, plain.max(), 3)
    np.testing.assert_array_equal(cv2.filter2D(image, -1, kernel), cv2.filter2D(image, -1, plain.copy()))
    np.testing.assert_array_equal(convolve2d(image, kernel), convolve2d(image, plain))
    np.testing.assert_array_equal(torch.tensor(kernel).numpy(), plain)


@pytest.mark.parametrize("again", [copy.deepcopy, copy.copy, lambda kernel: pickle.loads(pickle.dumps(kernel))])
def test_copies_keep_what_is_known(again: Any) -> None:
    kernel = again(Kernel(TAPS, factors=FACTORS, **FULL))
    assert isinstance(kernel, Kernel)
    assert (kernel.confidence, kernel.misfit, kernel.source) == (0.9, 0.0041, "a test")
    assert (len(kernel.factors), len(kernel.alternatives)) == (2, 2)
    np.testing.assert_array_equal(kernel, Kernel(TAPS))


def test_the_misfit_follows_from_the_confidence_unless_it_is_said() -> None:
    assert [misfit_of(c) for c in (None, 0.5, 1.0, 0.0)] == [MISFIT, MISFIT, MISFIT / 2, 2 * MISFIT]
    kernel = Kernel(TAPS, confidence=1.0)
    assert kernel.misfit == MISFIT / 2
    assert kernel.replaced(confidence=0.0).misfit == 2 * MISFIT
    assert kernel.replaced(misfit=0.1).confidence == 1.0
    assert Kernel(TAPS).known
    assert not kernel.known


@pytest.mark.parametrize("wrong", [{"confidence": 1.5}, {"confidence": -0.1}, {"misfit": -1}, {"misfit": math.inf}])
def test_what_cannot_be_known_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(OptionError, match="expected a"):
        Kernel(TAPS, **wrong)


def test_a_flipped_kernel_has_flipped_factors() -> None:
    kernel = Kernel(psf.make("exponential:decay=1,angle=0"), factors=(MaskedForm("top_left", np.eye(2)),))
    assert kernel.flipped().factors[0].orientation == "bottom_right"
    np.testing.assert_array_equal(kernel.flipped(), psf.flip(kernel.taps))
    np.testing.assert_array_equal(kernel.flipped().flipped(), kernel)


def test_the_misfit_alone_is_kept_in_a_file_and_alternatives_turn_too(tmp_path: Path) -> None:
    psf.save(tmp_path / "k.npy", Kernel(TAPS, misfit=0.02))
    assert psf.read(tmp_path / "k.npy").misfit == 0.02
    psf.save(tmp_path / "k.npy", TAPS, force=True)
    assert psf.read(tmp_path / "k.npy").misfit == MISFIT
    (other,) = Kernel(TAPS, alternatives=(Kernel([[0, 1, 3]]),)).flipped().alternatives
    np.testing.assert_array_equal(other, [[0.75, 0.25, 0]])


def test_one_kernel_serves_every_window_and_channel() -> None:
    kernel = Kernel(TAPS, confidence=0.7)
    assert kernel.at((slice(0, 9), slice(3, 4))) is kernel
    assert kernel.of_channels(slice(1, 2)) is kernel
    stack = Kernel(np.stack([TAPS, TAPS[::-1]]), confidence=0.7)
    np.testing.assert_array_equal(stack.of_channels(slice(1, 2))[0], Kernel(TAPS[::-1]))
    assert stack.of_channels(slice(1, 2)).confidence == 0.7


@pytest.mark.parametrize("factors", [(), FACTORS])
def test_files_keep_what_is_known(tmp_path: Path, factors: tuple[MaskedForm, ...]) -> None:
    path = tmp_path / ("k.npz" if factors else "k.npy")
    psf.save(path, Kernel(TAPS, factors=factors, **FULL), about={"note": "mine"})
    kernel = psf.read(path)
    np.testing.assert_array_equal(kernel, Kernel(TAPS))
    assert (kernel.confidence, kernel.misfit) == (0.9, 0.0041)
    assert [(len(other), other.confidence) for other in kernel.alternatives] == [(1, 0.3), (1, None)]
    for found, written in zip(kernel.factors, factors, strict=True):
        assert found.orientation == written.orientation
        np.testing.assert_array_equal(found.weight, written.weight)
    assert json.loads(path.with_suffix(".json").read_text())["note"] == "mine"
    assert kernel.source == str(path)


def test_an_exactly_known_kernel_has_no_file_beside_it_and_outlives_an_old_one(tmp_path: Path) -> None:
    path = tmp_path / "k.npy"
    psf.save(path, TAPS)
    assert [file.name for file in tmp_path.iterdir()] == ["k.npy"]
    psf.save(path, Kernel(TAPS, confidence=0.2), force=True)
    psf.save(path, TAPS, force=True)
    assert psf.read(path).known


def test_a_file_written_before_there_was_a_misfit_says_as_much(tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", TAPS.astype(np.float32))
    (tmp_path / "k.json").write_text('{"method": "blind", "confidence": 0.8, "details": {}}')
    kernel = psf.read(tmp_path / "k.npy")
    assert (kernel.confidence, kernel.misfit) == (0.8, misfit_of(0.8))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"confidence": 2}', '{"confidence": "high"}', "no json", '{"alternatives": [3]}', "\xff"]
)
def test_another_file_of_that_name_says_nothing(tmp_path: Path, text: str) -> None:
    psf.save(tmp_path / "k.npy", TAPS)
    (tmp_path / "k.json").write_bytes(text.encode("latin-1"))
    assert psf.read(tmp_path / "k.npy").known
    assert not psf.read(tmp_path / "k.npy").alternatives


def test_damaged_factors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, format=np.array("masked convolutions 9"), kernel=np.ones((3, 3)))
    with pytest.raises(FileError, match=r"bad.npz: expected the format 'masked convolutions 1'"):
        psf.read(path)
    np.savez(
        path, format=np.array("masked convolutions 1"), orientations=np.array(["top_left"]), kernel=np.ones((3, 3))
    )
    with pytest.raises(FileError, match="damaged or incomplete"):
        psf.read(path)
    np.savez(path, kernel=np.ones((3, 3)))
    assert psf.read(path).factors == ()


def test_a_kernel_that_is_a_product_is_read_by_methods_that_want_one(tmp_path: Path) -> None:
    (tmp_path / "k.npz").write_bytes(encode_factors(FACTORS, np.full((3, 3), 1 / 9)))
    np.testing.assert_allclose(psf.read(tmp_path / "k.npz"), 1 / 9)


def test_a_kernel_with_factors_and_one_without_have_names_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"expected a file name in \.npz for masked convolutions, got '\.npy'"):
        psf.save(tmp_path / "k.npy", Kernel(TAPS, factors=FACTORS))
    with pytest.raises(FileError, match=r"expected a file name in \.npy for a kernel, got '\.npz'; name it k\.npy"):
        psf.save(tmp_path / "k.npz", TAPS)
