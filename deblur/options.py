"""What a user may choose of each job: plain records, checked when they are made.

Importing this needs no torch, so that the command line can name the options before a command runs; making one checks
the names in it against what there is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deblur.config import number
from deblur.errors import OptionError
from deblur.psf.reading import Reading

__all__ = ["DEVICES", "ApplyOptions", "DenoiseOptions", "FitOptions"]

DEVICES = ("auto", "cpu", "cuda")

_SHARED = ("noise", "saturation", "transfer", "mask", "threads", "device")  # by finding a kernel and restoring with it

_REAL, _TEXT = (int, float), (str,)


@dataclass(frozen=True, kw_only=True)
class ApplyOptions:
    """What a user may choose of a restoration.

    Args:
        method: a name in `deblur.restoration.RESTORERS`, a `Restorer` with settings of its own, or `auto`, the method
            that restores best (see `deblur.restoration.auto.choose`).
        noise: standard deviation of the noise as a fraction of full scale in stored values, in [0, 1), a number or a
            text such as `2.5/255`; `auto`: estimated from the picture.
        strength: factor of the regularisation: above 1 smoother, below 1 sharper.
        boundary: what lies outside the frame: `unknown`, `zero`, `reflect`, `replicate` or `circular`.
        saturation: the level, as a fraction of full scale, from which a pixel is taken as saturated and left out;
            `auto`: the frame's own ceiling; `none`: every pixel is believed.
        transfer: `auto` undoes the picture's transfer curve before and redoes it after, so that the blur is undone in
            light, where it happened: the curve that its file declares, or sRGB, or none where the file shows that its
            values are light (`deblur.linearity`). `srgb` takes what declares no curve as sRGB, whatever it shows;
            `linear` takes the values as they are.
        mask: `auto` leaves out what was not exposed (black bars, empty corners, all outside a round field), `none` does
            not; or what is not to be believed, 0 there: an array (H, W), or the name of a picture file.
        outliers: `auto` leaves out pixels that no noise explains (hot and dead ones, burnt-in dates), `none` does not.
        trust: `auto` draws the restoration towards the picture, region by region, where the kernel does not explain it
            (`deblur.trusting`); `none` leaves it as it is.
        preconditioner: name of the preconditioner of the quadratic steps (it changes the speed, not the result);
            `auto` chooses.
        threads: number of processor threads, or None for torch's own number.
        device: `auto`, `cpu` or `cuda`.
        confidence: how far to trust the kernel, in [0, 1], in place of what the kernel itself says; None leaves it.
        kernel_transfer, kernel_background, kernel_origin, kernel_channels: what the numbers of a kernel that comes as
            an array or a file stand for, as `deblur.psf.Reading` has them.
        prior: a checkpoint of `deblur train-prior`, in place of the learned prior that comes with the package; `auto`
            is then a method that takes one.
        settings: further settings of the method, by field name.

    Raises:
        OptionError: a value outside its range, an unknown name, or a prior for a method that takes none.
        FileError: the prior cannot be used.
    """

    method: Any = "auto"  # str | Restorer, whose import would need torch
    noise: float | str = "auto"
    strength: float = 1.0
    boundary: str = "unknown"
    saturation: float | str = "auto"
    transfer: str = "auto"
    mask: Any = "auto"  # str | os.PathLike | array
    outliers: str = "auto"
    trust: str = "auto"
    preconditioner: str = "auto"
    threads: int | None = None
    device: str = "auto"
    confidence: float | None = None
    kernel_transfer: str = "auto"
    kernel_background: float | str = "auto"
    kernel_origin: str = "auto"
    kernel_channels: bool = False
    prior: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from deblur.psf.operator import BOUNDARIES
        from deblur.restoration import PRECONDITIONERS, Restorer, auto
        from deblur.transfer import TRANSFERS

        _check_levels(self)
        _check_computer(self)
        _of_kind("boundary", self.boundary, *_TEXT)
        _of_kind("transfer", self.transfer, *_TEXT)
        _check_mask(self.mask)
        _of_kind("outliers", self.outliers, *_TEXT)
        _one_of("outliers", self.outliers, ("auto", "none"))
        _of_kind("trust", self.trust, *_TEXT)
        _one_of("trust", self.trust, ("auto", "none"))
        _of_kind("preconditioner", self.preconditioner, *_TEXT)
        _of_kind("prior", self.prior, str, type(None))
        _of_kind("settings", self.settings, Mapping)
        if not isinstance(self.method, Restorer):
            _of_kind("method", self.method, *_TEXT)
            auto.configured(self.method, self.settings, self.prior)  # refuses what does not fit
        _one_of("boundary", self.boundary, BOUNDARIES)
        _one_of("transfer", self.transfer, ("auto", *TRANSFERS))
        _one_of("preconditioner", self.preconditioner, ("auto", *PRECONDITIONERS))
        _check_strength(self.strength)
        _of_kind("confidence", self.confidence, *_REAL, type(None))
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise OptionError(f"expected a confidence in [0, 1], got {self.confidence:g}")
        _of_kind("kernel_channels", self.kernel_channels, bool)
        self.reading  # noqa: B018 - refuses what is none

    @property
    def reading(self) -> Reading:
        """What these options say of a kernel's numbers."""
        return Reading(
            transfer=self.kernel_transfer,
            background=self.kernel_background,
            origin=self.kernel_origin,
            channels=self.kernel_channels,
        )

    def fitting(self, parametric: str | None = None) -> FitOptions:
        """What these options say of the search for the kernel, of whatever blur or of one with a name."""
        asked: dict[str, Any] = {} if parametric is None else {"parametric": parametric}
        return FitOptions(**asked, **{name: getattr(self, name) for name in _SHARED})


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """What a user may choose of an estimation.

    Args:
        size: taps a side of the kernel, odd, or `auto`: it grows until its rim carries no light.
        model: `auto`, kernels of every kind, weighed, for one picture alone (`deblur.finding`), else `taps`; `taps`,
            every tap free; `masked`, masked convolutions that are inverted exactly (pairs only); or the name
            of another estimator in `deblur.estimation.ESTIMATORS`.
        parametric: the name of a family of blurs in `deblur.estimation.families.FAMILIES` (`motion`, `defocus`,
            `gaussian`), `auto` for the one with most evidence, or `none` for free taps.
        noise: standard deviation of the noise as a fraction of full scale, in [0, 1), a number or a text such as
            `2.5/255`; `auto`: estimated from the picture.
        saturation: the level, as a fraction of full scale, from which a pixel is taken as saturated and left out;
            `auto`: the frame's own ceiling; `none`: every pixel is believed.
        transfer: `auto` undoes the picture's transfer curve first, so that the blur is looked for in light, where it
            happened; `auto`, `srgb` and `linear` as `ApplyOptions` has them.
        mask: `auto` leaves out what was not exposed (black bars, empty corners, all outside a round field), `none` does
            not; or what is not to be believed, 0 there: an array (H, W), or the name of a picture file.
        region: x, y, width and height of the part to look at, or None: the estimator chooses.
        threads: number of processor threads, or None for torch's own number.
        device: `auto`, `cpu` or `cuda`. The search runs on the processor; a restoration after it on the device.
        settings: further settings of the estimator, by field name.

    Raises:
        OptionError: a value outside its range, or an unknown name.
    """

    size: int | str = "auto"
    model: str = "auto"
    parametric: str = "none"
    noise: float | str = "auto"
    saturation: float | str = "auto"
    transfer: str = "auto"
    mask: Any = "auto"  # str | os.PathLike | array
    region: tuple[int, int, int, int] | None = None
    threads: int | None = None
    device: str = "auto"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from deblur.estimation import check_names
        from deblur.transfer import TRANSFERS

        _check_levels(self)
        _check_computer(self)
        _of_kind("transfer", self.transfer, *_TEXT)
        _one_of("transfer", self.transfer, ("auto", *TRANSFERS))
        _check_mask(self.mask)
        _of_kind("model", self.model, *_TEXT)
        _of_kind("parametric", self.parametric, *_TEXT)
        _of_kind("size", self.size, int, str)
        _of_kind("region", self.region, Sequence, type(None))
        _of_kind("settings", self.settings, Mapping)
        check_names(self.model, self.parametric)
        if self.region is not None and (len(self.region) != 4 or not all(isinstance(n, int) for n in self.region)):
            raise OptionError(f"expected a region of whole numbers x, y, width, height, got {self.region!r}")
        if isinstance(self.size, str):
            if self.size != "auto":
                raise OptionError(f"expected a size of an odd number of taps, or auto, got {self.size!r}")
        elif isinstance(self.size, bool) or self.size < 3 or self.size % 2 == 0:
            raise OptionError(f"expected an odd size of 3 or more, got {self.size}; the middle tap is the origin")

    def restoring(self) -> ApplyOptions:
        """What these options say of a restoration with the kernel that was found."""
        return ApplyOptions(**{name: getattr(self, name) for name in _SHARED})


