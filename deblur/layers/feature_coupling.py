"""The feature coupling: an image and a set of features beside it, each of which says what happens to the other.

    features' = features + up(image)                                       volume is kept
    image'    = image * exp(log_scale(features')) + shift(features')

A coupling of halves lets one half of the channels look only at the other. Here the image as a whole is read into
features, as wide as one likes, and then changed by what they hold, which was read from the pixel itself as well: a
residual network that can be undone, with the features as its memory from step to step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from deblur.errors import OptionError
from deblur.layers.affine_coupling import bounded
from deblur.layers.transform import Conditioning, Transform

__all__ = ["FeatureCoupling"]


class FeatureCoupling(Transform):
    """One step of an augmented flow on (B, channels + features, H, W): the image's channels, then the features.

    `up` is a 3 x 3 convolution; `log_scale` and `shift` are ReLU, 1 x 1, ReLU, 3 x 3, the last zero at first, so that
    the image starts unchanged; |log_scale| < 2.

    Args:
        channels: of the image.
        features: beside it.
        context_features: K of the context, to which the offsets before each ReLU are linear.

    Raises:
        OptionError: no channel or no feature.

    Reference: Huang, Dinh and Courville, "Augmented normalizing flows", arXiv:2002.07101; Chen et al., "VFlow",
    arXiv:2002.09741.

    Example:
        >>> layer = FeatureCoupling(2, 8)
        >>> x = torch.randn(1, 10, 5, 5)
        >>> z, log_det = layer(x)
        >>> torch.allclose(layer.inverse(z), x, atol=1e-5)
        True
    """

    def __init__(self, channels: int, features: int, *, context_features: int = 0) -> None:
        super().__init__()
        if channels < 1 or features < 1:
            raise OptionError(f"expected at least one channel and one feature, got {channels} and {features}")
        self.sizes = [channels, features]
        self.up = nn.Conv2d(channels, features, 3, padding=1)
        self.within = nn.Conv2d(features, features, 1)
        self.down = nn.Conv2d(features, 2 * channels, 3, padding=1)
        self.conditioning = Conditioning(context_features, 2 * features)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return image' and features' in one, and the sum of the log-scales."""
        image, features = torch.split(x, self.sizes, 1)
        image, features, log_det = self.couple(image, features, context)
        return torch.cat((image, features), 1), log_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Undo it: the image by what the features say, then the features by what the image says."""
        image, features = torch.split(z, self.sizes, 1)
        first, second = self._offsets(image, context)
        shift, log_scale = self._read(features, second)
        image = (image - shift) * (-log_scale).exp()
        return torch.cat((image, features - self.up(image) - first), 1)

    def couple(self, image: Tensor, features: Tensor | None, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return image', features' and the log-determinant (B,), for parts that are kept apart; None: features of 0."""
        first, second = self._offsets(image, context)
        read = self.up(image) + first
        features = read if features is None else features + read
        shift, log_scale = self._read(features, second)
        return image * log_scale.exp() + shift, features, log_scale.sum((1, 2, 3))

    def _offsets(self, like: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        first, second = self.conditioning(context, like)[..., None, None].chunk(2, 1)
        return first, second

    def _read(self, features: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        hidden = F.relu(self.within(F.relu(features)) + offset)
        shift, h = self.down(hidden).chunk(2, 1)
        return shift, bounded(h)
