"""The multi-scale flow of the papers: [squeeze -> K steps -> split] x (L - 1) -> squeeze -> K steps.

What mixes pixels and channels in a step is its kind:

    finc      FInC unit -> ActNorm -> 1 x 1 -> coupling                               FInC Flow, arXiv:2301.09266
    inverse   InverseConv -> (spline activation) -> ActNorm -> 1 x 1 -> coupling      Inverse-Flow, arXiv:2410.14634
    glow      ActNorm -> 1 x 1 -> coupling                                            Glow, arXiv:1807.03039
    none      ActNorm -> channels reversed -> coupling                                Real NVP, arXiv:1605.08803

Before the first squeeze, pixels go through the logit; uint8 ones are dequantised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from deblur.errors import OptionError
from deblur.flows.flow import Flow
from deblur.layers import Split, Transform, UniformDequantisation, VariationalDequantisation
from deblur.layers.actnorm import ActNorm
from deblur.layers.affine_coupling import AffineCoupling
from deblur.layers.composition import Composition
from deblur.layers.finc_unit import FIncUnit
from deblur.layers.inverse_conv import InverseConv
from deblur.layers.invertible_conv1x1 import InvertibleConv1x1
from deblur.layers.logit import Logit
from deblur.layers.reversal import ChannelReversal
from deblur.layers.spline_activation import SplineActivation
from deblur.layers.spline_coupling import SplineCoupling
from deblur.layers.squeeze import Squeeze
from deblur.layers.transform import check_counts

__all__ = ["MultiScale"]


@dataclass(frozen=True, kw_only=True)
class MultiScale:
    """The settings of a multi-scale flow.

    Args:
        shape: (C, H, W) of the images; H and W divisible by 2^levels.
        levels: L, scales.
        steps: K, steps a scale.
        step: the kind of step, see above.
        hidden: channels within the couplings' and the splits' networks.
        kernel_size: taps a side of the masked convolutions.
        anchor: of the masked convolutions: "unit" keeps volume, "lu" does not.
        orientations: of InverseConv, taken in turn from step to step.
        coupling: "affine", its log-scale within 2; or "spline", monotone with linear tails.
        spline_activation: whether InverseConv is followed by one.
        actnorm: whether steps have ActNorm.
        activation: of the networks, see `deblur.layers.coupling_net`.
        dequantisation: "uniform" or "variational".
        alpha: of the logit, see `deblur.layers.logit`.
        learned_splits: whether what a split lets go is predicted from what it keeps.
        context_features: K of the context (B, K); 0 for a density without one.

    Raises:
        OptionError: a number below 1, or sides that cannot be halved as often.
    """

    shape: tuple[int, int, int]
    levels: int = 2
    steps: int = 4
    step: Literal["finc", "inverse", "glow", "none"] = "inverse"
    hidden: int = 64
    kernel_size: int = 3
    anchor: Literal["unit", "lu"] = "unit"
    orientations: tuple[str, ...] = ("top_left",)
    coupling: Literal["affine", "spline"] = "affine"
    spline_activation: bool = False
    actnorm: bool = True
    activation: str = "relu"
    dequantisation: Literal["uniform", "variational"] = "uniform"
    alpha: float = 1e-6
    learned_splits: bool = True
    context_features: int = 0

    def __post_init__(self) -> None:
        check_counts(levels=self.levels, steps=self.steps, hidden=self.hidden, kernel_size=self.kernel_size)
        channels, rows, columns = self.shape
        if self.levels > 30:
            raise OptionError(f"expected at most 30 levels, got {self.levels}")
        if channels < 1 or rows < 1 or columns < 1 or rows % 2**self.levels or columns % 2**self.levels:
            raise OptionError(
                f"expected a shape (C, H, W) with sides divisible by 2^levels = {2**self.levels}, got {self.shape}; "
                "crop, or take fewer levels"
            )
        if not self.orientations or self.context_features < 0:
            raise OptionError("expected at least one orientation and no negative number of context features")

    def build(self) -> Flow:
        """Return the model, its parameters drawn from torch's generator."""
        stages, splits, channels = [], [], self.shape[0]
        for level in range(self.levels):
            channels *= 4
            first = [Logit(self.alpha)] if level == 0 else []
            steps = (self._step(channels, index) for index in range(self.steps))
            stages.append(Composition([*first, Squeeze(), *steps]))
            if level < self.levels - 1:
                splits.append(
                    Split(
                        channels,
                        learned=self.learned_splits,
                        hidden=self.hidden,
                        activation=self.activation,
                        context_features=self.context_features,
                    )
                )
                channels -= channels // 2
        return Flow(self.shape, stages, splits, dequantisation=self._dequantisation())

    def _step(self, channels: int, index: int) -> Composition:
        return Composition([*self._mixing(channels, index), self._coupling(channels)])

    def _mixing(self, channels: int, index: int) -> Iterator[Transform]:
        context = self.context_features
        if self.step == "finc":
            yield FIncUnit(channels, self.kernel_size, anchor=self.anchor, context_features=context)
        if self.step == "inverse":
            yield InverseConv(
                channels,
                self.kernel_size,
                orientation=self.orientations[index % len(self.orientations)],
                anchor=self.anchor,
                context_features=context,
            )
            if self.spline_activation:
                yield SplineActivation(channels, context_features=context)
        if self.actnorm:
            yield ActNorm(channels, context_features=context)
        yield ChannelReversal() if self.step == "none" else InvertibleConv1x1(channels, context_features=context)

    def _coupling(self, channels: int) -> Transform:
        kind: type[AffineCoupling | SplineCoupling] = AffineCoupling if self.coupling == "affine" else SplineCoupling
        return kind(channels, hidden=self.hidden, activation=self.activation, context_features=self.context_features)

    def _dequantisation(self) -> nn.Module:
        if self.dequantisation == "uniform":
            return UniformDequantisation()
        return VariationalDequantisation(self.shape[0], hidden=self.hidden, activation=self.activation)