@dataclass(frozen=True, kw_only=True)
class DenoiseOptions:
    """What a user may choose of denoising.

    Args:
        noise: standard deviation of the noise as a fraction of full scale, in [0, 1), a number or a text such as
            `2.5/255`; `auto`: estimated from the picture.
        strength: factor of it: above 1 smoother, below 1 more of the grain is kept.
        prior: a checkpoint of `deblur train-prior`, in place of the one that comes with the package.
        threads: number of processor threads, or None for torch's own number.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        OptionError: a value outside its range.
        FileError: the prior cannot be used.
    """

    noise: float | str = "auto"
    strength: float = 1.0
    prior: str | None = None
    threads: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        from deblur.restoration.priors.flow import FlowPrior

        _check_levels(self)
        _check_computer(self)
        _of_kind("prior", self.prior, str, type(None))
        FlowPrior(file=self.prior or "")  # refuses a file that is no prior
        _check_strength(self.strength)


def _check_levels(options: Any) -> None:
    """Check noise and, where there is one, saturation; a text such as 2.5/255 becomes its number."""
    limits = {"noise": (("auto",), 0.0, 1.0), "saturation": (("auto", "none"), 0.0, 2.0)}
    for name, (words, low, high) in limits.items():
        if not hasattr(options, name):
            continue
        value = getattr(options, name)
        _of_kind(name, value, *_REAL, str)
        if isinstance(value, str) and value[:1].isdigit():
            value = number(value)
            object.__setattr__(options, name, value)
        if isinstance(value, str):
            _one_of(name, value, words)
        elif not (low <= value < high) or (name == "saturation" and value == low):
            limit = "in [0, 1)" if name == "noise" else "above 0 and below 2"
            raise OptionError(
                f"expected {name} as a fraction of full scale{',' * (name != 'noise')} {limit}, got {value:g}; "
                f"for {value:g} of 255 levels give {value:g}/255"
            )


