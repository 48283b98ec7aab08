"""Kernels in files: arrays, pictures, MATLAB files and tables of numbers, read into one kernel.

Nothing is ever unpickled. A new format is one function here and one line in `READERS`.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deblur import sources
from deblur.errors import FileError, KernelError
from deblur.hushed import hushed
from deblur.psf.kernel import Kernel
from deblur.psf.reading import Reading, understood
from deblur.psf.sidecar import decode_factors, encode_factors, json_text, known_of, record_of

__all__ = ["READERS", "check_name", "encode", "read", "save"]

_PICTURES = (".png", ".tif", ".tiff")
_KEYS = ("kernel", "psf")  # the array that is meant where a file holds several


def read(
    path: str | os.PathLike[str],
    *,
    flip: bool = False,
    transfer: str = "auto",
    background: float | str = "auto",
    origin: str = "auto",
    channels: bool = False,
) -> Kernel:
    """Read a blur kernel with what is known about it, and normalise its taps to sum 1.

    Args:
        path: .npy, .npz or .mat (one array, or the one called kernel), .png or .tif (8 or 16 bit, float TIFF; gray),
            .csv or .txt (numbers between commas, semicolons or spaces, one row a line, # starts a comment). Of a .npy
            or .npz file the JSON file beside it is read too, where there is one, and the masked convolutions in it
            (see `deblur.psf.sidecar`).
        flip: the file stores a correlation kernel; reverse both axes about the origin tap.
        transfer, background, origin, channels: what its numbers stand for, as `deblur.psf.Reading` has them.

    Returns:
        The kernel, (kh, kw), or (C, kh, kw) where the file holds one per channel; origin tap (kh // 2, kw // 2); its
        notes say what was recognised.

    Raises:
        FileError: missing, unreadable, of an unknown format, holding pickled objects or several arrays.
        KernelError: what it holds cannot be a blur kernel (see `check`).
    """
    reading = Reading(transfer=transfer, background=background, origin=origin, channels=channels)
    file = Path(path)
    suffix = file.suffix.lower()
    reader = READERS.get(suffix)
    if reader is None:
        raise FileError(
            f"{file}: expected a kernel file that ends in {', '.join(READERS)}, got {file.suffix or 'no suffix'!r}"
        )
    try:
        data = sources.read_bytes(file)
    except FileNotFoundError:
        raise FileError(f"{file}: no such kernel file; check the path") from None
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        raise FileError(f"{file}: the kernel file cannot be read ({reason})") from None
    if not data:
        raise FileError(f"{file}: the kernel file is empty")
    try:
        factors = decode_factors(data) if suffix == ".npz" and zipfile.is_zipfile(io.BytesIO(data)) else ()
        with hushed():
            values = reader(data)
        known = _beside(file)
        if values.ndim == 3 and suffix in _PICTURES:
            values = _planes_of(values, channels)
        stack = values.ndim == 3 and len(values) > 1 and not (channels or known)
        known = {"stack": stack, **known, "source": str(file), "factors": factors}
        ours = factors or "misfit" in known or "confidence" in known
        kernel = Kernel(values, **known) if ours and reading == Reading() else understood(values, reading, **known)
    except (FileError, KernelError) as error:
        raise type(error)(f"{file}: {error}") from None
    return kernel.flipped() if flip else kernel


def save(
    path: str | os.PathLike[str], kernel: ArrayLike, force: bool = False, *, about: Mapping[str, object] | None = None
) -> None:
    """Write a kernel, and beside it what is known about it, both files whole or not at all.

    Args:
        path: .npy, or .npz for a kernel with factors; what is known goes to the .json of the same name, where there
            is anything to say, or where a file of that name says something else.
        kernel: a `Kernel`, or an array that can be one.
        force: overwrite files.
        about: further entries of the JSON file.

    Raises:
        FileError: another suffix, an existing file without `force`, or a folder that cannot be written.
        KernelError: the array is no kernel.
    """
    from deblur.files import atomic_write, together

    with together():
        for target, data in encode(path, kernel, about=about):
            atomic_write(target, data, force=force)


def encode(
    path: str | os.PathLike[str], kernel: ArrayLike, *, about: Mapping[str, object] | None = None
) -> list[tuple[Path, bytes]]:
    """The files that `save` writes and their contents, the kernel last: once it is there, all is."""
    file, kernel = Path(path), Kernel.of(kernel)
    check_name(file, factored=bool(kernel.factors))
    channels = {"channels": len(kernel)} if kernel.ndim == 3 and not kernel.stack else {}
    record = {**(about or {}), **record_of(kernel), **channels}
    if not record and _beside(file):
        record = {"confidence": None}  # of another kernel that stood here
    buffer = io.BytesIO()
    np.save(buffer, kernel.taps, allow_pickle=False)
    data = encode_factors(kernel.factors, kernel.taps) if kernel.factors else buffer.getvalue()
    text = json_text(record)
    return [*([(file.with_suffix(".json"), text.encode())] if record else []), (file, data)]


def check_name(path: str | os.PathLike[str], *, factored: bool = False) -> None:
    """Raise FileError unless a kernel, or one with factors, may be written under this name."""
    file, wanted = Path(path), ".npz" if factored else ".npy"
    if file.suffix.lower() != wanted:
        what = "masked convolutions" if factored else "a kernel"
        raise FileError(
            f"{file}: expected a file name in {wanted} for {what}, got {file.suffix or 'no suffix'!r}; "
            f"name it {file.stem}{wanted}"
        )


def _beside(file: Path) -> dict[str, Any]:
    """What the JSON file beside a kernel file says, as keywords of `Kernel`."""
    text = file.with_suffix(".json")
    if file.suffix.lower() not in (".npy", ".npz") or not sources.is_file(text):  # a pipe might never end
        return {}
    try:
        return known_of(text.read_bytes())
    except OSError:
        return {}


def _numpy(data: bytes) -> NDArray[Any]:
    """A .npy file."""
    if data[:2] == b"PK":
        return _archive(data)
    if data[:6] != b"\x93NUMPY":
        raise FileError(
            "this is no NumPy file (its first bytes say so; pickles are never read); write it with numpy.save"
        )
    try:
        return np.asarray(np.load(io.BytesIO(data), allow_pickle=False))
    except Exception as error:  # NumPy raises whatever a broken header makes it trip over
        if "pickle" in str(error) or "Object arrays" in str(error):
            raise FileError("it holds pickled objects, which are never read; store an array of numbers") from None
        raise FileError("the NumPy file is damaged or cut short; write it again with numpy.save") from None


def _archive(data: bytes) -> NDArray[Any]:
    """A .npz file: its only array, or the one called kernel."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}
            return _numpy(archive.read(members[_only(dict.fromkeys(members))]))
    except (FileError, MemoryError):
        raise
    except Exception:  # zipfile and zlib raise whatever a broken file makes them trip over
        raise FileError("the .npz file is damaged or cut short; write it again with numpy.savez") from None


def _matlab(data: bytes) -> NDArray[Any]:
    """A .mat file of version 4 or 5."""
    from scipy.io import loadmat

    if data[:20].startswith(b"MATLAB 7.3") or data[512:516] == b"\x89HDF" or data[:4] == b"\x89HDF":
        raise FileError("MATLAB 7.3 files are not read; save it with -v7 in MATLAB, or as .npy")
    try:
        variables = loadmat(io.BytesIO(data))
    except Exception:  # scipy raises nearly anything on a damaged file, none of it for a reader's eyes
        raise FileError("this is no MATLAB file, or a damaged one; save it with -v7 in MATLAB, or as .npy") from None
    arrays = {name: value for name, value in variables.items() if not name.startswith("__")}
    array = np.asarray(arrays[_only(arrays)])
    if array.dtype.kind not in "buifc":
        raise FileError("it holds MATLAB objects (cells, structures or text); save the numeric array alone")
    return array


def _picture(data: bytes) -> NDArray[Any]:
    """A gray picture."""
    import cv2

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise FileError("this is no readable PNG picture; save the kernel again, or as .npy")
    return np.asarray(image)[..., [2, 1, 0, *range(3, image.shape[-1])]] if image.ndim == 3 else np.asarray(image)


def _fits(data: bytes) -> NDArray[Any]:
    """The first array of a FITS file."""
    from deblur.images import fits

    try:
        return np.asarray(fits.kernel(data))
    except (FileError, MemoryError):
        raise
    except Exception:  # likewise
        raise FileError("this is no readable FITS file; save the kernel again, or as .npy") from None


def _tiff(data: bytes) -> NDArray[Any]:
    """A gray TIFF of any depth."""
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            pages = len(file.pages)
            image = np.asarray(file.pages[0].asarray())
    except Exception:  # likewise: tifffile and its codecs raise many kinds on a damaged file
        raise FileError("this is no readable TIFF picture; save the kernel again, or as .npy") from None
    if pages > 1:
        raise FileError(f"expected one picture, got a TIFF of {pages} pages; store a stack of kernels as .npy")
    return image


def _planes_of(image: NDArray[Any], channels: bool) -> NDArray[Any]:
    """The one plane of a picture (H, W, S) whose colours are equal, or one a channel; alpha, if any, is opaque."""
    colours, alpha = (image[..., :-1], image[..., -1:]) if image.shape[-1] in (2, 4) else (image, image[..., :0])
    if (colours != colours[..., :1]).any() and not channels:
        raise FileError(
            "expected a gray picture of a kernel, got a coloured one; convert it to gray, or --kernel-channels "
            "(channels=True) takes a kernel for each channel"
        )
    if alpha.size and (alpha != alpha.max()).any():
        raise FileError("expected an opaque picture of a kernel, got a transparent one; flatten it")
    return np.ascontiguousarray(np.moveaxis(colours, -1, 0)) if channels else np.asarray(colours[..., 0])


def _table(data: bytes) -> NDArray[Any]:
    """Rows of numbers."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileError("expected a table of numbers, got bytes that are no text; save it as CSV") from None
    rows: list[list[float]] = []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if ";" in content and re.search(r"\d,\d", content):
            raise FileError(f"line {number}: expected decimal points, got commas inside numbers; replace them")
        words = content.replace(";", ",").rstrip(",").split(",") if {",", ";"} & set(content) else content.split()
        try:
            row = [float(word) for word in words]
        except ValueError:
            raise FileError(
                f"line {number}: expected numbers between commas or spaces, got {line.strip()[:40]!r}"
            ) from None
        if rows and row and len(row) != len(rows[0]):
            raise FileError(f"line {number}: expected {len(rows[0])} numbers like the lines above, got {len(row)}")
        if row:
            rows.append(row)
    if not rows:
        raise FileError("expected a table of numbers, got none; check the file")
    return np.array(rows)


def _only(arrays: Mapping[str, object]) -> str:
    """The name of the one array that a file holds or means."""
    for name in _KEYS:
        if name in arrays:
            return name
    if len(arrays) != 1:
        names = ", ".join(list(arrays)[:8]) or "none"
        raise FileError(f"expected one array, or one called kernel, got {len(arrays)} ({names}); save it alone")
    return next(iter(arrays))


READERS: dict[str, Callable[[bytes], NDArray[Any]]] = {
    ".npy": _numpy,
    ".npz": _archive,
    ".mat": _matlab,
    ".png": _picture,
    ".tif": _tiff,
    ".tiff": _tiff,
    ".fits": _fits,
    ".fit": _fits,
    ".fts": _fits,
    ".csv": _table,
    ".txt": _table,
}
