"""Training pictures in memory: from folders, picture files and arrays, in several sizes, some of them held out.

A picture is kept as the integers it was stored in, 8 or 16 bits; what is computed (gray from colour, a smaller size) is
kept in 16 bits. A smaller size averages areas (OpenCV's INTER_AREA), so that nothing aliases.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from deblur import images, sources
from deblur.errors import DeblurError, FileError, OptionError
from deblur.images import Frame
from deblur.training.recipe import Data

__all__ = ["OnSkip", "Pictures", "Stack", "read"]

Array: TypeAlias = npt.NDArray[Any]

OnSkip: TypeAlias = Callable[[str], None]
"""Told of every file that is left out, with the reason, in one line."""

_REC_601 = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Stack:
    """Pictures of one size.

    Args:
        name: the file.
        array: (N, C, H, W) uint8 or uint16, 0 black and the largest number white.
    """

    name: str
    array: Array

    @property
    def size(self) -> int:
        """Pixels of the shorter side."""
        return int(min(self.array.shape[2:]))

    @cached_property
    def scale(self) -> np.float32:
        """What a stored number is multiplied by to lie in [0, 1]."""
        return np.float32(1 / np.iinfo(self.array.dtype).max)


@dataclass(frozen=True)
class Pictures:
    """What was read.

    Args:
        training: for every factor of the data the pictures in that size.
        held_out: the pictures for validation, in all sizes.
    """

    training: list[list[Stack]]
    held_out: list[Stack]

    def fingerprint(self) -> str:
        """A short text that other pictures, or another split of them, would not give."""
        total = 0
        for stack in [*(stack for stacks in self.training for stack in stacks), *self.held_out]:
            total = zlib.crc32(
                np.ascontiguousarray(stack.array).data, zlib.crc32(str(stack.array.shape).encode(), total)
            )
        return f"{total:08x}"


def read(paths: Sequence[str], data: Data, on_skip: OnSkip | None = None) -> Pictures:
    """Read pictures and arrays, and hold some out.

    Args:
        paths: folders, searched recursively in sorted order; picture files; `.npz` files with an array `x` of
            (N, H, W) or (N, H, W, C) uint8 or uint16.
        data: how many channels, which sizes, what is held out.
        on_skip: told of every file that is left out: one that is damaged, too small, or gray where colour is asked for.

    Raises:
        FileError: a path that does not exist or an array that cannot be used; no usable picture.
        OptionError: nothing is left to train on or to hold out; a factor that leaves no picture as large as a crop.
    """
    skip = on_skip or (lambda _: None)
    arrays = [_array(path, data) for path in paths if _is_array(path)]
    files = [stack for path in paths if not _is_array(path) for stack in _pictures(path, data, skip)]
    splits = [_split(stacks, data) for stacks in (files, *([array] for array in arrays))]
    kept, held = ([stack for split in splits for stack in split[part]] for part in (0, 1))
    if not kept and not held:
        usual = [format.suffixes[0] for format in images.FORMATS.values()]
        raise FileError(
            f"{', '.join(paths)}: expected pictures ({' '.join(sorted(usual))}), got none that can be used; "
            "check the names"
        )
    _check_names(data, held)
    if not kept:
        raise OptionError(
            f"{', '.join(paths)}: expected pictures to train on, got none; hold out less (data.validation)"
        )
    training = [_scaled(kept, factor, data.crop) for factor in data.factors]
    for factor, stacks in zip(data.factors, training, strict=True):
        if not stacks:
            raise OptionError(
                f"expected pictures of {data.crop} pixels a side, got none with factor {factor:g}; take a smaller crop"
            )
    held_out = [stack for factor in data.factors for stack in _scaled(held, factor, data.validation_size)]
    if held and not held_out:
        raise OptionError(
            f"expected a held-out picture as large as a validation crop of {data.validation_size}, got none; "
            "take a smaller crop"
        )
    return Pictures(training, held_out)


def _pictures(path: str, data: Data, skip: OnSkip) -> Iterator[Stack]:
    smallest = math.ceil(data.crop * min(data.factors))
    for file in _files(path):
        try:
            frames = images.read_frames(file)
        except DeblurError as error:
            skip(f"{error}; left out")
            continue
        for page, frame in enumerate(frames):
            name = file if len(frames) == 1 else f"{file} page {page + 1}"
            if min(frame.height, frame.width) < smallest:
                skip(f"{name}: {frame.width} x {frame.height} pixels, a crop takes {smallest} a side; left out")
            elif len(frame.pixels) < data.channels:
                skip(f"{name}: is gray, expected colour; left out")
            else:
                yield Stack(name, _stored(frame, data.channels)[None])


def _is_array(path: str) -> bool:
    return Path(path).suffix.lower() == ".npz"


def _files(path: str) -> list[str]:
    if not os.path.exists(path):
        raise FileError(f"{path}: there is no such folder or file; check the name")
    if not os.path.isdir(path):
        return [path]
    found = [Path(folder) / name for folder, _, names in os.walk(path) for name in names]
    known = _suffixes()
    named = (file for file in sorted(found) if file.suffix.lower() in known and not file.name.startswith("."))
    return [str(file) for file in named if not sources.is_pipe(file)]  # one that nobody feeds has no end


def _suffixes() -> set[str]:
    return {suffix for format in images.FORMATS.values() for suffix in format.suffixes}


def _stored(frame: Frame, channels: int) -> Array:
    """The frame as integers (C, H, W)."""
    pixels = frame.pixels[: 3 if len(frame.pixels) >= 3 else 1].numpy()  # without data beside the colours
    if len(pixels) != channels:
        return _integers(np.tensordot(_REC_601, pixels, 1)[None])
    if frame.dtype == "uint8":
        return _integers(pixels, np.uint8)
    return _integers(pixels)


def _integers(pixels: Array, dtype: type[np.unsignedinteger[Any]] = np.uint16) -> Array:
    full = np.iinfo(dtype).max
    stored: Array = np.rint(pixels.clip(0, 1) * np.float32(full)).astype(dtype)
    return stored


def _array(path: str, data: Data) -> Stack:
    """The pictures of a `.npz` file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if "x" not in file:
                held = ", ".join(file.files) or "nothing"
                raise FileError(f"{path}: expected the pictures under the name x, got {held}; save them as x")
            array = file["x"]
    except FileError:
        raise
    except FileNotFoundError:
        raise FileError(f"{path}: there is no such file; check the name") from None
    except Exception as error:  # zipfile and NumPy raise whatever a broken file makes them trip over
        raise FileError(
            f"{path}: expected a .npz file of arrays, got another one ({error}); write it with numpy.savez"
        ) from error
    if array.dtype not in (np.uint8, np.uint16) or array.ndim not in (3, 4) or array.size == 0:
        got = f"{array.dtype} {array.shape}"
        raise FileError(f"{path}: expected x as uint8 or uint16 of (N, H, W) or (N, H, W, C), got {got}")
    pictures = array[:, None] if array.ndim == 3 else np.moveaxis(array, 3, 1)
    if pictures.shape[1] not in (1, 3) or pictures.shape[1] < data.channels:
        raise FileError(f"{path}: expected pictures of {data.channels} channel(s), got {pictures.shape[1]}")
    smallest = math.ceil(data.crop * min(data.factors))
    if min(pictures.shape[2:]) < smallest:
        height, width = pictures.shape[2:]
        raise FileError(
            f"{path}: expected at least {smallest} pixels a side for a crop, got {width} x {height}; take smaller crops"
        )
    if pictures.shape[1] != data.channels:
        full = np.float32(1 / np.iinfo(array.dtype).max)
        pictures = _integers(np.einsum("c,nchw->nhw", _REC_601 * full, pictures.astype(np.float32)))[:, None]
    return Stack(path, np.ascontiguousarray(pictures))


