"""From stored values to light and back: what every job on a picture begins and ends with.

stored values -> which pixels to believe, how much the noise grows -> light, divided by its brightest thousandth
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from deblur.layout import middle
from deblur.linearity import judged
from deblur.picture import Picture
from deblur.transfer import TRANSFERS, Transfer

__all__ = [
    "BEYOND_OVERSHOOT",
    "BEYOND_WHITE",
    "believed_pixels",
    "brightest",
    "curve_of",
    "curves_of",
    "sample",
    "saturation_level",
    "slope",
    "to_light",
]

BEYOND_WHITE = 1.05
"""A picture whose brightest thousandth lies above this holds no sRGB values, which end at white."""

BEYOND_OVERSHOOT = 1.5
"""The same for a file of floats, in which a sharpened or resampled picture may overshoot white."""


def curve_of(picture: Picture, transfer: str) -> tuple[Transfer, list[str]]:
    """The curve between stored values and light, and what the user is told about the choice.

    Args:
        picture: the whole of it, so that a part gets the same curve.
        transfer: `linear`; `srgb` for the curve that the picture declares, or sRGB; `auto` for the one that it
            declares, or sRGB where nothing shows that its values are light (`deblur.linearity`).
    """
    if transfer == "linear":
        return TRANSFERS["linear"], []
    if picture.transfer is not None or transfer == "srgb":
        return picture.transfer or TRANSFERS["srgb"], []
    fits = picture.origin is not None and picture.origin.format == "FITS"  # counts, of which one is no white
    if not fits and brightest(picture.filled().pixels) > (BEYOND_WHITE if picture.origin is None else BEYOND_OVERSHOOT):
        return TRANSFERS["linear"], [
            "its values go well beyond white, so they are taken as linear light; "
            "--white N sets the range, --transfer srgb takes them as sRGB"
        ]
    found = judged(picture)
    return TRANSFERS["linear" if found.linear else "srgb"], [] if found.note is None else [found.note]


def curves_of(pictures: Sequence[Picture], transfer: str) -> tuple[list[Transfer], list[str]]:
    """The curve of each picture that goes with the others, and what is told about them.

    What shows one of several files of a kind to be linear speaks for all: the sharp one of a pair has no noise to tell.
    """
    found = [curve_of(picture, transfer) for picture in pictures]
    kinds = {
        (picture.origin.format, picture.origin.dtype)
        for picture, (curve, said) in zip(pictures, found, strict=True)
        if picture.origin is not None and said and curve.name == "linear"
    }
    for index, picture in enumerate(pictures):
        origin = picture.origin
        if picture.transfer is None and origin is not None and (origin.format, origin.dtype) in kinds:
            found[index] = TRANSFERS["linear"], [line for line in found[index][1] if found[index][0].name == "linear"]
    return [curve for curve, _ in found], list(dict.fromkeys(line for _, said in found for line in said))


def saturation_level(option: float | str, ceiling: float | None) -> float:
    """The level from which a pixel is not believed: the number given, or `auto` for the ceiling; else infinity."""
    if option == "auto":
        return math.inf if ceiling is None else ceiling
    return math.inf if isinstance(option, str) else option


def believed_pixels(picture: Picture, level: float) -> Tensor | None:
    """Which pixels count: below the level, not transparent, not masked.

    Returns (1 or C, H, W) bool, or None where every pixel is believed.
    """
    believed = picture.pixels < level if math.isfinite(level) else None
    seen = [None if picture.mask is None else picture.mask.bool()]
    seen.append(None if picture.alpha is None else (picture.alpha > 0)[None])
    seen.append(None if picture.weights is None else picture.weights > 0)
    for part in seen:
        if part is not None and not bool(part.all()):
            believed = part if believed is None else believed & part
    return None if believed is None or bool(believed.all()) else believed


def sample(pixels: Tensor, believed: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """A frame of at most 2 megapixels a channel to estimate levels from: the middle of the picture."""
    rows, columns = (middle(length, 1448) for length in pixels.shape[-2:])
    window = (..., rows, columns)
    return pixels[window], None if believed is None else believed[window]


def to_light(stored: Tensor, curve: Transfer, scale: float | None) -> tuple[Tensor, float]:
    """Linear light, divided by `scale` or its brightest thousandth, so that the exposure changes nothing."""
    light = curve.decode(stored)
    scale = scale or brightest(light) or 1.0
    return light.div_(scale), scale


def slope(stored: Tensor, curve: Transfer) -> float:
    """Root mean square slope of the decoding: by how much the noise grows in linear light."""
    delta = 1e-3
    return float(((curve.decode(stored + delta) - curve.decode(stored - delta)) / (2 * delta)).square().mean().sqrt())


def brightest(values: Tensor) -> float:
    """The .999 quantile of the magnitudes."""
    return float(values.detach().flatten()[:: max(1, values.numel() // 1_000_000)].abs().quantile(0.999))
