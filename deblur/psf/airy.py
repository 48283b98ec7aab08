"""The diffraction pattern of a perfect lens."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from scipy.special import j1

from deblur.psf.shape import Array, Size, Within, frame, offsets, shape

_FIRST_ZERO = 3.8317059702075125  # of J1; in the pattern 0.61 wavelength / NA from the centre
_FIFTH_ZERO = 16.470630050877634  # of J1; 96 % of the light of the pattern falls inside it
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)


@shape(example="airy:na=1.4,wavelength=520,pixel=65")
def airy(
    *,
    na: Annotated[float, Within(0.01, 1.7)],
    wavelength: Annotated[float, Within(100, 20000, "nm")],
    pixel: Annotated[float, Within(1, 100000, "nm")],
    size: Size = None,
) -> Array:
    """Airy pattern of a widefield microscope in focus, integrated over the pixels.

        I(r) = (2 J1(v) / v)^2,    v = 2 pi NA r / wavelength        (Born and Wolf, Principles of Optics, 8.5.2)

    The scalar, paraxial, aberration-free model with incoherent light: at high apertures (NA above about 0.8 in air) the
    true spot is a little wider and depends on polarisation. Its spectrum is zero beyond 2 NA / wavelength.

    Args:
        na: numerical aperture, 0.01 to 1.7.
        wavelength: of the emitted light in vacuum, nm, 100 to 20000.
        pixel: pixel pitch in the object (camera pitch / magnification), nm, 1 to 100000.
        size: rows and columns; without it, out to the fifth dark ring (96 % of the light).

    Returns:
        (kh, kw), sum 1, centred on the origin tap.

    Example:
        >>> kernel = airy(na=1.4, wavelength=520, pixel=65)
        >>> kernel.shape, round(float(kernel.max()), 3)
        ((31, 31), 0.095)
    """
    scale = 2 * math.pi * na / wavelength * pixel  # v per pixel
    reach = _FIFTH_ZERO / scale
    rows, columns = frame("airy", (reach, reach), size, cut=True)
    parts = math.ceil(
        scale / (_FIRST_ZERO / 2)
    )  # Gauss rules per pixel, so that each spans half a central disk at most
    inside = ((np.arange(parts)[:, None] + 0.5 + _NODES / 2) / parts - 0.5).ravel()
    weights = np.tile(_WEIGHTS, parts)
    y, x = (offsets(count)[:, None] + inside for count in (rows, columns))  # (taps, nodes)
    kernel = np.zeros((rows, columns))
    for node, weight in enumerate(weights):
        v = scale * np.hypot(y[:, node, None, None], x)  # (rows, columns, nodes)
        v = np.maximum(v, 1e-9)
        kernel += weight * ((2 * j1(v) / v) ** 2 @ weights)
    return kernel
