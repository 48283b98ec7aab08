"""Forty small files, half of them finished pictures (sRGB) and half what sensors count (linear light).

None of them declares its curve. Photographs are those of scikit-image; what has been done to them is what people do.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from skimage import data

Array = NDArray[Any]

SIDE = 256
_CORNERS = {
    "astronaut": (0, 120),
    "brick": (0, 0),
    "camera": (60, 100),
    "chelsea": (20, 100),
    "coffee": (60, 120),
    "coins": (30, 60),
    "hubble_deep_field": (300, 300),
    "immunohistochemistry": (100, 100),
    "moon": (100, 100),
    "page": (0, 60),
    "retina": (500, 500),
    "rocket": (100, 180),
}


def decoded(v: Array) -> Array:
    return np.where(v <= 0.04045, v / 12.92, ((np.maximum(v, 0) + 0.055) / 1.055) ** 2.4)


def encoded(y: Array) -> Array:
    y = np.clip(y, 0, None)
    return np.where(y <= 0.0031308, y * 12.92, 1.055 * y ** (1 / 2.4) - 0.055)


@lru_cache
def photo(name: str) -> Array:
    """A part of a photograph, (SIDE, SIDE[, 3]) in [0, 1], in levels of 8 bits."""
    top, left = _CORNERS[name]
    return getattr(data, name)()[top : top + SIDE, left : left + SIDE].astype(float) / 255


def smooth(name: str, sigma: float = 0.8) -> Array:
    """The same between the levels, as after a resampling or a lens."""
    return cv2.GaussianBlur(photo(name), (0, 0), sigma)


def photons(light: Array, full: float, read: float = 0.0, seed: int = 0) -> Array:
    """What a sensor of `full` electrons at white makes of light, with its reading noise in electrons."""
    rng = np.random.default_rng(seed)
    return (rng.poisson(np.maximum(light, 0) * full) + read * rng.standard_normal(light.shape)) / full


def white(values: Array, sigma: float, seed: int = 0) -> Array:
    return values + sigma * np.random.default_rng(seed).standard_normal(values.shape)


def sky(level: float, width: float, *, moffat: bool = False, count: int = 90, seed: int = 0) -> Array:
    """A field of stars over a sky, the brightest pixel at 0.9."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    field = np.zeros((SIDE, SIDE))
    for row, column, flux in zip(*rng.uniform(0, SIDE, (2, count)), 10 ** rng.uniform(-1.3, 0, count), strict=True):
        distance = ((y - row) ** 2 + (x - column) ** 2) / width**2
        field += flux * ((1 + distance / 3) ** -2.5 if moffat else np.exp(-distance / 2))
    return level + field * (0.9 - level) / field.max()


