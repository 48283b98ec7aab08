"""The prior of photographs that restoration uses: a density at every noise level, whose score is a denoiser.

For pixels x that carry white noise of standard deviation sigma, p(x | sigma) is an augmented flow. Beside the image
stand features e, standard normal and independent of it; the flow maps both together to a standard normal:

    x -> whitening -> 4 x 4 pixels to 16 channels \\
                                                   K x [1 x 1 on the image, feature coupling] -> 1 x 1, ActNorm
    e (features at a quarter of the resolution)   /

`log_prob` is log q(x, e | sigma) - log N(e; 0, I), which for a given e is the density of the image given the features,
up to a factor, because the flow does not know exactly that the two are independent; its mean over e bounds log p(x |
sigma) from below (`bound`). Restoration takes e = 0, the features' mode: the score is then deterministic, and the
denoiser by Tweedie's formula (`noise_conditional.denoise`) x + sigma^2 d log q(x, 0 | sigma) / dx.

Why augmented: a coupling of halves lets one half of the channels look at the other only
(`docs/experiments/prior-parts.md` compares).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from deblur.errors import OptionError, ShapeError
from deblur.flows.noise_conditional import SIDE, mixings, noise_features, whitening_of
from deblur.layers.actnorm import ActNorm
from deblur.layers.feature_coupling import FeatureCoupling
from deblur.layers.transform import Shape, Transform, check_counts
from deblur.noise import LEAST_SIGMA

__all__ = ["ImagePrior", "ImagePriorFlow"]

_CONTEXT = 2


@dataclass(frozen=True, kw_only=True)
class ImagePrior:
    """The settings of the prior.

    Args:
        steps: K.
        features: channels beside the image, at a quarter of its resolution.
        whitening: `masked`, four masked convolutions; `dct`, the cosine transform of the whole frame; or `none`, a
            mean and a scale.
        taps: a side of the whitening's masked convolution.
        inverse_convs: whether an Inverse-Flow layer of 3 x 3 taps, its corner turning from step to step, stands before
            each 1 x 1.

    Raises:
        OptionError: a number below 1.
    """

    steps: int = 8
    features: int = 128
    whitening: Literal["masked", "dct", "none"] = "masked"
    taps: int = 15
    inverse_convs: bool = False

    def __post_init__(self) -> None:
        check_counts(steps=self.steps, features=self.features, taps=self.taps)

    def build(self) -> ImagePriorFlow:
        """Return the model, its parameters drawn from torch's generator."""
        mixing = list(mixings(self.steps + 1, self.inverse_convs, _CONTEXT))
        couplings = [FeatureCoupling(SIDE**2, self.features, context_features=_CONTEXT) for _ in range(self.steps)]
        return ImagePriorFlow(whitening_of(self.whitening, self.taps, 1), mixing, couplings)


