"""Whatever a file holds, reading it gives its kernel or one line that says why not."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from scipy.io import savemat

import deblur.psf as psf
from deblur.errors import FileError, KernelError

TAPS = np.array([[0, 1, 4], [2, 9, 16], [25, 3, 0], [7, 7, 1]], dtype=np.uint8)  # 4 x 3, no symmetry
KERNEL = TAPS / TAPS.sum()


def write(path: Path, array: np.ndarray) -> Path:
    match path.suffix:
        case ".npy":
            np.save(path, array)
        case ".npz":
            np.savez_compressed(path, array)
        case ".mat":
            savemat(path, {"f": array})
        case ".png":
            assert cv2.imwrite(str(path), array)
        case ".tif" | ".tiff":
            tifffile.imwrite(path, array)
        case ".csv":
            np.savetxt(path, array, delimiter=",")
        case _:
            np.savetxt(path, array, header="a comment")
    return path


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        (".npy", "uint8"),
        (".npy", "float32"),
        (".npy", ">i4"),
        (".npz", "float64"),
        (".mat", "float64"),
        (".mat", "uint16"),
        (".png", "uint8"),
        (".png", "uint16"),
        (".tif", "uint8"),
        (".tiff", "uint16"),
        (".tif", "float32"),
        (".csv", "float64"),
        (".txt", "int64"),
    ],
)
def test_every_format_gives_the_kernel_back(tmp_path: Path, suffix: str, dtype: str) -> None:
    factor = 1000 if "16" in dtype else 1
    path = write(tmp_path / f"kernel{suffix}", (TAPS.astype(np.int64) * factor).astype(dtype))
    for kernel in (psf.read(path), psf.read(str(path)), psf.resolve(str(path)), psf.resolve(path)):
        assert kernel.dtype == np.float64
        np.testing.assert_allclose(kernel, KERNEL, rtol=1e-7)


def test_upper_case_suffix_is_the_same_format(tmp_path: Path) -> None:
    path = write(tmp_path / "kernel.npy", TAPS).rename(tmp_path / "KERNEL.NPY")
    np.testing.assert_allclose(psf.read(path), KERNEL)


def test_stack_is_one_kernel_per_channel_each_of_sum_one(tmp_path: Path) -> None:
    path = write(tmp_path / "kernel.npy", np.stack([TAPS, TAPS[::-1] * 2, np.ones_like(TAPS)]))
    kernel = psf.read(path)
    assert kernel.shape == (3, 4, 3)
    np.testing.assert_allclose(kernel.sum(axis=(1, 2)), 1)
    np.testing.assert_allclose(kernel[1], KERNEL[::-1])


def test_several_arrays_are_read_by_the_name_kernel(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=np.ones((9, 9)), kernel=TAPS)
    savemat(tmp_path / "a.mat", {"x": np.ones((9, 9)), "kernel": TAPS})
    np.testing.assert_allclose(psf.read(tmp_path / "a.npz"), KERNEL)
    np.testing.assert_allclose(psf.read(tmp_path / "a.mat"), KERNEL)


@pytest.mark.parametrize("text", ["1, 2;3\n4 ,5, 6\n", "1 2\t3 # top\n\n4 5 6", "\ufeff1,2,3,\n4,5,6,\n"])
def test_tables_may_use_commas_semicolons_or_spaces(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kernel.txt"
    path.write_text(text, encoding="utf-8")
    np.testing.assert_allclose(psf.read(path) * 21, [[1, 2, 3], [4, 5, 6]])


def test_gray_picture_stored_in_colours_is_gray(tmp_path: Path) -> None:
    np.testing.assert_allclose(psf.read(write(tmp_path / "k.png", np.dstack([TAPS] * 3))), KERNEL)
    opaque = np.dstack([TAPS, TAPS, TAPS, np.full_like(TAPS, 255)])
    np.testing.assert_allclose(psf.read(write(tmp_path / "k4.png", opaque)), KERNEL)


def test_flip_turns_the_kernel_about_its_origin_tap(tmp_path: Path) -> None:
    path = write(tmp_path / "kernel.npy", TAPS)
    flipped = psf.read(path, flip=True)
    assert flipped.shape == (5, 3)  # four rows, the origin in the third: their reflection needs a fifth
    for tap in np.ndindex(4, 3):
        row, column = tap[0] - 2, tap[1] - 1
        assert flipped[2 - row, 1 - column] == KERNEL[tap]
    np.testing.assert_allclose(psf.trim(psf.flip(flipped)), psf.trim(np.pad(KERNEL, [(0, 1), (0, 0)])))
    np.testing.assert_allclose(psf.resolve("exponential:decay=2", flip=True), psf.exponential(decay=2, angle=180))


def test_save_writes_what_read_reads(tmp_path: Path) -> None:
    path = tmp_path / "kernel.npy"
    psf.save(path, KERNEL)
    np.testing.assert_array_equal(psf.read(path), psf.check(KERNEL))
    with pytest.raises(FileError, match="already exists"):
        psf.save(path, np.ones((3, 3)))
    np.testing.assert_array_equal(psf.read(path), psf.check(KERNEL))
    psf.save(path, np.ones((3, 3)), force=True)
    assert psf.read(path).shape == (3, 3)
    with pytest.raises(FileError, match=r"expected a file name in .npy for a kernel, got '.png'; name it kernel.npy"):
        psf.save(tmp_path / "kernel.png", KERNEL)
    assert [entry.name for entry in tmp_path.iterdir()] == ["kernel.npy"]


class Bomb:
    """Unpickling this is a failure of the test."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("a pickle was loaded",)


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    array = np.array([[Bomb()]], dtype=object)
    np.save(tmp_path / "object.npy", array, allow_pickle=True)
    np.savez(tmp_path / "object.npz", kernel=array)
    (tmp_path / "plain.npy").write_bytes(pickle.dumps(Bomb()))
    for name in ("object.npy", "object.npz"):
        with pytest.raises(
            FileError, match="it holds pickled objects, which are never read; store an array of numbers"
        ):
            psf.read(tmp_path / name)
    with pytest.raises(FileError, match="no NumPy file"):
        psf.read(tmp_path / "plain.npy")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((2, 2), np.nan), "expected finite taps, got NaN or infinity in 4 of 4; replace them"),
        (np.array([[1.0, np.inf]]), "expected finite taps, got NaN or infinity in 1 of 2; replace them"),
        (np.zeros((3, 3)), "expected a kernel with light in it, got its taps all zero; check the file"),
        (np.stack([np.ones((2, 2)), np.zeros((2, 2))]),
         "expected a kernel with light in it, got the taps of channel 1 all zero; check the file"),
        (np.array([[1.0, -3.0]]), "expected a kernel with a positive sum (it keeps the brightness), got -2"),
        (np.array([[1.0, -1.0]]), "expected a kernel with a positive sum (it keeps the brightness), got 0"),
        (np.zeros((0, 3)), "expected a kernel of at least one tap, got an empty array of shape (0, 3); check its file"),
        (np.ones(5), "expected a kernel (rows, columns) or (channels, rows, columns), got shape (5,)"),
        (np.ones((1, 1, 3, 3)),
         "expected a kernel (rows, columns) or (channels, rows, columns), got shape (1, 1, 3, 3)"),
        (np.float64(1), "expected a kernel (rows, columns) or (channels, rows, columns), got a single number"),
        (np.ones((9, 9, 3)),
         "expected one kernel per channel as (channels, rows, columns), got (9, 9, 3); transpose it"),
        (np.ones((3, 3), complex), "expected a real kernel, got complex128; store its real part"),
        (np.array([["a"]]), "expected an array of numbers as a kernel, got one of type <U1; convert it"),
    ],
)  # fmt: skip
def test_array_that_is_no_kernel_is_named(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "k.npy", array)
    with pytest.raises(KernelError) as caught:
        psf.read(tmp_path / "k.npy")
    assert str(caught.value) == f"{tmp_path / 'k.npy'}: {message}"
    with pytest.raises(KernelError) as caught:
        psf.check(array)
    assert str(caught.value) == message


