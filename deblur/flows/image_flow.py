"""The prior of photographs without features beside the image: couplings of halves, and so an exact density.

The noise-conditional flow that `image_prior` is measured against: the same whitening, then K steps of a 1 x 1 and an
affine coupling on 16 channels, one for each of 4 x 4 pixels. Here bits per dim are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from deblur.flows.flow import Flow
from deblur.flows.noise_conditional import SIDE, mixings, noise_features, whitening_of
from deblur.layers.affine_coupling import AffineCoupling
from deblur.layers.composition import Composition
from deblur.layers.squeeze import Squeeze
from deblur.layers.transform import Shape, check_counts
from deblur.noise import LEAST_SIGMA

__all__ = ["ImageFlow", "NoiseConditional"]

_CONTEXT = 3  # log sigma, and its line and parabola


@dataclass(frozen=True, kw_only=True)
class ImageFlow:
    """The settings; those that `ImagePrior` has too mean the same.

    Args:
        steps: K.
        hidden: channels within the couplings' networks.
        whitening: `masked`, `dct` or `none`.
        taps: a side of the whitening's masked convolution.
        inverse_convs: whether an Inverse-Flow layer stands before each 1 x 1.

    Raises:
        OptionError: a number below 1.
    """

    steps: int = 8
    hidden: int = 96
    whitening: Literal["masked", "dct", "none"] = "masked"
    taps: int = 15
    inverse_convs: bool = False

    def __post_init__(self) -> None:
        check_counts(steps=self.steps, hidden=self.hidden, taps=self.taps)

    def build(self) -> NoiseConditional:
        """Return the model, its parameters drawn from torch's generator."""
        layers = [whitening_of(self.whitening, self.taps, _CONTEXT), Squeeze(), Squeeze()]
        for mixing in mixings(self.steps, self.inverse_convs, _CONTEXT):
            layers += [mixing, AffineCoupling(SIDE**2, hidden=self.hidden, context_features=_CONTEXT)]
        return NoiseConditional(Flow((1, 64, 64), [Composition(layers)]))


class NoiseConditional(nn.Module):
    """A flow whose context is a noise level: p(x | sigma), sigma (B,) or (1,) for all images.

    Args:
        flow: of gray images, with the context (log sigma, and what `noise_features` says).

    Example:
        >>> model = ImageFlow(steps=1, hidden=4, taps=3).build()
        >>> model.log_prob(torch.rand(2, 1, 8, 8), torch.tensor([0.1])).shape
        torch.Size([2])
    """

    dequantisation = None

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def log_prob(self, x: Tensor, context: Tensor) -> Tensor:
        """Return log p(x | sigma) (B,) in nats, of x (B, 1, H, W) with the noise, sides multiples of 4."""
        return self.flow.log_prob(x, _told(context))

    def bound(self, x: Tensor, context: Tensor) -> Tensor:
        """Return `log_prob`: it is exact."""
        return self.log_prob(x, context)

    def initialise(self, x: Tensor, context: Tensor) -> None:
        """Set the parameters that are set from data from a batch; call it once, before training."""
        self.flow.initialise(x, _told(context))

    def sample(
        self,
        n: int,
        shape: Shape | None = None,
        temperature: float = 1.0,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw n noisy images (n, 1, H, W); arguments and errors as for `Flow.sample`, sigma 1/255 without context."""
        sigma = next(self.parameters()).new_full((1,), LEAST_SIGMA) if context is None else context
        return self.flow.sample(n, shape, temperature, _told(sigma).expand(n, -1), generator)


def _told(sigma: Tensor) -> Tensor:
    return torch.cat((sigma.log()[:, None], noise_features(sigma)), 1)
