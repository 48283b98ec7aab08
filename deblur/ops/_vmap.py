"""What `torch.vmap` does with the operations: it puts the mapped dimension into the batch or into the groups.

So a mapped call is one call of the same operation, with all its threads, and never a loop.
"""

# mypy: allow-untyped-calls
# (Tensor.unflatten has no types)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from deblur.ops._register import geometry_of

__all__ = ["map_images", "map_weight_grad"]


def _in_front(tensor: torch.Tensor, dim: int | None, size: int) -> torch.Tensor:
    """Bring the mapped dimension to the front; a tensor without one is repeated."""
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def _into_channels(image: torch.Tensor) -> torch.Tensor:
    """(V, B, C, H, W) -> (B, V * C, H, W)."""
    return image.transpose(0, 1).flatten(1, 2)


def map_images(operation: Callable[..., torch.Tensor]) -> Callable[..., tuple[torch.Tensor, int]]:
    """Return the rule of an operation on (image, weight, geometry, ...), laid flat.

    If the weight is shared, the copies become further images of the batch; if each has its own, further groups.
    """

    def rule(
        info: Any, in_dims: tuple[int | None, ...], image: torch.Tensor, weight: torch.Tensor, *flat: Any
    ) -> tuple[torch.Tensor, int]:
        size, geometry, options = info.batch_size, geometry_of(flat[:5]), flat[5:]
        images = _in_front(image, in_dims[0], size)
        if in_dims[1] is None:
            result = operation(images.flatten(0, 1), weight, geometry, *options)
            return result.unflatten(0, (size, images.shape[1])), 0
        weights = _in_front(weight, in_dims[1], size).flatten(0, 1)
        geometry = geometry._replace(groups=geometry.groups * size)
        result = operation(_into_channels(images), weights, geometry, *options)
        return result.unflatten(1, (size, images.shape[2])), 1

    return rule


def map_weight_grad(operation: Callable[..., torch.Tensor]) -> Callable[..., tuple[torch.Tensor, int]]:
    """Return the rule of the weight gradient.

    Each copy has a gradient of its own, so the copies become further groups.
    """

    def rule(
        info: Any,
        in_dims: tuple[int | None, ...],
        grad: torch.Tensor,
        image: torch.Tensor,
        kernel_size: list[int],
        *flat: Any,
    ) -> tuple[torch.Tensor, int]:
        size, geometry = info.batch_size, geometry_of(flat)
        grads, images = _in_front(grad, in_dims[0], size), _in_front(image, in_dims[1], size)
        geometry = geometry._replace(groups=geometry.groups * size)
        result = operation(_into_channels(grads), _into_channels(images), kernel_size, geometry)
        return result.unflatten(0, (size, images.shape[2])), 0

    return rule
