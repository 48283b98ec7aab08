"""The learned prior: a normalizing flow's score is a denoiser, and the denoiser is the prior's step of a splitting."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from deblur.errors import FileError, OptionError
from deblur.flows import checkpoint
from deblur.flows.image_flow import NoiseConditional
from deblur.flows.image_prior import ImagePriorFlow
from deblur.flows.noise_conditional import SIDE, denoise
from deblur.layers.masked_whitening import MEAN
from deblur.noise import LEAST_SIGMA, MOST_SIGMA
from deblur.restoration import opponent
from deblur.restoration.priors.splitting import Level, SplittingPrior
from deblur.restoration.restorer import check_positive
from deblur.restoration.symbols import Symbol
from deblur.restoration.tiles import cut

__all__ = ["FlowPrior", "denoised"]

PHOTOGRAPHS = Path(str(resources.files("deblur.flows") / "photographs.pt"))
"""The prior that comes with the package (`docs/prior.md` says how it is made)."""

NEARLY = 20 / 255
"""How far a scene is from right that another prior has restored: the first level from there on."""

_RANGE = (-0.5, 1.5)  # noisy photographs' values, about
_FARTHEST = 8  # sigmas that noise moves a pixel by, at most
_TILE = 768  # memory stays that of one tile
_OVERLAP = 32  # leaves a hundredth of sigma of seams where a tile starts on the 4 x 4 grid; else it is as if shifted


@dataclass(frozen=True, kw_only=True)
class FlowPrior(SplittingPrior):
    """Minimise ||W (K x - y)||^2 / (2 sigma^2) - weight * log p(x), p a flow's density of photographs.

    With F the identity, z = prox(x) is what a denoiser does (Venkatakrishnan et al. 2013), and the flow has the best
    one for its density: by Tweedie's formula x + s^2 d log p(x | s) / dx is the mean of what x was before noise of
    standard deviation s. The levels s run from `first` down to `last` times the problem's sigma, evenly in the
    logarithm, and the quadratic step is coupled to z by q = weight * sigma^2 / s^2 (Zhang et al., "Plug-and-play image
    restoration with deep denoiser prior", 2021, has the schedule). That step lets white noise through where the blur's
    gain is near sqrt(q), with a density of at most s^2 / (4 weight): a weight of a quarter is the least that leaves no
    more than the next level takes for noise, if the noise is what it is said to be.

    The flow is of gray images. Colours are taken apart into their mean and two differences, which keeps white noise
    white; each is denoised as a gray image by itself. What squeezing 4 x 4 pixels favours is averaged out by a shift
    of the frame from level to level.

    Args:
        file: a checkpoint of `deblur train-prior`; empty for the one that comes with the package.
        steps: levels.
        first: the largest s, full scale 1.
        last: the smallest s, in units of the problem's sigma.
        weight: of the prior; larger is smoother.

    Raises:
        OptionError: a setting out of its range.
        FileError: the file cannot be read, or is not of a prior that knows the noise.

    Example:
        >>> [round(255 * level.penalty, 1) for level in FlowPrior(steps=3, first=0.2, last=1).schedule(0.01)]
        [51.0, 11.4, 2.6]
    """

    learned: ClassVar[bool] = True
    opponent: ClassVar[bool] = False
    effort: ClassVar[float] = 500.0

    file: str = ""
    steps: int = 24
    first: float = 100 / 255
    last: float = 1.0
    weight: float = 0.3

    def __post_init__(self) -> None:
        check_positive(steps=self.steps, first=self.first, last=self.last, weight=self.weight)
        if self.first > 1:
            raise OptionError(f"expected first in (0, 1], a share of full scale, got {self.first}")
        if self.file:
            _load(self.file, torch.device("cpu"))

    @property
    def symbol(self) -> Symbol:
        """1: the filter is the identity."""
        return _one

    def schedule(self, sigma: float) -> list[Level]:
        """The levels; their penalty is s."""
        least = self.last * sigma
        levels = np.geomspace(max(self.first, least), least, self.steps).tolist()
        return [Level(q=self.weight * (sigma / s) ** 2, penalty=s, index=i) for i, s in enumerate(levels)]

    def warm(self, steps: int) -> FlowPrior:
        """Levels from NEARLY on, if not from a lower one."""
        return replace(self, steps=steps, first=min(self.first, NEARLY))

    def pull(self, image: Tensor, level: Level) -> Tensor:
        """The denoised image (C, H, W) less the image."""
        down, right = (int(n) for n in np.random.default_rng(level.index).integers(0, SIDE, 2))
        shifted = torch.roll(image, (down, right), (-2, -1))
        return torch.roll(denoised(shifted, level.penalty, self.file), (-down, -right), (-2, -1)).sub_(image)


def denoised(image: Tensor, sigma: float, file: str = "", on_tile: Callable[[int, int], None] | None = None) -> Tensor:
    """Remove white noise of standard deviation sigma from an image (C, H, W), 1, 2, 3 or more channels, by a flow.

    Three channels are taken as red, green and blue, and as said in `FlowPrior`; others each by itself.

    Args:
        image: full scale 1.
        sigma: above 0; what lies beyond the levels that a prior is trained for is led back to them (`_step`).
        file: as for `FlowPrior`.
        on_tile: told how many tiles are done, and of how many.

    Raises:
        FileError: the checkpoint cannot be read, or is not of a prior that knows the noise.

    Example:
        >>> denoised(torch.full((3, 10, 12), 0.5), 0.1).shape
        torch.Size([3, 10, 12])
    """
    model = _load(file, image.device)
    rotation, offset, scale = _basis(image.float())
    planes = torch.einsum("pc,chw->phw", rotation, image.float()) * scale[:, None, None] + offset[:, None, None]
    result = torch.zeros_like(planes)
    tiles = cut((planes.shape[-2], planes.shape[-1]), _TILE, _OVERLAP)
    for done, tile in enumerate(tiles, 1):
        part = tile.take(planes)
        height, width = part.shape[-2:]
        padded = F.pad(part[:, None], (0, -width % SIDE, 0, -height % SIDE), mode="replicate")
        each = [
            _step(model, plane[None], sigma * float(factor))[0, :, :height, :width]
            for plane, factor in zip(padded, scale, strict=True)
        ]
        tile.add(result, torch.cat(each))
        if on_tile is not None:
            on_tile(done, len(tiles))
    result = (result - offset[:, None, None]) / scale[:, None, None]
    return torch.einsum("pc,phw->chw", rotation, result).to(image.dtype)


def _step(model: Any, plane: Tensor, sigma: float) -> Tensor:
    """One denoised plane (1, 1, H, W).

    The prior was trained for noise from LEAST_SIGMA to MOST_SIGMA. Above that, the plane is scaled down until its noise
    fits, denoised and scaled back. Below, the score at LEAST_SIGMA is used, times sigma^2 (Tweedie). Values outside
    `_RANGE` are clamped for the network, and their excess is added back. The change of a pixel is limited to
    `_FARTHEST` sigma, because the network may fail on patterns that it has not seen.
    """
    level = min(max(sigma, LEAST_SIGMA), MOST_SIGMA)
    gain, share = min(1.0, MOST_SIGMA / sigma), min(1.0, sigma / level) ** 2
    known = (gain * plane).clamp(*_RANGE)
    farthest = _FARTHEST * level
    step = (denoise(model, known, plane.new_tensor([level]))[0] - known).clamp(-farthest, farthest) / gain
    return plane + share * step


def _basis(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of a rotation of the channels, and the offset and scale that make each plane look like a gray image."""
    if len(image) != 3:
        one = image.new_ones(len(image))
        return torch.diag(one), torch.zeros_like(one), one
    scale = image.new_tensor([math.sqrt(1 / 3), 1, 1])  # the mean of the channels has the range of one
    return opponent.rotation(image), image.new_tensor([0, MEAN, MEAN]), scale


def _one(w1: Tensor, w2: Tensor) -> Tensor:
    return torch.ones_like(w1 + w2)


def _load(file: str, device: torch.device) -> Any:
    """The model in a file, read again where the file has changed."""
    path = Path(file) if file else PHOTOGRAPHS
    return _read(path, path.stat().st_mtime_ns if path.is_file() else 0, device)


@lru_cache(maxsize=2)
def _read(path: Path, changed: int, device: torch.device) -> Any:
    read = checkpoint.load(path, device)
    if not isinstance(read.model, ImagePriorFlow | NoiseConditional):
        kind = read.config["architecture"]
        raise FileError(f"{path}: expected a prior that knows the noise (image_prior, image_flow), found {kind}")
    return read.model.requires_grad_(False)
