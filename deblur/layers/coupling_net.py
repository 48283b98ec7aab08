"""The network inside couplings and splits: it reads one part of the channels to say what happens to the other."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from deblur.errors import OptionError, did_you_mean
from deblur.layers.transform import Conditioning

__all__ = ["ACTIVATIONS", "CouplingNet", "halves"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
}


def halves(channels: int) -> list[int]:
    """Return how many channels are read and how many are changed: half of them, one more is read where C is odd.

    Raises:
        OptionError: Fewer than two channels.
    """
    if channels < 2:
        raise OptionError(f"expected at least 2 channels for a coupling or split, got {channels}; squeeze first")
    return [channels - channels // 2, channels // 2]


class CouplingNet(nn.Module):
    """3 x 3 convolution, activation, 1 x 1, activation, 3 x 3; the last one starts at zero and so does its result.

    Args:
        inputs: Channels it reads.
        hidden: Channels within.
        outputs: Channels it gives.
        activation: A name in `ACTIVATIONS`; a smooth one where second derivatives are needed.
        context_features: K of the context, which adds to the first convolution's offset.

    Raises:
        OptionError: An unknown activation.
    """

    def __init__(
        self, inputs: int, hidden: int, outputs: int, *, activation: str = "relu", context_features: int = 0
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise OptionError(f"unknown activation {activation!r}{did_you_mean(activation, ACTIVATIONS)}")
        self.activation = ACTIVATIONS[activation]
        self.first = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.second = nn.Conv2d(hidden, hidden, 1)
        self.last = nn.Conv2d(hidden, outputs, 3, padding=1)
        self.conditioning = Conditioning(context_features, hidden)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Map x (B, inputs, H, W) to (B, outputs, H, W)."""
        h = self.first(x) + self.conditioning(context, x)[..., None, None]
        result: Tensor = self.last(self.activation(self.second(self.activation(h))))
        return result
