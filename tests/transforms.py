"""One list of all transforms, for the laws: each in the shapes that could tell right from wrong, in float64."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from deblur.layers import TRANSFORMS, Transform
from deblur.layers.actnorm import ActNorm
from deblur.layers.affine_coupling import AffineCoupling
from deblur.layers.squeeze import Squeeze

ORIENTATIONS = ("top_left", "top_right", "bottom_left", "bottom_right")
BATCH = 2


@dataclass(frozen=True, kw_only=True)
class Case:
    """A transform to be made: its name in `TRANSFORMS`, its arguments, and the images (C, H, W) it is asked about."""

    name: str
    shape: tuple[int, int, int] = (2, 3, 4)
    options: dict[str, Any] = field(default_factory=dict)
    context_features: int = 0

    def __str__(self) -> str:
        said = [f"{key}={value}" for key, value in self.options.items() if not callable(value)]
        context = [f"context={self.context_features}"] if self.context_features else []
        return "-".join([self.name, "x".join(map(str, self.shape)), *said, *context])

    def make(self, seed: int = 0) -> Transform:
        """The transform with parameters away from where they start, so that nothing is zero or the identity."""
        torch.manual_seed(seed)
        options = {key: value(self) if callable(value) else value for key, value in self.options.items()}
        if self.context_features:
            options["context_features"] = self.context_features
        transform = TRANSFORMS[self.name](**options).double()
        with torch.no_grad():
            for parameter in transform.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        return transform

    def image(self, seed: int = 1) -> Tensor:
        """Values of a unit's size; between 0 and 1 for the logit."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn((BATCH, *self.shape), generator=generator, dtype=torch.float64)
        return x.sigmoid() if self.name == "logit" else x

    def context(self, seed: int = 2) -> Tensor | None:
        """One for each image, or None."""
        if not self.context_features:
            return None
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(BATCH, self.context_features, generator=generator, dtype=torch.float64)


def _chain(case: Case) -> list[Transform]:
    context = {"context_features": case.context_features}
    return [Squeeze(), ActNorm(8, **context), AffineCoupling(8, hidden=3, activation="silu", **context)]


def _of_channels(name: str, *shapes: tuple[int, int, int], **options: Any) -> list[Case]:
    """With and without a context, for several shapes."""
    made: list[Case] = []
    for shape in shapes:
        given = {"channels": shape[0], **options}
        made += [Case(name=name, shape=shape, options=given, context_features=k) for k in (0, 2)]
    return made


def _masked(name: str) -> list[Case]:
    cases = [case for anchor in ("unit", "lu") for case in _of_channels(name, (3, 3, 4), anchor=anchor)]
    cases += _of_channels(name, (1, 4, 3), (2, 1, 5), kernel_size=2)
    cases += _of_channels(name, (2, 3, 2), kernel_size=1, anchor="lu")
    cases += [case for corner in ORIENTATIONS[1:] for case in _of_channels(name, (2, 3, 4), orientation=corner)]
    return cases


COUPLING = {"hidden": 3, "activation": "silu"}

CASES = [
    *_of_channels("actnorm", (1, 3, 4), (3, 2, 5)),
    *_of_channels("affine_coupling", (2, 3, 4), (5, 2, 3), **COUPLING),
    Case(name="channel_reversal", shape=(3, 2, 4)),
    Case(name="composition", shape=(2, 4, 6), options={"transforms": _chain}),
    *_of_channels("dct_whitening", (1, 3, 4), (2, 4, 3)),
    *_of_channels("finc_unit", (1, 3, 4), (3, 4, 3), (6, 3, 2), kernel_size=2),
    *_of_channels("finc_unit", (5, 3, 4), anchor="lu", direction="inverse"),
    *_masked("inverse_conv"),
    *_of_channels("invertible_conv1x1", (1, 3, 4), (4, 2, 3)),
    Case(name="logit", options={"alpha": 0.05}),
    *_masked("masked_conv"),
    *_of_channels("spline_activation", (1, 3, 4), (3, 2, 3), bins=4, bound=1.5),
    *_of_channels("spline_coupling", (2, 3, 4), (5, 2, 3), bins=3, bound=1.5, **COUPLING),
    Case(name="squeeze", shape=(2, 4, 6)),
]
