"""The blurs that have a name and a few parameters: their spectra, where to look for them, and their kernels.

A family is a record here and a line in `FAMILIES`; its kernel is made by `deblur.psf`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deblur import psf
from deblur.errors import OptionError, did_you_mean
from deblur.estimation.non_negative import Array

__all__ = ["FAMILIES", "POINTS", "Family", "models", "tried"]

POINTS = "points"
"""The name by which a user asks for a kernel read off points of light, which has no parameters."""

Spectrum = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Family:
    """A blur with parameters.

    Attributes:
        names: of the parameters; those called `angle` are in degrees and periodic in 180.
        spectrum: K at angular frequencies (F,) down and across for parameters (B, P): (B, F), real.
        grid: the parameters to try first, (N, P), for kernels that reach at most so many pixels from their origin.
        lowest: the smallest value of every parameter; the largest follows from the reach.
        scales: by how much each parameter may change before the spectrum does, at the parameters given: (P,).
        spec: the text that `deblur.psf.make` makes the kernel from.
        model: the name by which a user asks for it, where that is not its own: several families may share one, and
            evidence chooses among them.
    """

    names: tuple[str, ...]
    spectrum: Spectrum
    grid: Callable[[float], Array]
    lowest: tuple[float, ...]
    scales: Callable[[Array], Array]
    spec: Callable[[Array], str]
    model: str = ""

    def kernel(self, parameters: Array) -> Array:
        """The kernel (kh, kw), of odd sides."""
        return psf.make(self.spec(parameters))


def _footprint(down: Tensor, across: Tensor) -> Tensor:
    """The spectrum of linear interpolation, which `deblur.psf.motion` is made with."""
    return (torch.sinc(down / (2 * math.pi)) * torch.sinc(across / (2 * math.pi))).square()


def _motion(parameters: Tensor, down: Tensor, across: Tensor) -> Tensor:
    length, angle = parameters[:, :1], torch.deg2rad(parameters[:, 1:])
    along = across * torch.cos(angle) - down * torch.sin(angle)
    return torch.sinc(along * length / (2 * math.pi)) * _footprint(down, across)


def _motion_grid(reach: float) -> Array:
    lengths = _steps(2.0, 2 * reach, 0.8, 0.035)
    rows = []
    for length in lengths:
        count = max(8, math.ceil(180 / math.degrees(1.6 / length)))
        rows += [(length, 180 * i / count) for i in range(count)]
    return np.array(rows)


def _defocus(parameters: Tensor, down: Tensor, across: Tensor) -> Tensor:
    v = (parameters[:, :1] * torch.hypot(down, across)).clamp_min(1e-6)
    pixel = torch.sinc(down / (2 * math.pi)) * torch.sinc(across / (2 * math.pi))
    disk: Tensor = 2 * torch.special.bessel_j1(v) / v
    return disk * pixel


def _gaussian(parameters: Tensor, down: Tensor, across: Tensor) -> Tensor:
    return torch.exp(-0.5 * (parameters[:, :1] * torch.hypot(down, across)).square())


def _elliptic(parameters: Tensor, down: Tensor, across: Tensor) -> Tensor:
    angle = torch.deg2rad(parameters[:, 2:])
    along = across * torch.cos(angle) - down * torch.sin(angle)
    beside = across * torch.sin(angle) + down * torch.cos(angle)
    return torch.exp(-0.5 * ((parameters[:, :1] * along).square() + (parameters[:, 1:2] * beside).square()))


def _elliptic_grid(reach: float) -> Array:
    sigmas = _steps(0.5, reach / 3, 0.3, 0.25)
    angles = np.arange(0, 180, 22.5)
    return np.array([(a, b, angle) for a in sigmas for b in sigmas if a > 1.2 * b for angle in angles]).reshape(-1, 3)


def _steps(first: float, last: float, step: float, share: float) -> list[float]:
    """Values from first to last, each larger by `step` or by `share` of itself, whichever is more."""
    values, value = [], first
    while value <= max(last, first):
        values.append(value)
        value += max(step, share * value)
    return values


FAMILIES: dict[str, Family] = {
    "motion": Family(
        names=("length", "angle"),
        spectrum=_motion,
        grid=_motion_grid,
        lowest=(0.5, -math.inf),
        scales=lambda p: np.array([0.3, math.degrees(0.5 / max(p[0], 2.0))]),
        spec=lambda p: f"motion:length={p[0]:.4f},angle={p[1] % 180:.4f}",
    ),
    "defocus": Family(
        names=("radius",),
        spectrum=_defocus,
        grid=lambda reach: np.array(_steps(0.8, reach, 0.2, 0.02))[:, None],
        lowest=(0.3,),
        scales=lambda p: np.array([0.1]),
        spec=lambda p: f"defocus:radius={p[0]:.4f}",
    ),
    "gaussian": Family(
        names=("sigma",),
        spectrum=_gaussian,
        grid=lambda reach: np.array(_steps(0.4, reach / 3, 0.1, 0.05))[:, None],
        lowest=(0.3,),
        scales=lambda p: np.array([0.1 * max(p[0], 0.5)]),
        spec=lambda p: f"gaussian:sigma={p[0]:.4f}",
    ),
    "elliptic": Family(
        names=("sigma_x", "sigma_y", "angle"),
        spectrum=_elliptic,
        grid=_elliptic_grid,
        lowest=(0.3, 0.3, -math.inf),
        scales=lambda p: np.array([0.1 * max(p[0], 0.5), 0.1 * max(p[1], 0.5), 5.0]),
        spec=lambda p: f"gaussian:sigma_x={p[0]:.4f},sigma_y={p[1]:.4f},angle={p[2] % 180:.4f}",
        model="gaussian",
    ),
}
"""The families by name."""


def models() -> list[str]:
    """The names by which a user may ask for a blur with parameters, `auto` for the one of most evidence.

    Example:
        >>> models()
        ['auto', 'motion', 'defocus', 'gaussian']
    """
    return list(dict.fromkeys(["auto", *(family.model or name for name, family in FAMILIES.items())]))


def tried(model: str) -> tuple[str, ...]:
    """The families that are tried for a name in `models`.

    Raises:
        OptionError: an unknown name; the closest known one is named.

    Example:
        >>> tried("gaussian")
        ('gaussian', 'elliptic')
    """
    if model not in models():
        raise OptionError(f"unknown parametric blur {model!r}{did_you_mean(model, models())}")
    return tuple(name for name, family in FAMILIES.items() if model in ("auto", family.model or name))
