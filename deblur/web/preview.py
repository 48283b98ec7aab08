"""`python -m deblur.web.preview`: keeps one photograph open, and restores regions of it as the whole would be there.

It reads requests, a line of JSON each, and answers each with one. What the frame shows about itself (noise, curve,
coding, what of the kernel is to be trusted) is measured once for a kernel: after another strength only the solver runs.
A request that comes while another is worked on ends that one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import select
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from deblur import images, masking, psf, restoring, trusting, words
from deblur.errors import DeblurError, FileError
from deblur.images import Frame
from deblur.light import brightest, curve_of
from deblur.measuring import Measurements, measure
from deblur.options import ApplyOptions
from deblur.outliers import without_outliers
from deblur.picture import Picture
from deblur.progress import OnStep, Step
from deblur.psf import Kernel
from deblur.transfer import TRANSFERS
from deblur.window import Window

__all__ = ["Preview", "main"]

VIEW = 1600
"""Pixels of the longer side of a picture that is shown whole."""

_MEASURED = ("noise", "saturation", "transfer", "mask", "boundary", "confidence", "trust")


class _DroppedError(Exception):
    """Another request came."""


class Preview:
    """One photograph, with what was measured of it.

    Args:
        on_step: told of every step of a restoration; what it raises ends that.
    """

    def __init__(self, on_step: OnStep | None = None) -> None:
        self._on_step = on_step
        self._frame: Frame | None = None
        self._opened: tuple[object, ...] = ()
        self._kernel: tuple[tuple[object, ...], Kernel] | None = None
        self._measured: tuple[tuple[object, ...], Measurements, Frame] | None = None

    def open(self, source: str, black: float | None = None, white: float | None = None) -> dict[str, object]:
        """Read a photograph, unless it is open.

        Raises:
            FileError: it is none, or has several pages.
        """
        asked = (source, black, white)
        if self._frame is None or self._opened != asked:
            frames = images.read_frames(source, black=black, white=white, missing=True, fewer_bits=True)
            if len(frames) > 1:
                raise FileError(f"expected one picture, got {len(frames)} pages; use deblur apply on the file")
            self._frame, self._opened, self._measured = masking.without_nan(frames[0]), asked, None
        frame = self._frame
        return {"width": frame.width, "height": frame.height, "format": frame.format, "notes": list(frame.notes)}

    def view(self, source: str, to: str, black: float | None = None, white: float | None = None) -> dict[str, object]:
        """Write a picture as it is shown whole: 8 bits, shrunk."""
        (frame,) = images.read_frames(source, black=black, white=white, missing=True, fewer_bits=True)
        pixels = _shown(masking.without_nan(frame), masking.without_nan(frame).pixels)
        scale = min(1.0, VIEW / max(frame.height, frame.width))
        size = (max(1, round(frame.width * scale)), max(1, round(frame.height * scale)))
        array = np.moveaxis(pixels.numpy(), 0, 2)
        small = cv2.resize(array, size, interpolation=cv2.INTER_AREA) if scale < 1 else array
        planes = torch.from_numpy(small[None] if small.ndim == 2 else np.ascontiguousarray(np.moveaxis(small, 2, 0)))
        _write(to, planes)
        return {"width": size[0], "height": size[1]}

    def kernel(self, kernel: str, to: str, save: str) -> dict[str, object]:
        """Draw a kernel large, write it as a file, and say what is known of it."""
        found = self._kernel_of(kernel)
        psf.save(save, found, force=True)
        taps = np.asarray(found.taps if found.taps.ndim == 2 else found.taps.mean(0))
        factor = max(1, 320 // max(taps.shape))
        drawn = np.kron(np.clip(taps / taps.max(), 0, 1) ** 0.5, np.ones((factor, factor)))
        _write(to, torch.from_numpy(drawn[None]).float())
        return {
            "words": words.of_kernel(found),
            "confidence": found.confidence,
            "sure": "" if found.confidence is None or found.still else words.of_confidence(found.confidence),
            "size": list(taps.shape),
            "still": found.still,
            "taps": taps.tolist(),
            "notes": list(found.notes),
        }

    def preview(
        self, kernel: str, region: list[int], options: dict[str, Any], before: str, after: str
    ) -> dict[str, object]:
        """Restore a region and write both as PNG, pixel by pixel."""
        start, frame = time.perf_counter(), self._frame
        assert frame is not None
        chosen = ApplyOptions(**options)
        known = restoring.settled(self._kernel_of(kernel), frame, chosen)
        rows, columns = (max(3 * side, 48) for side in known.shape[-2:])
        x, y, width, height = region
        window = Window.around((x, y, width, height), (frame.height, frame.width), (rows, columns))
        measured, clean = self._measure(frame, known, kernel, chosen)
        part = clean.window(*window.seen)  # outliers are looked for in the whole, once
        rest = dataclasses.replace(chosen, outliers="none")
        result = restoring.restore(part, known, rest, whole=clean, measured=measured, on_step=self._on_step)
        done = restoring.restored(part, result)
        shown = frame.window(*window.shown)
        _write(before, _shown(frame, shown.pixels))
        _write(after, _shown(frame, done.pixels[(slice(None), *window.inside)]))
        return {"seconds": time.perf_counter() - start, "notes": list(result.notes), "method": result.method}

    def _kernel_of(self, kernel: str) -> Kernel:
        stamp = (kernel, os.stat(kernel).st_mtime_ns if os.path.exists(kernel) else 0)
        if self._kernel is None or self._kernel[0] != stamp:
            self._kernel = stamp, psf.resolve(kernel)
        return self._kernel[1]

    def _measure(self, frame: Frame, kernel: Kernel, name: str, options: ApplyOptions) -> tuple[Measurements, Frame]:
        stamp = (self._kernel and self._kernel[0], *(str(getattr(options, key)) for key in _MEASURED))
        if self._measured is None or self._measured[0] != stamp:
            given = masking.masked(frame, None, options.mask)
            whole = dataclasses.replace(given.picture, pixels=given.picture.pixels.detach())
            measured = trusting.tried(measure(whole, kernel, options), whole, kernel, options)
            clean, _ = without_outliers(whole, whole, kernel, measured, options)
            self._measured = stamp, measured, _without(frame, whole, clean)
        return self._measured[1:]


def main() -> None:
    """Answer requests until there are no more."""
    open_, answers = Preview(_unless_asked), os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    cv2.setNumThreads(1)
    while line := sys.stdin.readline():
        asked = json.loads(line)
        if asked["do"] == "drop":  # it has ended what was worked on by coming
            continue
        try:
            answer = getattr(open_, {"open", "view", "kernel", "preview"}.intersection([asked.pop("do")]).pop())(
                **asked
            )
        except _DroppedError:
            answer = {"dropped": True}
        except DeblurError as error:
            answer = {"error": str(error)}
        except MemoryError:
            answer = {"error": "out of memory; close other programs"}
        except Exception as error:
            answer = {"error": f"internal error, {type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")


def _without(frame: Frame, before: Picture, after: Picture) -> Frame:
    """A frame without what was left out from one to the other of its copies, nothing else changed."""
    if after.mask is None or after is before:
        return frame
    believed = torch.ones_like(after.mask) if before.mask is None else before.mask
    left_out = believed & ~after.mask
    pixels = torch.where(left_out, after.pixels, frame.pixels)
    mask = ~left_out if frame.mask is None else frame.mask & ~left_out
    return dataclasses.replace(frame, pixels=pixels, mask=mask)


def _unless_asked(step: Step) -> None:
    """Give up where another request waits."""
    if select.select([0], [], [], 0)[0]:
        raise _DroppedError


def _shown(frame: Frame, pixels: Tensor) -> Tensor:
    """Pixels as a screen shows them: data channels left out, light coded as sRGB and its range brought to white."""
    pixels = pixels[:3] if len(pixels) >= 3 else pixels[:1]
    if curve_of(frame, "auto")[0].name != "linear":
        return pixels.clamp(0, 1)
    light = pixels / max(brightest(frame.pixels), 1e-12)
    return TRANSFERS["srgb"].encode(light.clamp(0, 1))


def _write(path: str, pixels: Tensor) -> None:
    images.write_frames(Path(path), [Frame(pixels=pixels.clamp(0, 1))], force=True)


if __name__ == "__main__":
    main()