_STRONGEST = 1e6


def _check_strength(value: object) -> None:
    _of_kind("strength", value, *_REAL)
    if not value > 0:  # type: ignore[operator]
        raise OptionError(f"expected a strength above 0, got {value:g}; 1 is the usual one")
    if value > _STRONGEST:  # type: ignore[operator]
        raise OptionError(f"expected a strength of at most {_STRONGEST:g}, got {value:g}; 1 is the usual one")


def _check_mask(value: Any) -> None:
    if isinstance(value, str | os.PathLike) or getattr(value, "ndim", None) == 2:
        return
    shape = getattr(value, "shape", None)
    got = repr(value) if shape is None else f"an array {tuple(shape)}"
    raise OptionError(f"expected a mask of (rows, columns), the name of a picture file, auto or none, got {got}")


def _check_computer(options: Any) -> None:
    """Check threads and device."""
    _of_kind("device", options.device, *_TEXT)
    _one_of("device", options.device, DEVICES)
    _of_kind("threads", options.threads, int, type(None))
    if options.threads is not None and options.threads < 1:
        raise OptionError(f"expected at least 1 thread, got {options.threads}")


def _of_kind(name: str, value: object, *kinds: type) -> None:
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise OptionError(f"expected {name} to be {' or '.join(kind.__name__ for kind in kinds)}, got {value!r}")


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise OptionError(f"expected {what} to be one of {', '.join(known)}, got {value!r}")