def cells(seed: int = 0) -> Array:
    """Fluorescent cells of all brightnesses on the dark, in [0, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    field = np.full((SIDE, SIDE), 0.01)
    for _ in range(25):
        row, column, radius = *rng.uniform(0, SIDE, 2), rng.uniform(8, 25)
        inside = 1 / (1 + np.exp((np.hypot(y - row, x - column) - radius) / 1.5))
        field += 10 ** rng.uniform(-1.5, -0.1) * inside
    return field / field.max()


def tiff(values: Array, dtype: str = "float32", **tags: Any) -> bytes:
    """A TIFF without a profile; 16 bits have white at 65535."""
    samples = values.astype(np.float32) if dtype == "float32" else _integers(values, 65535)
    return _tiff(samples, **tags)


def counts(values: Array, full: int = 4095, **tags: Any) -> bytes:
    """A 16-bit TIFF of counts up to `full`."""
    return _tiff(_integers(values, full), **tags)


def coded(values: Array, suffix: str, bits: int = 8) -> bytes:
    samples = _integers(values, 2**bits - 1).astype(f"uint{bits}")
    return cv2.imencode(suffix, samples[..., ::-1] if samples.ndim == 3 else samples)[1].tobytes()


def _integers(values: Array, full: int) -> Array:
    return np.rint(np.clip(values, 0, 1) * full).astype(np.uint16)


def _tiff(samples: Array, **tags: Any) -> bytes:
    buffer = io.BytesIO()
    kind = {} if tags.get("imagej") else {"photometric": "rgb" if samples.ndim == 3 else "minisblack"}
    tifffile.imwrite(buffer, samples, **kind, **tags)
    return buffer.getvalue()


SRGB: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: coded(photo("astronaut"), ".jpg"),
    "8-bit PNG": lambda: coded(photo("coffee"), ".png"),
    "16-bit PNG of 8 bits": lambda: coded(photo("camera"), ".png", 16),
    "16-bit TIFF of 8 bits": lambda: tiff(photo("chelsea"), "uint16"),
    "float TIFF of 8 bits": lambda: tiff(photo("rocket")),
    "16-bit PNG, resampled": lambda: coded(smooth("camera"), ".png", 16),
    "16-bit TIFF, resampled": lambda: tiff(smooth("chelsea"), "uint16"),
    "float TIFF, resampled": lambda: tiff(smooth("astronaut")),
    "float TIFF, sharpened beyond 0 and 1": lambda: tiff(1.4 * smooth("coffee", 1) - 0.4 * smooth("coffee", 3)),
    "night, 16 bit": lambda: tiff(encoded(photons(0.05 * decoded(smooth("rocket")), 3000, 2)), "uint16"),
    "night, float": lambda: tiff(encoded(0.03 * decoded(smooth("astronaut")))),
    "night, very dark": lambda: tiff(0.05 * smooth("camera"), "uint16"),
    "high key": lambda: tiff(encoded(np.minimum(3 * decoded(smooth("coffee")), 1)), "uint16"),
    "the Moon": lambda: tiff(smooth("moon")),
    "galaxies, float": lambda: tiff(smooth("hubble_deep_field", 1.5)),
    "galaxies, 16 bit and noise": lambda: tiff(white(smooth("hubble_deep_field", 1), 0.005), "uint16"),
    "stars, exported": lambda: tiff(encoded(photons(sky(0.02, 1.5), 20000))),
    "a sensor's noise, developed": lambda: tiff(encoded(photons(decoded(smooth("brick")), 3000, 3))),
    "white noise": lambda: tiff(white(smooth("retina", 1), 0.01), "uint16"),
    "text": lambda: tiff(white(smooth("page", 1), 0.002)),
}
LINEAR: dict[str, Callable[[], bytes]] = {
    "stars": lambda: tiff(white(sky(0.02, 1.5), 0.001)),
    "stars of a refractor": lambda: tiff(white(sky(0.005, 1.2, moffat=True, seed=1), 0.001)),
    "wide stars, bright sky": lambda: tiff(white(sky(0.1, 2.0, seed=2), 0.002)),
    "a stack of many": lambda: tiff(white(sky(0.03, 1.5, moffat=True, seed=3), 0.0002)),
    "stars in 16 bits": lambda: tiff(photons(sky(0.02, 1.4, seed=4), 20000, 10), "uint16"),
    "a stack of a program": lambda: tiff(white(sky(0.03, 2.5, count=12, seed=5), 0.003), software="Siril 1.2.0"),
    "galaxies in light": lambda: tiff(white(decoded(smooth("hubble_deep_field", 1)), 0.001)),
    "cells, 12-bit counts": lambda: counts(0.025 + 0.9 * photons(cells(), 4000, 5)),
    "cells, float": lambda: tiff(photons(cells(1), 3000, 3)),
    "cells, 16 bit": lambda: tiff(photons(cells(2), 10000, 3), "uint16"),
    "cells of ImageJ": lambda: tiff(photons(cells(3), 300, 2), "uint16", imagej=True),
    "tissue, 12-bit counts": lambda: counts(photons(decoded(smooth("immunohistochemistry", 1))[..., 1], 8000, 5)),
    "coins, 12-bit counts": lambda: counts(photons(decoded(smooth("coins", 1)), 5000, 5)),
    "photograph, float": lambda: tiff(photons(decoded(smooth("astronaut", 1)), 3000, 3)),
    "photograph, 16 bit": lambda: tiff(photons(decoded(smooth("chelsea", 1)), 3000, 3), "uint16"),
    "gray photograph, 16 bit": lambda: tiff(photons(decoded(smooth("camera", 1)), 5000, 3), "uint16"),
    "blurred photograph": lambda: tiff(photons(decoded(smooth("coffee", 3)), 5000, 3)),
    "16-bit PNG": lambda: coded(photons(decoded(smooth("brick", 1)), 3000, 3), ".png", 16),
    "dark photograph": lambda: tiff(photons(0.05 * decoded(smooth("rocket", 1)), 60000, 3), "uint16"),
    "photograph without noise": lambda: tiff(decoded(smooth("astronaut", 1))),
}
