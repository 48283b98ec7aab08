"""A photograph as the search for its blur sees it: one gray plane in light, with its noise, also that of its coding."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deblur.estimation.blind.planes import plane
from deblur.estimation.blind.pyramid import Plane
from deblur.estimation.estimate import Region
from deblur.estimation.marginal import fading, periodogram
from deblur.jpeg_error import Bands, coded_bands
from deblur.lattice import earlier_save
from deblur.light import believed_pixels, slope, to_light
from deblur.measuring import Measurements, measure
from deblur.options import ApplyOptions
from deblur.picture import Picture
from deblur.psf import Kernel

__all__ = ["Gray"]

WINDOW = 256
"""Pixels a side of the windows whose spectra are taken, at most."""

SENSOR = 0.5 / 255
"""Noise in stored values that every photograph has at least: where coding rounded it away, none shows."""


@dataclass(frozen=True, kw_only=True)
class Gray:
    """A photograph's gray plane, and what it is judged by.

    Attributes:
        picture: what it was made of, pixels (C, H, W) in stored values.
        measured: of the picture; the kernel being unknown, its noise is alike everywhere.
        plane: (H, W) of unit range, linear in light; its noise is the sensor's and the coding's together.
        sigma: the sensor's share of that.
        bands: what coding left of each band, in the plane's units; None where nothing was coded.
    """

    picture: Picture
    measured: Measurements
    plane: Plane
    sigma: float
    bands: Bands | None

    @classmethod
    def of(cls, picture: Picture, options: ApplyOptions) -> Gray:
        """Prepare a picture by what the user told of noise, transfer and saturation."""
        told = options.noise if isinstance(options.noise, float | int) else None
        measured = _measured(picture, options)
        noise = measured.shown if told is None else told
        curve = measured.curve(picture)
        level = math.inf if measured.white is None else measured.white
        light, scale = to_light(picture.pixels.double(), curve, None)
        steep = slope(picture.pixels.double(), curve) / scale
        gray = plane(light, believed_pixels(picture, level), noise * steep)
        coding = steep * gray.scale  # its error is common to the channels
        bands = coded_bands(picture, earlier_save(picture)) if told is None else None
        total = math.hypot(gray.sigma, coding * measured.coding) if bands is not None else gray.sigma
        return cls(
            picture=picture,
            measured=measured,
            plane=Plane(gray.values, gray.believed, total, gray.scale),
            sigma=max(gray.sigma, coding * SENSOR) if bands is not None else gray.sigma,
            bands=None if bands is None else bands.scaled(coding),
        )

    def part(self, region: Region) -> Gray:
        """What of it lies in a region, measured as the whole."""
        x, y, width, height = region
        picture = self.picture.window(slice(y, y + height), slice(x, x + width))
        return dataclasses.replace(self, picture=picture, plane=self.plane.part(region))

    @property
    def frame(self) -> Tensor:
        """The plane as an estimator takes it, (1, H, W)."""
        return torch.from_numpy(np.ascontiguousarray(self.plane.values))[None]

    @property
    def spectrum(self) -> tuple[Tensor, float]:
        """Its periodogram, what is clipped left out, and the noise that goes with it."""
        side = min(WINDOW, (min(self.plane.values.shape) - 1) // 2 * 2)
        return periodogram([self.frame], [self.faded], side), self.sigma

    @property
    def faded(self) -> Tensor | None:
        """What of it shows a spectrum, (1, H, W) in [0, 1]: fading towards what is not believed; None for all."""
        return None if self.mask is None else fading(~self.mask)

    @property
    def mask(self) -> Tensor | None:
        """What of it is believed, (1, H, W); None for all."""
        believed = self.plane.believed
        return None if believed is None else torch.from_numpy(np.ascontiguousarray(believed))[None] > 0


def _measured(picture: Picture, options: ApplyOptions) -> Measurements:
    """What the picture shows where no kernel is known: its highest frequencies and its coding tell the noise."""
    if isinstance(options.noise, float | int):
        return measure(picture, _NONE, options)
    record = measure(picture, _NONE, dataclasses.replace(options, noise=0.0))
    return dataclasses.replace(record, told=False, deviations=(math.hypot(record.shown, record.coding),))


_NONE = Kernel([[1.0]])