def test_ragged_rows_are_no_kernel() -> None:
    with pytest.raises(KernelError, match="got rows of different lengths"):
        psf.check([[1, 2], [3]])


def test_negative_taps_and_huge_values_are_fine_while_the_sum_is_positive() -> None:
    np.testing.assert_allclose(psf.check([[-1, 6, -1]]), [[-0.25, 1.5, -0.25]])
    np.testing.assert_allclose(psf.check(np.full((2, 2), 1e308)), 0.25)
    np.testing.assert_allclose(psf.check(np.full((2, 2), 5e-324)), 0.25)


BAD = {
    "missing.npy": (None, "no such kernel file; check the path"),
    "kernel.jpg": (
        b"x",
        "expected a kernel file that ends in .npy, .npz, .mat, .png, .tif, .tiff, .fits, .fit, .fts, .csv, .txt, got "
        "'.jpg'",
    ),
    "empty.npy": (b"", "the kernel file is empty"),
    "empty.csv": (b"", "the kernel file is empty"),
    "text.npy": (b"1 2 3", "this is no NumPy file (its first bytes say so; pickles are never read); write it with "
                           "numpy.save"),
    "short.npy": (b"\x93NUMPY\x01\x00v\x00{'descr'", "the NumPy file is damaged or cut short; write it again with "
                                                     "numpy.save"),
    "short.npz": (b"PK\x03\x04....", "the .npz file is damaged or cut short; write it again with numpy.savez"),
    "noise.mat": (b"x" * 400, "this is no MATLAB file, or a damaged one; save it with -v7 in MATLAB, or as .npy"),
    "new.mat": (b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n",
                "MATLAB 7.3 files are not read; save it with -v7 in MATLAB, or as .npy"),
    "noise.png": (b"not a picture", "this is no readable PNG picture; save the kernel again, or as .npy"),
    "noise.tif": (b"not a picture", "this is no readable TIFF picture; save the kernel again, or as .npy"),
    "words.csv": (b"1,2\n3,x\n", "line 2: expected numbers between commas or spaces, got '3,x'"),
    "ragged.txt": (b"1 2 3\n4 5\n", "line 2: expected 3 numbers like the lines above, got 2"),
    "blank.txt": (b"\n# nothing\n", "expected a table of numbers, got none; check the file"),
    "binary.txt": (b"\xff\xfe\x80", "expected a table of numbers, got bytes that are no text; save it as CSV"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_one_line(tmp_path: Path, name: str) -> None:
    content, message = BAD[name]
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    for reader in (psf.read, psf.resolve):
        with pytest.raises(FileError) as caught:
            reader(str(path))
        assert str(caught.value) == f"{path}: {message}"
        assert isinstance(caught.value, OSError)


def test_folder_is_no_kernel_file(tmp_path: Path) -> None:
    folder = tmp_path / "kernel.npy"
    folder.mkdir()
    with pytest.raises(FileError, match=r"kernel.npy: the kernel file cannot be read \("):
        psf.read(folder)


def test_ambiguous_and_foreign_contents_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=TAPS, b=TAPS)
    with pytest.raises(FileError, match=r"expected one array, or one called kernel, got 2 \(a, b\)"):
        psf.read(tmp_path / "two.npz")
    savemat(tmp_path / "cell.mat", {"k": np.array([1, "a"], dtype=object)})
    with pytest.raises(FileError, match=r"it holds MATLAB objects \(cells, structures or text\)"):
        psf.read(tmp_path / "cell.mat")
    write(tmp_path / "colour.png", np.dstack([TAPS, TAPS, TAPS // 2]))
    with pytest.raises(FileError, match="expected a gray picture of a kernel, got a coloured one; convert it to gray"):
        psf.read(tmp_path / "colour.png")
    write(tmp_path / "alpha.png", np.dstack([TAPS, TAPS, TAPS, TAPS]))
    with pytest.raises(FileError, match="expected an opaque picture of a kernel, got a transparent one; flatten it"):
        psf.read(tmp_path / "alpha.png")
    tifffile.imwrite(tmp_path / "pages.tif", np.stack([TAPS, TAPS]), photometric="minisblack")
    with pytest.raises(FileError, match="expected one picture, got a TIFF of 2 pages; store a stack of kernels as"):
        psf.read(tmp_path / "pages.tif")


def test_path_without_a_known_suffix_is_still_a_path() -> None:
    with pytest.raises(FileError, match=r"kernels/mine: expected a kernel file that ends in .*, got 'no suffix'"):
        psf.resolve("kernels/mine")
    with pytest.raises(FileError, match=r"mine.jpg: expected a kernel file that ends in .*, got '.jpg'"):
        psf.resolve("mine.jpg")


@pytest.mark.parametrize("lowest", [0.0, -1.0], ids=["non-negative", "with negative taps"])
def test_what_was_found_comes_back_from_its_files_to_the_bit(tmp_path: Path, lowest: float) -> None:
    random = np.random.default_rng(7)
    for index in range(40):
        taps = random.uniform(lowest, 1, random.integers(2, 60, 2)) ** 3
        taps[0, 0] += max(1e-3 * np.abs(taps).sum() - taps.sum(), 0)  # hardly a positive sum
        taps *= 10 ** random.uniform(-9, 9)
        kernel = psf.Kernel(taps, confidence=random.random(), misfit=random.random() / 30)
        path = tmp_path / f"{index}.npy"
        psf.save(path, kernel, about={"notes": ["left out: π"]})
        again = psf.read(path)
        np.testing.assert_array_equal(again.taps, kernel.taps)
        assert (again.confidence, again.misfit) == (kernel.confidence, kernel.misfit)
        np.testing.assert_array_equal(psf.Kernel(kernel.taps, confidence=0.5).taps, kernel.taps)
