"""A flow: stages of layers, splits between them, and a standard normal for all that comes out.

    x -> stage 1 -> split -> stage 2 -> split -> ... -> stage L -> last latent
                      |                   |
                    latent 1            latent 2

Every latent is a standard normal (a split standardises what it lets go, see `deblur.layers.split`), so

    log p(x) = sum of log N(latent; 0, I) + sum of log_det      (nats)

Units. Pixels are fractions of full scale: log_prob is that of a density on [0, 1]^D. Stored levels are dequantised to
v = (k + u) / 256, and a level's probability is p(v) times the cell's volume 256^-D:

    bits per dim = -log p(v) / (D log 2) + 8
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from deblur.errors import DtypeError, OptionError, ShapeError
from deblur.layers import Split, Transform
from deblur.layers.actnorm import ActNorm
from deblur.layers.dequantisation import LEVELS
from deblur.layers.transform import Shape

__all__ = ["Flow", "bits_per_dim"]


def bits_per_dim(log_prob: Tensor, dimensions: int) -> Tensor:
    """Return -log_prob / (D log 2) + 8: what one of the D values of 8-bit pixels costs in bits.

    Args:
        log_prob: (B,) in nats, of pixels in [0, 1].
        dimensions: D = C * H * W.

    Example:
        >>> import torch
        >>> bits_per_dim(torch.zeros(1), 12)  # a uniform density: every level alike
        tensor([8.])
    """
    return -log_prob / (dimensions * math.log(2)) + math.log2(LEVELS)


class Flow(nn.Module):
    """A density of images (B, C, H, W) with exact values and samples.

    Args:
        shape: (C, H, W) of the images it is trained on; other sizes are taken where the layers take them.
        stages: L transforms, one a scale.
        splits: L - 1, one between each stage and the next.
        dequantisation: What makes uint8 pixels continuous; without one only float pixels are taken.

    Raises:
        OptionError: Numbers of stages and splits that do not fit.

    Example:
        >>> import torch
        >>> from deblur.layers.actnorm import ActNorm
        >>> flow = Flow((1, 4, 4), [ActNorm(1)])
        >>> flow.log_prob(torch.zeros(2, 1, 4, 4))  # 16 standard normals at 0: -8 log(2 pi)
        tensor([-14.7030, -14.7030], grad_fn=<SubBackward0>)
        >>> flow.sample(3, temperature=0.5).shape
        torch.Size([3, 1, 4, 4])
    """

    def __init__(
        self,
        shape: Shape,
        stages: Iterable[Transform],
        splits: Iterable[Split] = (),
        *,
        dequantisation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.stages = nn.ModuleList(stages)
        self.splits = nn.ModuleList(splits)
        self.dequantisation = dequantisation
        if len(self.splits) != len(self.stages) - 1:
            raise OptionError(
                f"expected a split between each two of {len(self.stages)} stages, got {len(self.splits)} splits"
            )

    def forward(self, x: Tensor, context: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Return `bits_per_dim`, the loss of training; as `forward` it works within wrappers of modules such as DDP."""
        return self.bits_per_dim(x, context, generator)

    def bits_per_dim(
        self, x: Tensor, context: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return -log_prob / (D log 2) + 8 (B,).

        Args:
            x: (B, C, H, W). uint8 is dequantised, which makes this an upper bound, noisy by its noise; floats are
                continuous pixels in [0, 1] and taken as they are.
            context: (B, K), for models that are conditioned.
            generator: Of the dequantisation's noise.

        Raises:
            DtypeError: uint8 pixels and no dequantisation, or another integer type.
            ShapeError: Not of this model's channels.
        """
        x, more = self._dequantised(x, generator)
        return bits_per_dim(self.log_prob(x, context) + more, x[0].numel())

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the log-density (B,) in nats of continuous pixels x (B, C, H, W) in [0, 1]."""
        latents, log_det = self.encode(x, context)
        for latent in latents:
            log_det = log_det - (0.5 * latent.square() + 0.5 * math.log(2 * math.pi)).sum((1, 2, 3))
        return log_det

    def bound(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return a lower bound of log_prob (B,): itself here; less where a model has variables beside the image."""
        return self.log_prob(x, context)

    def encode(self, x: Tensor, context: Tensor | None = None) -> tuple[list[Tensor], Tensor]:
        """Return the latents, one from each split and the last, and the log-determinant (B,) of the map to them."""
        self._check(x)
        x, log_det = self._stages[0](x, context)
        latents = []
        for split, stage in zip(self._splits, self._stages[1:], strict=True):
            x, latent, more = split(x, context)
            latents.append(latent)
            log_det = log_det + more
            x, more = stage(x, context)
            log_det = log_det + more
        return [*latents, x], log_det

    def decode(self, latents: Sequence[Tensor], context: Tensor | None = None) -> Tensor:
        """Return the x (B, C, H, W) that `encode` would give these latents."""
        x = latents[-1]
        for stage, split, latent in zip(self._stages[:0:-1], self._splits[::-1], latents[-2::-1], strict=True):
            x = split.inverse(stage.inverse(x, context), latent, context)
        return self._stages[0].inverse(x, context)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        shape: Shape | None = None,
        temperature: float = 1.0,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw n images (n, C, H, W), pixels in fractions of full scale.

        Args:
            n: Number of images, at least 1.
            shape: (C, H, W) of the images; `self.shape` by default.
            temperature: Factor of the latents' standard deviation, at least 0; below 1 images are likelier and more
                alike.
            context: (n, K), for models that are conditioned.
            generator: Of the random numbers, on the model's device.

        Raises:
            OptionError: n below 1, or a negative or undefined temperature.
        """
        if n < 1:
            raise OptionError(f"expected at least 1 sample, got {n}")
        if not (temperature >= 0 and math.isfinite(temperature)):
            raise OptionError(f"expected a temperature of at least 0, got {temperature}; 1 samples the density itself")
        like = next(self.parameters())
        latents = [
            temperature * torch.randn((n, *one), generator=generator, dtype=like.dtype, device=like.device)
            for one in self.latent_shapes(shape or self.shape)
        ]
        return self.decode(latents, context)

    def latent_shapes(self, shape: Shape) -> list[Shape]:
        """Return the shapes of the latents of images of this shape, in the order of `encode`."""
        shape = self._stages[0].output_shape(shape)
        shapes = []
        for split, stage in zip(self._splits, self._stages[1:], strict=True):
            shape, latent = split.output_shapes(shape)
            shapes.append(latent)
            shape = stage.output_shape(shape)
        return [*shapes, shape]

    @property
    def initialised(self) -> bool:
        """Whether every ActNorm was set from data; True where there is none."""
        return all(bool(module.initialised) for module in self.modules() if isinstance(module, ActNorm))

    @torch.no_grad()
    def initialise(self, x: Tensor, context: Tensor | None = None, generator: torch.Generator | None = None) -> None:
        """Set the parameters that are set from data (ActNorm) from a batch, once, before training.

        The batch is one that `bits_per_dim` takes.
        """
        x, _ = self._dequantised(x, generator)
        x = self._stages[0].initialise(x, context)
        for split, stage in zip(self._splits, self._stages[1:], strict=True):
            kept, _, _ = split(x, context)
            x = stage.initialise(kept, context)

    def _dequantised(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Return continuous pixels, of the model's type where they were uint8, and -log q of their noise (B,)."""
        self._check(x)
        if x.is_floating_point():
            return x, x.new_zeros(len(x))
        if self.dequantisation is None:
            raise DtypeError(f"this model takes float pixels in [0, 1], got {x.dtype}; divide by full scale")
        x, log_det = self.dequantisation(x, generator)
        return x.to(next(self.parameters()).dtype), log_det

    @property
    def _stages(self) -> list[Transform]:
        return cast("list[Transform]", list(self.stages))

    @property
    def _splits(self) -> list[Split]:
        return cast("list[Split]", list(self.splits))

    def _check(self, x: Tensor) -> None:
        if x.dim() != 4 or x.shape[1] != self.shape[0]:
            raise ShapeError(f"expected images (B, {self.shape[0]}, H, W), got {tuple(x.shape)}")