class ImagePriorFlow(nn.Module):
    """p(x | sigma) for gray images x (B, 1, H, W) in [0, 1] plus noise; sides are multiples of 4.

    Args:
        whitening: of one channel, told log sigma.
        mixing: of the 16 channels, before each coupling and after the last.
        couplings: of the 16 channels and the features.

    Example:
        >>> model = ImagePrior(steps=1, features=4, taps=3).build()
        >>> sigma = torch.tensor([0.1])
        >>> model.log_prob(torch.rand(2, 1, 8, 8), sigma).shape
        torch.Size([2])
        >>> model.sample(2, (1, 8, 12), context=sigma).shape
        torch.Size([2, 1, 8, 12])
    """

    dequantisation = None

    def __init__(self, whitening: Transform, mixing: Sequence[Transform], couplings: Sequence[FeatureCoupling]) -> None:
        super().__init__()
        self.features = couplings[0].sizes[1]
        self.whitening = whitening
        self.mixing = nn.ModuleList(mixing)
        self.couplings = nn.ModuleList(couplings)
        self.features_norm = ActNorm(self.features, context_features=_CONTEXT)

    def log_prob(self, x: Tensor, context: Tensor, features: Tensor | None = None) -> Tensor:
        """Return log q(x, e | sigma) - log N(e; 0, I), in nats, (B,).

        Args:
            x: (B, 1, H, W), the noise included.
            context: sigma, (B,) or (1,) for one of all images, full scale 1.
            features: e, (B, features, H / 4, W / 4); zeros by default.

        Raises:
            ShapeError: Sides that are no multiples of 4, more channels than one, or another number of sigmas.
        """
        image, latent, log_det = self.encode(x, context, features)
        energy = image.square().flatten(1).sum(1) + latent.square().flatten(1).sum(1)
        if features is not None:
            energy = energy - features.square().flatten(1).sum(1)
        return log_det - 0.5 * energy - 0.5 * math.log(2 * math.pi) * x[0].numel()

    def bound(self, x: Tensor, context: Tensor) -> Tensor:
        """Return `log_prob` with features drawn from torch's generator: its mean is below log p(x | sigma), (B,)."""
        return self.log_prob(x, context, self._draw(x))

    @torch.no_grad()
    def initialise(self, x: Tensor, context: Tensor) -> None:
        """Set the parameters that are set from data (ActNorm) from a batch; call it once, before training."""
        self.whitening.initialise(x, context.log()[:, None])
        body = noise_features(context)
        _, features, _ = self._couple(*self._squeezed(x, context), body, self._draw(x))
        self.features_norm.initialise(features, body)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        shape: Shape = (1, 64, 64),
        temperature: float = 1.0,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw n noisy images (n, 1, H, W).

        Args:
            n: number of images, at least 1.
            shape: (1, H, W).
            temperature: factor of the latents' standard deviation, at least 0.
            context: sigma, (n,) or (1,); 1/255 by default.
            generator: on the model's device.

        Raises:
            OptionError: n below 1, or a negative or undefined temperature.
            ShapeError: sides that are no multiples of 4.
        """
        if shape[1] % SIDE or shape[2] % SIDE or 0 in shape:
            raise ShapeError(f"expected sides that {SIDE} divides, got {shape[1]} x {shape[2]}; take larger ones")
        if n < 1 or not (temperature >= 0 and math.isfinite(temperature)):
            raise OptionError(f"expected n of 1 or more and a temperature of 0 or more, got {n} and {temperature}")
        like = next(self.parameters())
        sigma = like.new_full((1,), LEAST_SIGMA) if context is None else context
        latents = [
            temperature * torch.randn(size, generator=generator, dtype=like.dtype, device=like.device)
            for size in self._sizes(n, shape[1], shape[2])
        ]
        return self.decode(latents[0], latents[1], sigma)[0]

    def encode(self, x: Tensor, context: Tensor, features: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the latents of the image and of the features, and log_det (B,); arguments as for `log_prob`."""
        image, log_det = self._squeezed(x, context)
        body = noise_features(context)
        image, features, more = self._couple(image, log_det, body, features)
        image, mixed = self.mixing[-1](image, body)
        latent, normed = self.features_norm(features, body)
        return image, latent, more + mixed + normed

    def decode(self, image: Tensor, features: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return the x and the features that `encode` would give these latents."""
        body = noise_features(context)
        features = self.features_norm.inverse(features, body)
        mixing = cast("list[Transform]", list(self.mixing))
        couplings = cast("list[FeatureCoupling]", list(self.couplings))
        image = mixing[-1].inverse(image, body)
        for mix, coupling in zip(mixing[-2::-1], couplings[::-1], strict=True):
            both = coupling.inverse(torch.cat((image, features), 1), body)
            image, features = torch.split(both, coupling.sizes, 1)
            image = mix.inverse(image, body)
        return self.whitening.inverse(F.pixel_shuffle(image, SIDE), context.log()[:, None]), features

    def _squeezed(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return the whitened image as 16 channels, and log_det (B,)."""
        if x.dim() != 4 or x.shape[1] != 1 or x.shape[2] % SIDE or x.shape[3] % SIDE or 0 in x.shape:
            raise ShapeError(
                f"expected gray images (B, 1, H, W) of sides that 4 divides, got {tuple(x.shape)}; pad them"
            )
        if sigma.dim() != 1 or len(sigma) not in (1, len(x)):
            raise ShapeError(f"expected a sigma for all images or each of {len(x)}, got {tuple(sigma.shape)}")
        white, log_det = self.whitening(x, sigma.log()[:, None])
        return F.pixel_unshuffle(white, SIDE), log_det

    def _couple(
        self, image: Tensor, log_det: Tensor, body: Tensor, features: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        for mix, coupling in zip(self.mixing, cast("list[FeatureCoupling]", list(self.couplings)), strict=False):
            image, mixed = mix(image, body)
            image, features, coupled = coupling.couple(image, features, body)
            log_det = log_det + mixed + coupled
        return image, cast(Tensor, features), log_det

    def _draw(self, x: Tensor) -> Tensor:
        size = self._sizes(len(x), x.shape[2], x.shape[3])[1]
        return torch.randn(size, dtype=x.dtype, device=x.device)

    def _sizes(self, n: int, height: int, width: int) -> list[tuple[int, int, int, int]]:
        """Shapes of the latents of the image and of the features."""
        return [(n, channels, height // SIDE, width // SIDE) for channels in (SIDE**2, self.features)]
