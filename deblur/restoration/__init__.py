"""Restorers: from a blurred frame, its blur and its noise to the scene, with a record of how it went.

    RESTORERS               the methods by name, each with its default settings
    chosen                  the method that `auto` stands for
    configured              a method with some settings changed
    Problem, Restoration    what goes in, what comes out

A new method is a file with a `Restorer` and a line in `RESTORERS`; a new prior for half-quadratic splitting is a
file in `priors/` and a line here.

Example:
    >>> import numpy as np, torch
    >>> problem = Problem(blurred=torch.full((1, 16, 16), 0.5), psf=np.full((3, 3), 1 / 9))
    >>> RESTORERS["wiener"](problem).status
    'converged'
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deblur.config import replaced, suggestion
from deblur.errors import OptionError
from deblur.restoration.exact import Exact
from deblur.restoration.hqs import HalfQuadraticSplitting
from deblur.restoration.preconditioners import PRECONDITIONERS
from deblur.restoration.priors.derivatives import SparseDerivatives
from deblur.restoration.priors.flow import FlowPrior
from deblur.restoration.problem import Problem
from deblur.restoration.restorer import Restoration, Restorer
from deblur.restoration.richardson_lucy import RichardsonLucy
from deblur.restoration.wiener import Wiener

__all__ = [
    "DEFAULT_METHOD",
    "LARGE_SETTINGS",
    "PRECONDITIONERS",
    "RESTORERS",
    "SMALL_METHOD",
    "Problem",
    "Restoration",
    "Restorer",
    "chosen",
    "configured",
]

RESTORERS: dict[str, Restorer] = {
    "exact": Exact(),
    "wiener": Wiener(),
    "tv": HalfQuadraticSplitting(prior=SparseDerivatives(power=1.0, weight=0.15, second=0.0, first=1.0, factor=2.0)),
    "hyperlaplacian": HalfQuadraticSplitting(prior=SparseDerivatives()),
    "flow": HalfQuadraticSplitting(prior=FlowPrior(), inner=20, denoise_from=0.03, least_noise=0.75, caution=1.4),
    "rl": RichardsonLucy(),
}

DEFAULT_METHOD = "hyperlaplacian"
"""The best method that takes seconds for megapixels (see `benchmarks/`)."""

SMALL_METHOD = "flow"
"""The best method for frames that are small, ."""

LARGE_SETTINGS: Mapping[str, Mapping[str, Any]] = {"flow": {"inner": 10, "prior": {"steps": 10}}}
"""Settings of a method in frames that are large, a megapixel stays under half a minute."""


def chosen(method: str, prior: str | None = None) -> str:
    """The name in `RESTORERS` that a name or `auto` stands for.

    Args:
        method: a name in `RESTORERS`, or `auto`: the best one, of those that take a learned prior where there is one.
        prior: the file of a learned prior, or None.

    Raises:
        OptionError: an unknown method (the closest known one is named), or a prior for one that takes none.

    Example:
        >>> chosen("auto", "prior.pt")
        'flow'
    """
    known = list(RESTORERS)
    if method not in ("auto", *known):
        raise OptionError(f"unknown method {method!r}{suggestion(method, ['auto', *known])}")
    if prior is None:
        return DEFAULT_METHOD if method == "auto" else method
    learned = [name for name in known if _learned(RESTORERS[name])]
    if method == "auto":
        return DEFAULT_METHOD if DEFAULT_METHOD in learned else learned[0]
    if method not in learned:
        raise OptionError(f"{method} takes no learned prior; use {' or '.join(learned)}, or leave out {prior}")
    return method


def configured(method: str, settings: Mapping[str, Any] | None = None, prior: str | None = None) -> Restorer:
    """The method `method` with some of its settings changed; `auto` is what `chosen` says.

    Args:
        method: a name in `RESTORERS`, or `auto`.
        settings: new values by field name; a mapping for a field that is itself a record (`{"prior": {"power":
        0.7}}`).
        prior: a checkpoint in place of the learned prior that comes with the package.

    Raises:
        OptionError: an unknown method or field (the closest known one is named), a value of the wrong type or range, or
            a prior for a method that takes none.
        FileError: the checkpoint cannot be used.

    Example:
        >>> configured("wiener", {"weight": 50}).weight
        50.0
    """
    name = chosen(method, prior)
    restorer = replaced(RESTORERS[name], settings or {}, name)
    return restorer if prior is None else replaced(restorer, {"prior": {"file": prior}}, name)


def _learned(restorer: Any) -> bool:
    """Whether a method's prior comes from a file."""
    return hasattr(getattr(restorer, "prior", None), "file")
