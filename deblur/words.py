"""What was found and done, in words for people: a blur, how sure of it one is, what became of the picture.

Example:
    >>> from deblur import psf
    >>> kernel = psf.Kernel(psf.make("defocus:radius=4.1"), confidence=0.93, source="defocus:radius=4.1")
    >>> f"{of_kernel(kernel)}; {of_confidence(kernel.confidence)}; {of_share(0.98)}"
    'out of focus, radius 4.1; sure (0.93); restored'
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from deblur.estimation.blind.taps import extent
from deblur.psf import SHAPES, Kernel

__all__ = ["of_confidence", "of_kernel", "of_share"]

FAINT = 0.05
"""The part of the largest tap up to which a tap does not count towards the extent of a kernel."""

SURENESS = ((0.9, "sure"), (0.7, "quite sure"), (0.5, "not sure"), (0.0, "unlikely"))
"""From which confidence on a kernel is how sure."""

RESTORED = 0.95
"""The share of a restoration above which a picture counts as restored; less than the rest of it counts as left."""

Parameters = Mapping[str, float]


def of_kernel(kernel: Kernel) -> str:
    """What kind of blur a kernel is, and how large, in pixels of the picture; angles counter-clockwise.

    Args:
        kernel: (kh, kw) or (C, kh, kw), its source a description such as `motion:length=30,angle=12`, or what it was
            found from.

    Example:
        >>> import numpy as np
        >>> taps = np.eye(21)
        >>> of_kernel(Kernel(taps, source="one picture alone"))
        'camera shake, about 21 pixels'
        >>> of_kernel(Kernel(taps, source="motion:length=30.02,angle=12.2"))
        'motion of 30 pixels at 12 degrees'
        >>> of_kernel(Kernel(taps, source="gaussian:sigma_x=1.84,sigma_y=2.4,angle=30"))
        'soft, like a gaussian of 1.8 x 2.4 pixels at 30 degrees'
        >>> of_kernel(Kernel([[1.0]]))
        'no blur that could be removed'
    """
    if kernel.still:
        return "no blur that could be removed"
    name, _, rest = kernel.source.partition(":")
    try:
        return _NAMED[name]({key: float(value) for key, _, value in (part.partition("=") for part in rest.split(","))})
    except (KeyError, ValueError):  # no description, or one of another kind
        pass
    if name in SHAPES:
        return kernel.source
    about = f"about {_extent(kernel)} pixels"
    if name.startswith("points"):
        return f"as points of light show it, {about}"
    return f"camera shake, {about}" if name == "one picture alone" else f"a blur of {about}"


def of_confidence(confidence: float) -> str:
    """How sure one is of a kernel, from its confidence in [0, 1].

    Example:
        >>> of_confidence(0.74), of_confidence(0.2)
        ('quite sure (0.74)', 'unlikely (0.20)')
    """
    return f"{next((word for least, word in SURENESS if confidence >= least), SURENESS[-1][1])} ({confidence:.2f})"


def of_share(trusted: float) -> str:
    """What became of a picture, from the share of the restoration in it (`Restoration.trusted`), in [0, 1].

    Example:
        >>> of_share(0.6), of_share(0.0)
        ('drawn towards the file by 40%', 'left as it was')
    """
    if trusted > RESTORED:
        return "restored"
    return "left as it was" if trusted <= 1 - RESTORED else f"drawn towards the file by {1 - trusted:.0%}"


def _extent(kernel: Kernel) -> int:
    """Pixels along the longer side of the box around what is not faint."""
    taps = kernel.taps.reshape(-1, *kernel.shape[-2:]).max(0)
    return extent(taps, FAINT)


def _motion(values: Parameters) -> str:
    return f"motion of {_digits(values['length'])} pixels at {values['angle']:.0f} degrees"


def _defocus(values: Parameters) -> str:
    return f"out of focus, radius {_digits(values['radius'])}"


def _gaussian(values: Parameters) -> str:
    if "sigma" in values:
        return f"soft, like a gaussian of {_digits(values['sigma'])} pixels"
    across, down, angle = (values[name] for name in ("sigma_x", "sigma_y", "angle"))
    return f"soft, like a gaussian of {_digits(across)} x {_digits(down)} pixels at {angle:.0f} degrees"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")


_NAMED: dict[str, Callable[[Parameters], str]] = {"motion": _motion, "defocus": _defocus, "gaussian": _gaussian}
