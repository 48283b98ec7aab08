"""The record of a blur kernel: its taps, and what is known about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deblur.errors import KernelError, OptionError
from deblur.psf.array import check, flip
from deblur.psf.quadrant import OPPOSITE, MaskedForm

__all__ = ["LARGEST_MISFIT", "MISFIT", "Kernel", "misfit_of"]

LARGEST_MISFIT = 100
"""Taps that are wrong by a hundred times themselves say nothing more than those."""

MISFIT = 0.006
"""Misfit of a kernel of which nothing is known, as a share of the frame's span: 1.5 levels where all 255 are used."""


def misfit_of(confidence: float | None) -> float:
    """The misfit that a confidence c stands for, MISFIT * 2^(1 - 2 c).

    Half the usual misfit where c is 1, the usual one at a half and where nobody knows (None), twice that at 0.

    Raises:
        OptionError: a confidence outside [0, 1].

    Example:
        >>> misfit_of(1.0), misfit_of(None)
        (0.003, 0.006)
    """
    if confidence is None:
        return MISFIT
    if not 0 <= confidence <= 1:
        raise OptionError(f"expected a confidence in [0, 1], got {confidence:g}; leave it out where nobody knows")
    return float(MISFIT * 2 ** (1 - 2 * confidence))


_RECORD = ("confidence", "misfit", "factors", "alternatives", "source", "notes", "otherwise", "stack")


