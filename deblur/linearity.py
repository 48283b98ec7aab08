"""Whether the values of a picture are light already, by evidence: files of sensors seldom say so.

A picture that is taken for the wrong kind loses its photometry (sRGB undone in light that it never had) or rings at
every highlight (light restored in stored values). So sRGB is what nothing else is shown for; and linear light takes a
file that can hold it (floats or 16 bits), that declares no curve, and one of these:

- its noise grows in proportion to the level (`deblur.photometry`);
- its stars, bright and faint, are equally wide, on a dark sky;
- it holds counts (10 or 12 bits in a file of 16), and its noise grows with the level;
- a microscope's or a telescope's program wrote it, and it is dark, holds counts or such noise.

FITS, the format of astronomy, is linear whatever it shows.

Values that 8 bits hold, and noise that falls with the level, speak against it. The numbers stand in
docs/experiments/linear-data.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from deblur.origin import Origin
from deblur.photometry import PhotonTransfer, Stars, photon_transfer, stars
from deblur.picture import Picture, without_hidden

__all__ = ["Linearity", "judged", "rises"]

_COUNTS = 4095  # 12 bits
_DARK = 0.1  # the median over the brightest thousandth; one sRGB photograph in thirty is darker


@dataclass(frozen=True, kw_only=True)
class Linearity:
    """Whether a picture is taken as linear light, and what the user is told of it.

    Args:
        linear: whether it is.
        note: the evidence and what to type for the other; None where nothing speaks for linear light.
    """

    linear: bool
    note: str | None = None


def judged(picture: Picture) -> Linearity:
    """Weigh the evidence of a whole picture that declares no curve.

    Args:
        picture: pixels (C, H, W) in stored values; without an `origin` (an array) it is sRGB.

    Example:
        >>> import torch
        >>> generator = torch.Generator().manual_seed(0)
        >>> light = torch.linspace(0.01, 0.9, 256).square().expand(1, 256, 256)
        >>> noisy = light + (light / 2000).sqrt() * torch.randn(1, 256, 256, generator=generator)
        >>> told = judged(Picture(pixels=noisy, origin=Origin(format="TIFF", dtype="float32", white=1.0)))
        >>> told.linear, told.note
        (True, 'taken as linear light (32-bit float TIFF, noise as photons have it); --transfer srgb takes it as sRGB')
    """
    origin = picture.origin
    if origin is None or (origin.dtype == "uint8" and origin.format != "FITS"):
        return Linearity(linear=False)
    if origin.format == "FITS":
        return Linearity(linear=True, note=f"taken as linear light ({origin}); --transfer srgb takes it as sRGB")
    picture = picture.filled()
    pixels = without_hidden(picture.pixels, picture.alpha)
    plane = pixels[len(pixels) // 2].detach().cpu()  # green
    values = plane.flatten()[:: max(1, plane.numel() // 1_000_000)].double()
    top = float(values.quantile(0.999))
    if not top > 0 or _of_eight_bits(values, origin):
        return Linearity(linear=False)
    median = float(values.median()) / top
    highest = float(pixels.max()) * (origin.white - origin.black) + origin.black
    noise = photon_transfer(plane)
    counts = origin.dtype == "uint16" and highest <= _COUNTS
    rising, falling = rises(noise), _falls(noise)
    for_it = [origin.program] if origin.program else []
    for_it += [f"counts up to {highest:.0f}"] if counts else []
    shown = True
    if _is_photons(noise, median):
        for_it += ["noise as photons have it"]
    elif _have_one_width(found := stars(plane)):
        sky = found.sky if found else 0.0
        for_it += [f"a dark sky at {sky:.0%} with stars of one width"]
    elif counts and rising:
        for_it += ["noise that grows with the level"]
    elif not (origin.program and not falling and (counts or rising or median < 2 * _DARK)):
        shown = False
        for_it += ["dark"] if median < _DARK else []
    if shown:
        evidence = ", ".join([str(origin), *for_it])
        return Linearity(linear=True, note=f"taken as linear light ({evidence}); --transfer srgb takes it as sRGB")
    if falling or not (for_it or rising or origin.dtype == "float32"):
        return Linearity(linear=False)
    evidence = ", ".join([f"{origin} without a colour profile", *for_it])
    return Linearity(
        linear=False,
        note=f"taken as sRGB, but it may be linear light ({evidence}); --transfer linear takes it so",
    )


def _is_photons(noise: PhotonTransfer | None, median: float) -> bool:
    """Noise whose variance is a straight line of the level: a straighter one in a frame less dark than light is.

    Levels that all lie in the toe of sRGB, which is a straight line itself, tell nothing.
    """
    if noise is None or not (0.7 <= noise.slope <= 1.5 and noise.colour < 4 and noise.brightest > 0.1):
        return False
    return noise.error < (0.15 if median < 0.3 else 0.08) and noise.growth > 4 and noise.reach > 5


def rises(noise: PhotonTransfer | None) -> bool:
    """Noise that grows with the level, as far as the picture's own range and texture show."""
    if noise is None or not (0.6 <= noise.slope <= 1.4 and noise.error < 0.15 and noise.reach > 2.5):
        return False
    clear = noise.growth > 2 and noise.colour < 4
    return clear or (noise.growth > 4 and noise.error < 0.1 and noise.colour < 10)


def _falls(noise: PhotonTransfer | None) -> bool:
    """Noise that falls with the level, as photons' does behind a curve."""
    return noise is not None and noise.slope < -0.2 and noise.error < 0.3 and noise.reach > 2.5 and noise.colour < 4


def _have_one_width(found: Stars | None) -> bool:
    """Stars on a dark sky that are equally wide as they are stored, and would not be if they were sRGB."""
    return (
        found is not None
        and found.count >= 12
        and found.share > 0.6
        and found.sky < 0.3
        and found.scatter < 0.12
        and abs(found.stored) < 0.03
        and found.stored_error < 0.03
        and found.decoded + 2 * found.decoded_error < -0.015
    )


def _of_eight_bits(values: Tensor, origin: Origin) -> bool:
    """Whether 8 bits hold all values, spread over 16 or divided by 255: no sensor's, but a finished picture's."""
    stored = values * (origin.white - origin.black) + origin.black
    if origin.dtype == "uint16":
        stored = stored.round()
        return float(stored.max()) <= 255 or any(bool((stored % step == 0).all()) for step in (256, 257))
    levels = stored * 255
    return bool(((levels - levels.round()).abs() < 1e-3).double().mean() > 0.999)