def _split(stacks: list[Stack], data: Data) -> tuple[list[Stack], list[Stack]]:
    """What is trained on and what is held out of the files, or of one array."""
    if not isinstance(data.validation, float | int):
        out = [stack for stack in stacks if _named(stack, data.validation)]
        return [stack for stack in stacks if not _named(stack, data.validation)], out
    if data.validation == 0 or not stacks:
        return stacks, []
    if len(stacks) == 1:  # an array
        (stack,) = stacks
        left = len(stack.array) - math.ceil(data.validation * len(stack.array))
        return [Stack(stack.name, stack.array[:left])] if left else [], [Stack(stack.name, stack.array[left:])]
    count = math.ceil(data.validation * len(stacks))
    chosen = {int((i + 0.5) * len(stacks) / count) for i in range(count)}
    return (
        [stack for i, stack in enumerate(stacks) if i not in chosen],
        [stack for i, stack in enumerate(stacks) if i in chosen],
    )


def _named(stack: Stack, names: Sequence[str]) -> bool:
    path = Path(stack.name)
    return any(path == Path(name) or path.parts[-len(Path(name).parts) :] == Path(name).parts for name in names)


def _check_names(data: Data, held: list[Stack]) -> None:
    if isinstance(data.validation, tuple):
        for name in data.validation:
            if not any(_named(stack, [name]) for stack in held):
                raise OptionError(f"data.validation: there is no picture {name!r} to hold out; check the name")


def _scaled(stacks: list[Stack], factor: float, least: int) -> list[Stack]:
    """The pictures made smaller by a factor, without those that are then smaller than `least` pixels."""
    if factor == 1:
        return [stack for stack in stacks if stack.size >= least]
    return [small for stack in stacks if round(stack.size / factor) >= least for small in [_smaller(stack, factor)]]


def _smaller(stack: Stack, factor: float) -> Stack:
    height, width = (round(side / factor) for side in stack.array.shape[2:])
    out = np.empty((*stack.array.shape[:2], height, width), np.uint16)
    for picture, target in zip(stack.array, out, strict=True):
        for plane, small in zip(picture, target, strict=True):
            pixels = plane.astype(np.float32) * stack.scale
            small[:] = _integers(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))
    return Stack(stack.name, out)