class Kernel(np.ndarray[Any, np.dtype[np.float64]]):
    """A blur kernel and what is known about it: a read-only array of its taps that carries a record.

    NumPy, OpenCV, PyTorch and code written for arrays take it for the array of its taps; whatever they make of it
    (a slice, a product, a rounded copy) is a plain array. It is checked and normalised when it is made, never again.

    Args:
        taps: (kh, kw), or (C, kh, kw) for one kernel per channel; the origin is tap (kh // 2, kw // 2). They are
            divided by their sum, each channel by its own.
        confidence: how sure it is that this is the blur, in [0, 1], for people to read; None: the kernel is exactly
            known (made by name, measured), or nobody said.
        misfit: the relative error of the taps, for the solvers: what the blurred scene misses the frame by, as a share
            of the frame's span. None: what `misfit_of` makes of the confidence.
        factors: the masked convolutions whose product the blur is, in the order in which they are applied; or none.
        alternatives: further kernels that explain the frame nearly as well, the likeliest first.
        source: the file or the text that it comes from, or the method that found it; for messages.
        notes: lines that a user should see: how its numbers were read.
        otherwise: the kernel that it is if its picture is coded like a photograph, where only a frame can tell.
        stack: whether it comes from a file of several planes that does not say that they are one a channel.

    Raises:
        KernelError: the taps cannot be a kernel (see `deblur.psf.check`).
        OptionError: a confidence outside [0, 1], or a misfit outside [0, 100].

    Example:
        >>> kernel = Kernel([[1, 2, 1]], confidence=0.9)
        >>> kernel.shape, kernel.confidence, kernel * 4
        ((1, 3), 0.9, array([[1., 2., 1.]]))
    """

    confidence: float | None
    misfit: float
    factors: tuple[MaskedForm, ...]
    alternatives: tuple[Kernel, ...]
    source: str
    notes: tuple[str, ...]
    otherwise: Kernel | None
    stack: bool

    def __new__(
        cls,
        taps: ArrayLike,
        *,
        confidence: float | None = None,
        misfit: float | None = None,
        factors: tuple[MaskedForm, ...] = (),
        alternatives: tuple[Kernel, ...] = (),
        source: str = "",
        notes: tuple[str, ...] = (),
        otherwise: Kernel | None = None,
        stack: bool = False,
    ) -> Kernel:
        """Check and normalise the taps."""
        said = (confidence, misfit, factors, alternatives, source, notes, otherwise, stack)
        if isinstance(taps, Kernel) and said == (None, None, (), (), "", (), None, False):
            return taps
        self = check(taps).view(cls)
        self.confidence = confidence
        self.misfit = misfit_of(confidence) if misfit is None else misfit
        if not 0 <= self.misfit <= LARGEST_MISFIT:
            raise OptionError(f"expected a misfit from 0 to {LARGEST_MISFIT}, got {misfit}")
        if confidence is not None:
            misfit_of(confidence)  # refuses what is none
        self.factors, self.alternatives, self.source = tuple(factors), tuple(alternatives), source
        self.notes, self.otherwise, self.stack = tuple(notes), otherwise, stack
        self.flags.writeable = False
        return self

    @classmethod
    def of(cls, kernel: ArrayLike) -> Kernel:
        """The kernel itself where it is one already, else the record of an array of which nothing is known."""
        return cls(kernel)

    @property
    def taps(self) -> NDArray[np.float64]:
        """The taps as a plain array that cannot be written to, (kh, kw) or (C, kh, kw)."""
        return self.view(np.ndarray)

    @property
    def known(self) -> bool:
        """Whether the kernel counts as exactly known."""
        return self.confidence is None

    @property
    def still(self) -> bool:
        """Whether all light stays in its pixel: there is nothing to undo.

        Example:
            >>> Kernel([[1.0]]).still, Kernel([[0.0, 0.0, 1.0]]).still
            (True, False)
        """
        return bool((self.taps[..., self.shape[-2] // 2, self.shape[-1] // 2] > 1 - 1e-6).all())

    @property
    def T(self) -> NDArray[np.float64]:  # type: ignore[override]  # noqa: N802
        """The transposed taps, a plain array."""
        return self.taps.T

    def at(self, window: tuple[slice, slice] | None = None) -> Kernel:
        """The kernel that serves a window (rows, columns) of the frame; None is the whole frame.

        One kernel serves every window. Solvers and tiles ask for it here, so that a blur that changes over the frame
        needs no change there.
        """
        return self

    def of_channels(self, channels: slice) -> Kernel:
        """The kernel of some of the channels: itself where there is one for all."""
        return self if self.ndim == 2 or len(self) == 1 else self.replaced(taps=self.taps[channels], otherwise=None)

    def replaced(self, **changes: Any) -> Kernel:
        """A copy with other taps or other things known about them; the misfit follows a new confidence.

        Example:
            >>> Kernel([[1.0]]).replaced(confidence=1.0).misfit
            0.003
        """
        fields = {"taps": self.taps, **self._record()}
        if "confidence" in changes:
            del fields["misfit"]
        return Kernel(**{**fields, **changes})

    def flipped(self) -> Kernel:
        """The kernel turned by 180 degrees about its origin, with its factors: from correlation to convolution."""
        factors = tuple(MaskedForm(OPPOSITE[form.orientation], form.weight) for form in self.factors)
        others = tuple(other.flipped() for other in self.alternatives)
        coded = None if self.otherwise is None else self.otherwise.flipped()
        return self.replaced(taps=flip(self.taps), factors=factors, alternatives=others, otherwise=coded)

    def _record(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _RECORD}

    def __repr__(self) -> str:
        """Size and what is known, in a line."""
        channels = f"{self.shape[0]} channels of " if self.ndim == 3 else ""
        known = "exactly known" if self.known else f"confidence {self.confidence:.2f}"
        return f"Kernel({channels}{self.shape[-2]} x {self.shape[-1]} taps, {known}, misfit {self.misfit:.2g})"

    def __array_finalize__(self, whole: object) -> None:
        """A view of a kernel as a kernel keeps its record; see `_plain` for everything else."""
        if isinstance(whole, Kernel) and hasattr(whole, "misfit"):
            self.__dict__.update(whole._record())

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Arithmetic is that of the taps, into a new array."""
        if any(isinstance(value, Kernel) for value in options.get("out") or ()):
            raise KernelError(
                "expected an array to write into, got a kernel, which cannot be changed; use kernel.copy()"
            )
        return getattr(ufunc, method)(*(_plain(value) for value in inputs), **_plain(options))

    def __array_function__(self, function: Callable[..., Any], types: Any, given: Any, options: Any) -> Any:
        """So are NumPy's functions."""
        return function(*_plain(given), **_plain(options))

    def __getitem__(self, index: Any) -> Any:
        """A part of the taps, as a plain array or number."""
        return self.taps[index]

    def __copy__(self) -> Kernel:
        """Itself: nothing of it can change."""
        return self

    def __deepcopy__(self, memo: dict[int, Any] | None) -> Kernel:
        """Itself, too."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickling and copying make the record anew."""
        return _remade, (np.array(self.taps), self._record())


def _remade(taps: NDArray[np.float64], record: dict[str, Any]) -> Kernel:
    return Kernel(taps, **record)


def _plain(value: Any) -> Any:
    """A value with the kernels in it, also inside lists and tuples, as plain arrays."""
    if isinstance(value, Kernel):
        return value.taps
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(_plain(item) for item in value)
    if type(value) is dict:
        return {key: _plain(item) for key, item in value.items()}
    return value


def _of_taps(name: str) -> Callable[..., Any]:
    """A method of arrays, called on the taps."""

    def method(self: Kernel, *given: Any, **options: Any) -> Any:
        return getattr(self.taps, name)(*given, **options)

    return method


_OWN = {"setflags", "view"}
for _name in dir(np.ndarray):
    if not _name.startswith("_") and callable(getattr(np.ndarray, _name)) and _name not in _OWN:
        setattr(Kernel, _name, _of_taps(_name))
