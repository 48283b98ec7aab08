"""ICC profiles: the transfer curve that a profile describes.

Source: ICC.1:2022, sections 7 (the tag table), 10.3 (cicpType), 10.6 (curveType) and 10.18 (parametricCurveType).

Example:
    >>> transfer, note = transfer_from_icc(b"no profile")
    >>> transfer.name, note
    ('srgb', 'the ICC profile is damaged; it is taken as sRGB (--transfer linear takes the values as they are)')
"""

from __future__ import annotations

import struct

import torch

from deblur.curves import Curve, Gamma, Linear, SRGBCurve, Table
from deblur.errors import OptionError
from deblur.transfer import TRANSFERS, Transfer, coded

__all__ = ["transfer_from_icc"]

_TAKEN_AS_SRGB = "it is taken as sRGB (--transfer linear takes the values as they are)"


def transfer_from_icc(profile: bytes) -> tuple[Transfer, str | None]:
    """Read the transfer curve of an ICC profile.

    Matrix profiles (red, green and blue curves) and gray profiles are understood: a power, a table or any of the five
    parametric types. A `cicp` tag comes before them; beside it they are for programs that do not know it. A curve
    within 1/1000 of sRGB is sRGB, whatever its primaries (Display P3 has that curve too).

    Args:
        profile: the bytes of the profile.

    Returns:
        The transfer, and None or one line for the user: a profile without such curves (print and scanner profiles
        with look-up tables only), or a broken one, is taken as sRGB.
    """
    try:
        tags = _tags(profile)
        name = _name(tags.get(b"desc", b""))
        code = tags.get(b"cicp", b"")
        if code[:4] == b"cicp" and len(code) >= 12 and (curve := coded(code[9])) is not None:
            return curve, None
        known = [_curve(tags[key]) for key in (b"rTRC", b"gTRC", b"bTRC", b"kTRC") if key in tags]
    except (struct.error, IndexError, ValueError, OverflowError, OptionError):
        return TRANSFERS["srgb"], f"the ICC profile is damaged; {_TAKEN_AS_SRGB}"
    if len(known) not in (1, 3):
        return TRANSFERS["srgb"], f"the ICC profile '{name}' has no simple transfer curve; {_TAKEN_AS_SRGB}"
    first = known[0]
    if all(_distance(first, other) < 1e-4 for other in known[1:]):
        known = [first]
    if all(_distance(curve, SRGBCurve()) < 1e-3 for curve in known):
        return TRANSFERS["srgb"], None
    if all(_distance(curve, Linear()) < 1e-4 for curve in known):
        return TRANSFERS["linear"], None
    if len(known) == 1 and isinstance(first, Gamma):
        name = f"gamma {first.exponent:.4g}"
    return Transfer(name, tuple(known)), None


def _distance(a: Curve, b: Curve) -> float:
    x = torch.linspace(0, 1, 257, dtype=torch.float64)
    return float((a.to_linear(x) - b.to_linear(x)).abs().max())


def _tags(profile: bytes) -> dict[bytes, bytes]:
    """The tag table: a 128-byte header with 'acsp' at 36, a count, then (signature, offset, size) each."""
    if profile[36:40] != b"acsp":
        raise ValueError("not an ICC profile")
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = [struct.unpack_from(">4sII", profile, 132 + 12 * i) for i in range(min(count, 1000))]
    return {key: profile[offset : offset + size] for key, offset, size in entries}


def _name(tag: bytes) -> str:
    """The profile's description: 'desc' (version 2, ASCII) or the first record of 'mluc' (version 4, UTF-16)."""
    name = ""
    if tag[:4] == b"desc":
        (length,) = struct.unpack_from(">I", tag, 8)
        name = tag[12 : 12 + length].decode("latin-1")
    elif tag[:4] == b"mluc":
        length, offset = struct.unpack_from(">II", tag, 20)
        name = tag[offset : offset + length].decode("utf-16-be", "replace")
    return "".join(letter for letter in name if letter.isprintable()).strip()[:60] or "unnamed"


def _curve(tag: bytes) -> Curve:
    """One TRC tag as a curve."""
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return Linear()
        values = struct.unpack_from(f">{count}H", tag, 12)
        return _gamma(values[0] / 256) if count == 1 else Table(tuple(value / 65535 for value in values))
    if tag[:4] == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        parameters = [value / 65536 for value in struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12)]
        if kind == 0:
            return _gamma(parameters[0])
        return Table(tuple(_parametric(kind, parameters, i / 4095) for i in range(4096)))
    raise ValueError("unknown curve type")


def _gamma(exponent: float) -> Gamma:
    if not 0.1 <= exponent <= 10:
        raise ValueError("a gamma out of range")
    return Gamma(exponent)


def _parametric(kind: int, parameters: list[float], x: float) -> float:
    """The parametric curve types 1 to 4: a power (a x + b)^g (+ a constant) above a threshold, a line below."""
    g, a, b = parameters[:3]
    c = parameters[3] if kind >= 2 else 0.0
    if kind <= 2:
        return (a * x + b) ** g + c if a * x + b >= 0 else c
    d = parameters[4]
    e, f = (parameters[5], parameters[6]) if kind == 4 else (0.0, 0.0)
    return max(a * x + b, 0.0) ** g + e if x >= d else c * x + f
