"""The layers of flows: invertible maps of images with their log-determinants.

    Transform       what every layer is; `TRANSFORMS` has them by the names that configurations use
    Split           hands half of the channels over to the latents
    UniformDequantisation, VariationalDequantisation        make integer pixels continuous

Example:
    >>> import torch
    >>> from deblur.layers import InverseConv
    >>> layer = InverseConv(3, kernel_size=3, orientation="top_right")
    >>> x = torch.randn(1, 3, 16, 16)
    >>> z, log_det = layer(x)
    >>> torch.allclose(layer.inverse(z), x, atol=1e-5)
    True
"""

from __future__ import annotations

from deblur.layers.actnorm import ActNorm
from deblur.layers.affine_coupling import AffineCoupling
from deblur.layers.composition import Composition
from deblur.layers.dct_whitening import DCTWhitening
from deblur.layers.dequantisation import UniformDequantisation, VariationalDequantisation
from deblur.layers.feature_coupling import FeatureCoupling
from deblur.layers.finc_unit import FIncUnit
from deblur.layers.inverse_conv import InverseConv
from deblur.layers.invertible_conv1x1 import InvertibleConv1x1
from deblur.layers.logit import Logit
from deblur.layers.masked_conv import MaskedConv
from deblur.layers.masked_whitening import MaskedWhitening
from deblur.layers.reversal import ChannelReversal
from deblur.layers.spline_activation import SplineActivation
from deblur.layers.spline_coupling import SplineCoupling
from deblur.layers.split import Split
from deblur.layers.squeeze import Squeeze
from deblur.layers.transform import Transform

__all__ = [
    "TRANSFORMS",
    "ActNorm",
    "AffineCoupling",
    "ChannelReversal",
    "Composition",
    "DCTWhitening",
    "FIncUnit",
    "FeatureCoupling",
    "InverseConv",
    "InvertibleConv1x1",
    "Logit",
    "MaskedConv",
    "MaskedWhitening",
    "SplineActivation",
    "SplineCoupling",
    "Split",
    "Squeeze",
    "Transform",
    "UniformDequantisation",
    "VariationalDequantisation",
]

TRANSFORMS: dict[str, type[Transform]] = {
    "actnorm": ActNorm,
    "affine_coupling": AffineCoupling,
    "channel_reversal": ChannelReversal,
    "composition": Composition,
    "dct_whitening": DCTWhitening,
    "feature_coupling": FeatureCoupling,
    "finc_unit": FIncUnit,
    "inverse_conv": InverseConv,
    "invertible_conv1x1": InvertibleConv1x1,
    "logit": Logit,
    "masked_conv": MaskedConv,
    "masked_whitening": MaskedWhitening,
    "spline_activation": SplineActivation,
    "spline_coupling": SplineCoupling,
    "squeeze": Squeeze,
}
"""The layers by name."""
