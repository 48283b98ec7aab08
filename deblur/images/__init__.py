"""Picture files and frames: `read_frames`, `write_frames` and what lies between.

A file is told by its content, read into a `Stored` picture (the file's own numbers), turned upright and scaled into a
`Frame` (float32 channels). Writing goes the same way back: same size, depth, channels and alpha, with EXIF block, ICC
profile and resolution carried over and the orientation reset, because the pixels are upright already.

A new format is one module with `SUFFIXES`, `matches`, `read` and `write`, and one line in `FORMATS`, in
`deblur.images.formats`.

Example:
    >>> import tempfile, torch
    >>> from dataclasses import replace
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "gray.png"
    ...     write_frames(path, [Frame(pixels=torch.full((1, 4, 6), 0.2))])
    ...     (frame,) = read_frames(path)
    ...     write_frames(path, [replace(frame, pixels=frame.pixels * 2)], force=True)
    ...     read_frames(path)[0].pixels[0, 0, 0]
    tensor(0.4000)
"""

from __future__ import annotations

import io
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from deblur import sources
from deblur.coding import Coding
from deblur.errors import DeblurError, FileError
from deblur.files import atomic_write, check_writable
from deblur.hushed import hushed
from deblur.images.formats import FORMATS, LOSSY, Format, format_named, output_format, written_as
from deblur.images.frame import Frame
from deblur.images.losses import check_storable, losses
from deblur.images.recognise import recognise, written_name
from deblur.images.scale import fewer, frame_from_stored, stored_from_frame
from deblur.images.stored import Metadata, Resolution, Stored

__all__ = [
    "FORMATS",
    "LOSSY",
    "Coding",
    "Format",
    "Frame",
    "Metadata",
    "Resolution",
    "check_storable",
    "check_writable",
    "encode",
    "format_named",
    "losses",
    "output_format",
    "read_bytes",
    "read_frames",
    "write_frames",
    "written_as",
    "written_name",
]


_SPEAKING = (ValueError, OSError, SyntaxError, EOFError, zlib.error)
"""The errors by which decoders describe a broken file; the words of other errors mean nothing to a user."""


def read_frames(
    source: str | Path | bytes,
    *,
    black: float | None = None,
    white: float | None = None,
    missing: bool = False,
    fewer_bits: bool = False,
    name: str = "",
) -> list[Frame]:
    """Read a picture file.

    Args:
        source: a path, `-` for standard input, or the bytes of a file.
        black: the stored value that becomes 0; 0 by default.
        white: the stored value that becomes 1; by default the largest of 8 or 16 bits, 1 for floats.
        missing: let NaN and infinite values of a float file through, which are refused else.
        fewer_bits: take 16-bit samples that all fit into 8, 10, 12 or 14 bits as such, with a note, where no white is
            named.
        name: what errors call the bytes of a file, the path that they were read from for example.

    Returns:
        One frame, or one for every page of a TIFF.

    Raises:
        FileError: the file is missing, no picture, damaged, or of a kind that would lose something; the message says
            what to export.
        OptionError: black is not below white.
    """
    data = source if isinstance(source, bytes) else read_bytes(source)
    name = name or ("the given bytes" if isinstance(source, bytes) else _called(source))
    del source
    try:
        format = recognise(data, name)
        try:
            with hushed():
                stored = FORMATS[format].read(data)
        except (DeblurError, MemoryError):
            raise
        except Exception as error:  # decoders raise whatever a broken file makes them trip over
            said = " ".join(str(error).split()) if isinstance(error, _SPEAKING) else ""
            reason = said or "its header makes no sense"
            raise FileError(
                f"expected a whole {format} file, got a damaged or cut-off one ({reason}); export it again"
            ) from error
        del data
        note = None
        if white is None and fewer_bits:
            white, note = fewer(stored)
        frames = [frame_from_stored(page, format, black, white, missing) for page in stored]
        return frames if note is None else [replace(frame, notes=(*frame.notes, note)) for frame in frames]
    except FileError as error:
        raise FileError(f"{name}: {error}") from error


def read_bytes(source: str | Path) -> bytes:
    """The bytes of a file, or of standard input for `-`.

    Raises:
        FileError: it is missing, a folder, or cannot be read.
    """
    if str(source) == "-":
        if sys.stdin is None:
            raise FileError("standard input is closed; send a picture there, or name a file")
        return sources.drain("standard input", lambda: sys.stdin.buffer)
    path = Path(source)
    try:
        if path.is_dir():
            raise FileError(f"{path}: expected a picture file, got a folder; name the files in it")
        return sources.read_bytes(path)
    except FileNotFoundError as error:
        raise FileError(f"{path}: there is no such file; check the name") from error
    except FileError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError(f"{path}: cannot be read ({reason}); check the name and its permissions") from error


def write_frames(
    path: str | Path,
    frames: list[Frame],
    *,
    quality: int | None = None,
    format: str | None = None,
    force: bool = False,
) -> None:
    """Write frames to a file whose suffix names the format, whole or not at all.

    The picture keeps its depth where the format holds it. A 16-bit picture becomes 8-bit in JPEG, WebP and BMP, black
    to white; float values, alpha and several pages are never dropped: a format that cannot hold them is an error.

    Args:
        path: the file, or `-` for standard output (in the format of the first frame).
        frames: one frame; several for TIFF only.
        quality: 1 to 100 for JPEG (by default that of the JPEG that was read, by its tables, else 95) and WebP (95, or
            lossless like its source; 100 is lossless).
        format: the name of another format than the suffix says.
        force: replace an existing file.

    Raises:
        FileError: see `deblur.files.check_writable`, an unknown suffix, or a format that cannot hold the picture.
        OptionError: a quality outside 1 to 100.
    """
    if str(path) == "-":
        if sys.stdout is None:
            raise FileError("standard output is closed; name a file to write to")
        sys.stdout.buffer.write(encode(frames, format or (written_as(frames[0].format) if frames else "PNG"), quality))
        sys.stdout.buffer.flush()
        return
    check_writable(path, force)
    format = format or output_format(path)
    try:
        pages = _storable(frames, format, quality)
    except FileError as error:
        raise FileError(f"{path}: {error}") from error
    atomic_write(path, lambda file: _write(format, file, pages, quality), force=force)


def encode(frames: list[Frame], suffix: str, quality: int | None = None) -> bytes:
    """The bytes of a file, for a pipe.

    Args:
        frames: as in `write_frames`.
        suffix: a suffix such as `.png` or the name of a format such as `PNG`.
        quality: as in `write_frames`.
    """
    format = suffix if suffix in FORMATS else output_format("output" + suffix)
    file = io.BytesIO()
    _write(format, file, _storable(frames, format, quality), quality)
    return file.getvalue()


def _write(name: str, file: BinaryIO, pages: list[Stored], quality: int | None) -> None:
    write = FORMATS[name].write
    if write is None:
        raise FileError(f"expected a format that can be written, got {name}")
    write(file, pages, quality)


def _storable(frames: list[Frame], name: str, quality: int | None) -> list[Stored]:
    """The frames as stored pictures, or the line that says why this format cannot hold them."""
    check_storable(frames, name, quality)
    format = FORMATS[name]
    return [stored_from_frame(frame, None if frame.dtype in format.depths else format.depths[-1]) for frame in frames]


def _called(source: str | Path) -> str:
    return "standard input" if str(source) == "-" else str(Path(source))
