"""What the numbers of a kernel stand for: light or sRGB codes, on which background, about which origin.

A kernel that comes as an array or a picture does not say so. What shows it for certain is recognised and told in a
note; whether a picture of eight or sixteen bits holds light or codes only a frame can show (`deblur.kernel_trial`), so
the kernel carries both. Measured kernels are often cut out of photographs, with their background; simulated ones often
come in the order of an FFT, their origin at the corner, or with even sides, which have no middle tap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deblur.errors import KernelError, OptionError
from deblur.psf.array import check, origin, trim
from deblur.psf.kernel import Kernel

__all__ = ["ORIGINS", "TRANSFERS", "Reading", "remarks", "understood"]

TRANSFERS = ("auto", "linear", "srgb")
ORIGINS = ("auto", "centre", "mass", "corner")

SMALLEST = 7
"""Taps a side from which on a kernel has a rim that may be a background."""

ABOVE = 3.0
"""How many times its background the brightest tap is, at least."""

NOISE = 5.0
"""Standard deviations of the noise that its background may spread by; what is below three of them is background."""

FLAT, RIM = 0.25, 0.9
"""The shares of all taps and of the rim that are as bright as a background, at least."""

NEGLIGIBLE = 0.002
"""The share of the light below which a background does not matter."""

CODED = 0.02
"""By how much, as a share of the light, a kernel's two readings differ for the choice to matter."""

OFF, OFF_EVEN = 1.0, 0.4
"""Pixels from which on a centre of mass off the origin is told, if the box of the light is as well; and the same for
even sides."""

FAINT = 0.01
"""The part of the brightest tap up to which a tap does not count towards that box."""

CORNERS = 0.02
"""The share of the light in each corner of a kernel in an FFT's order; of a straight one in two of them."""

_Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a kernel is to be read.

    Args:
        transfer: `linear`: its values are light; `srgb`: a picture coded like a photograph; `auto`: light, unless the
            frame shows that a picture of 8 or 16 bits is coded.
        background: the value that stands for no light, in its own numbers; `auto`: 0, unless an even rim shows another.
        origin: `centre`: tap (kh // 2, kw // 2); `mass`: the tap nearest to the centre of mass; `corner`: tap (0, 0),
            as an FFT has it; `auto`: the centre, unless all light lies around the corner.
        channels: whether the planes of a stack are one a channel; a file does not say so, but for those of
            `deblur.psf.save`.

    Raises:
        OptionError: another value.

    Example:
        >>> Reading(origin="corner").origin
        'corner'
    """

    transfer: str = "auto"
    background: float | str = "auto"
    origin: str = "auto"
    channels: bool = False

    def __post_init__(self) -> None:
        for name, known in (("transfer", TRANSFERS), ("origin", ORIGINS)):
            if getattr(self, name) not in known:
                got = getattr(self, name)
                raise OptionError(f"expected a kernel {name} out of {', '.join(known)}, got {got!r}")
        value = self.background
        number = isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
        if value != "auto" and not number:
            raise OptionError(f"expected a kernel background that is a finite number, or auto, got {value!r}")


def understood(values: ArrayLike, reading: Reading | None = None, **known: Any) -> Kernel:
    """The kernel that an array of numbers stands for, with notes on what was recognised.

    Args:
        values: (kh, kw) or (C, kh, kw), as they were stored; of unsigned integers the type's largest is white.
        reading: what the user said.
        known: what else is known of the kernel, as `Kernel` takes it.

    Raises:
        KernelError: they are no kernel.

    Example:
        >>> taps = np.zeros((9, 9))
        >>> taps[3:6, 3:6] = [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
        >>> bool(np.allclose(understood(taps + 0.5), taps / 16))
        True
        >>> understood(np.fft.ifftshift(taps)).notes[0].partition(",")[0]
        "the kernel's light lies around its corner"
    """
    reading = reading or Reading()
    array = np.asarray(values)
    check(array)  # refuses what is no kernel
    notes, white = list(known.pop("notes", ())), _white(array)
    planes = array.astype(np.float64)
    largest = np.abs(planes).max()
    if not 1e-100 < largest < 1e100:  # products of such numbers overflow
        planes /= largest
    levels, noise = _levels(planes, array.dtype.kind in "ui", reading.background)
    if reading.background == "auto" and levels.any():
        told = ", ".join(f"{level:.4g}" for level in levels.flat)
        notes.append(
            f"the kernel stands on a background of {told}, which is taken off (--kernel-background 0 keeps it)"
        )
    plain = _without(planes, levels, noise)
    coded = _without(_decoded(planes / white), _decoded(levels / white), 0 * noise)
    coded[plain == 0] = 0
    first, second = (coded, None) if reading.transfer == "srgb" else (plain, coded)
    undecided = reading.transfer == "auto" and array.dtype.kind == "u" and array.max() > white / 2
    _lit(first, reading)
    tap, said = _origin(first, reading.origin)
    notes += said
    kernel = Kernel(_about(first, tap), **known, notes=tuple(notes))
    if second is None or not undecided or second.sum() <= 0 or _distance(first, second) < CODED:
        return kernel
    return kernel.replaced(otherwise=Kernel(_about(second, tap), **known, notes=tuple(notes)))


def remarks(kernel: Kernel) -> list[str]:
    """What one should know of how a kernel was read before a frame says more: its notes, and what is still open."""
    lines = list(kernel.notes)
    if kernel.otherwise is not None:
        lines.append(
            "its picture is taken as light unless a frame shows that it is sRGB-coded (--kernel-transfer srgb)"
        )
    if kernel.stack:
        lines.append(f"a stack of {len(kernel)} planes: --kernel-channels takes them as one for each channel")
    return lines


def _white(array: NDArray[Any]) -> float:
    """The value that is white: an integer type's largest, else 1 or what is more than that."""
    if array.dtype.kind == "u":
        return float(np.iinfo(array.dtype).max)
    return max(1.0, float(array.max()))


def _decoded(codes: _Array) -> _Array:
    """Light of sRGB codes (IEC 61966-2-1), odd below 0."""
    size = np.abs(codes)
    return np.asarray(np.sign(codes) * np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4))


def _levels(planes: _Array, whole: bool, told: float | str) -> tuple[_Array, _Array]:
    """Background and its noise for every plane, to be broadcast with them."""
    each = planes.reshape(-1, *planes.shape[-2:])
    found = [_background(plane, whole) if told == "auto" else (float(told), 0.0) for plane in each]
    shape = (len(each), 1, 1) if planes.ndim == 3 else (1, 1)
    level, noise = np.array(found).T
    return level.reshape(shape), noise.reshape(shape)


def _background(plane: _Array, whole: bool) -> tuple[float, float]:
    """The level of an even rim, of a plane of whole numbers or others, and its noise; zeros where there is none."""
    none = 0.0, 0.0
    if min(plane.shape) < SMALLEST:
        return none
    width = max(1, min(plane.shape) // 8)
    inner = np.zeros(plane.shape, bool)
    inner[width:-width, width:-width] = True
    rim = plane[~inner]
    level = float(np.median(rim))
    noise = 1.4826 * float(np.median(np.abs(rim - level)))
    steps = np.diff(np.concatenate([plane[0], plane[-1]]))
    smooth = noise > 0 and float(np.median(np.abs(steps))) < 0.5 * noise  # a kernel's own fall, not noise
    low, high = level - NOISE * noise, level + NOISE * noise + (1 if whole else 1e-9 * level)
    if level <= 3 * noise / np.sqrt(rim.size) or smooth or plane.min() < low - 1e-9 * level:
        return none
    peak = float(plane.max())
    flat = (plane <= high).mean() >= FLAT and (rim <= high).mean() >= RIM
    matters = level * plane.size > NEGLIGIBLE * plane.sum()
    bright = peak >= ABOVE * level and peak >= level + 2 * NOISE * noise
    return (level, noise) if flat and matters and bright else none


def _without(planes: _Array, levels: _Array, noise: _Array) -> _Array:
    """The planes with their background taken off, and what does not stand out of its noise."""
    light = planes - levels
    return np.where((noise > 0) & (light < 3 * noise), 0.0, light)


def _lit(light: _Array, reading: Reading) -> None:
    """Raise KernelError unless a background leaves light."""
    if reading.background != "auto" and (light.sum((-2, -1)) <= 0).any():
        raise KernelError(f"expected a background that leaves light, got {reading.background:g}; see its values")


def _distance(first: _Array, second: _Array) -> float:
    """The light that two readings place elsewhere, as a share."""
    return float(np.abs(first / first.sum() - second / second.sum()).sum()) / 2


def _origin(light: _Array, told: str) -> tuple[tuple[int, int] | None, tuple[str, ...]]:
    """The tap that is the origin, None for the corner; and what is said of it."""
    plane = light if light.ndim == 2 else (light / light.sum((-2, -1), keepdims=True)).mean(0)
    centre = origin(plane.shape)
    if told == "corner":
        return None, ()
    if told == "auto" and _around_the_corner(plane):
        return None, (
            "the kernel's light lies around its corner, which is taken as its origin, as an FFT has it "
            "(--kernel-origin centre keeps the middle)",
        )
    mass = _mean(plane, 0), _mean(plane, 1)
    if told == "mass":
        return (round(mass[0]), round(mass[1])), ()
    off = [_less_off(*ends) for ends in zip(_shifts(mass, centre), _shifts(_middle(plane), centre), strict=True)]
    limits = [OFF if side % 2 else OFF_EVEN for side in plane.shape]
    if told == "centre" or all(abs(shift) < limit for shift, limit in zip(off, limits, strict=True)):
        return centre, ()
    down, right = _shifts(mass, centre)
    where = f"{abs(right):.1f} {'right' if right > 0 else 'left'}, {abs(down):.1f} {'down' if down > 0 else 'up'}"
    return centre, (
        f"the kernel's centre of mass lies {where} of its origin, and the result is shifted by as much "
        "(--kernel-origin mass takes the nearest tap for it, centre says that it is right)",
    )


def _shifts(tap: tuple[float, float], centre: tuple[int, int]) -> tuple[float, float]:
    return tap[0] - centre[0], tap[1] - centre[1]


def _less_off(mass: float, middle: float) -> float:
    """By how much both are off to one side: a shake's centre of mass alone says nothing."""
    return min(mass, middle, key=abs) if mass * middle > 0 else 0.0


def _middle(plane: _Array) -> tuple[float, float]:
    """The middle of the box around what is not faint."""
    rows, columns = np.nonzero(np.abs(plane) > FAINT * np.abs(plane).max())
    return (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2


def _mean(plane: _Array, axis: int) -> float:
    """The centre of mass along an axis, in taps."""
    profile = plane.sum(1 - axis)
    return float(profile @ np.arange(len(profile)) / profile.sum())


def _around_the_corner(plane: _Array) -> bool:
    """Whether all light lies around tap (0, 0) of a plane whose opposite borders touch.

    Two ghosts at opposite borders are no such kernel: its light fills three corners at least, or two and tap (0, 0).
    """
    size = np.abs(plane)
    if max(size.shape) < SMALLEST + 1 or (size > FAINT * size.max()).sum() < 4:
        return False
    ends = [(slice(None, max(1, n // 4)), slice(-(n // 4), None) if n > 3 else slice(0, 0)) for n in size.shape]
    corners = [size[rows, columns].sum() / size.sum() > CORNERS for rows in ends[0] for columns in ends[1]]
    wrapped = sum(corners) >= 3 or (sum(corners) == 2 and size[0, 0] >= 0.5 * size.max())
    return wrapped and _variance(np.fft.fftshift(size)) < _variance(size) / 4


def _variance(size: _Array) -> float:
    """The second moment of the light about its centre of mass, rows and columns together."""
    sides = (size.sum(1), size.sum(0))
    at = (np.arange(len(side)) - _mean(size, axis) for axis, side in enumerate(sides))
    return sum(float(side @ where**2) for side, where in zip(sides, at, strict=True)) / float(size.sum())


def _about(light: _Array, tap: tuple[int, int] | None) -> _Array:
    """The taps with one of them as their origin, or the corner, as an FFT has it."""
    if tap is None:
        return np.asarray(np.fft.fftshift(light, axes=(-2, -1)))
    if tap == origin(light.shape):
        return light
    grown = [(0, 0)] * (light.ndim - 2)
    for at, length in zip(tap, light.shape[-2:], strict=True):
        reach = max(at, length - 1 - at)
        grown.append((reach - at, reach - (length - 1 - at)))
    return trim(np.pad(light, grown))
