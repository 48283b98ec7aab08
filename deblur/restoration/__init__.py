"""Restorers: from a blurred frame, its blur and its noise to the scene, with a record of how it went.

    RESTORERS               the methods by name, each with its default settings
    auto.choose             the method for a frame, with its settings: what `auto` stands for, when and why
    Problem, Restoration    what goes in, what comes out

A new method is a file with a `Restorer` and a line in `RESTORERS`; a new prior for half-quadratic splitting is a
file in `priors/` and a line here.

Example:
    >>> import numpy as np, torch
    >>> problem = Problem(blurred=torch.full((1, 16, 16), 0.5), kernel=np.full((3, 3), 1 / 9))
    >>> RESTORERS["wiener"](problem).status
    'converged'
"""

from __future__ import annotations

from deblur.restoration.exact import Exact
from deblur.restoration.hqs import HalfQuadraticSplitting
from deblur.restoration.preconditioners import PRECONDITIONERS
from deblur.restoration.priors.derivatives import SparseDerivatives
from deblur.restoration.priors.flow import FlowPrior
from deblur.restoration.problem import Problem
from deblur.restoration.restorer import Restoration, Restorer
from deblur.restoration.richardson_lucy import RichardsonLucy
from deblur.restoration.wiener import Wiener

__all__ = ["PRECONDITIONERS", "RESTORERS", "Problem", "Restoration", "Restorer", "RichardsonLucy"]

RESTORERS: dict[str, Restorer] = {
    "exact": Exact(),
    "wiener": Wiener(),
    "tv": HalfQuadraticSplitting(prior=SparseDerivatives(power=1.0, weight=0.15, second=0.0, first=1.0, factor=2.0)),
    "hyperlaplacian": HalfQuadraticSplitting(prior=SparseDerivatives()),
    "flow": HalfQuadraticSplitting(prior=FlowPrior(), inner=20, denoise_from=0.03, least_noise=0.75, caution=1.4),
    "rl": RichardsonLucy(),
}
