"""The short way of a small call: what has to be known of torch before one may take it.

A call that nobody watches or differentiates can go straight to its kernels, in half the time of the way through torch's
dispatcher. Whether somebody does, torch tells by private names only, and a release may drop any of them; so they stand
here and nowhere else in `deblur.ops`. Where one is missing, `MISSING` says which, and every call takes the long way,
through a `torch.autograd.Function`: the results are the same, a small call takes some times as long.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch.autograd import forward_ad

__all__ = ["MISSING", "below_autograd", "is_plain", "is_transformed"]

#: One sentence that says why every call takes the long way; None where none has to.
MISSING: str | None = None

try:
    from torch._C import (
        DispatchKeySet,
        _are_functorch_transforms_active,
        _AutoDispatchBelowAutograd,
        _dispatch_keys,
        _get_tracing_state,
        _len_torch_dispatch_stack,
        _len_torch_function_stack,
    )
    from torch._C._autograd import _profiler_enabled

    _ = DispatchKeySet.raw_repr, forward_ad._current_level
except (AttributeError, ImportError) as error:
    MISSING = f"torch {torch.__version__} lacks a private name, so small calls of deblur.ops take longer: {error}"

_PLAIN_TYPES = (torch.Tensor, torch.nn.Parameter)


def _keys(tensor: torch.Tensor) -> int:
    keys: int = _dispatch_keys(tensor).raw_repr()
    return keys


def _plain_keys() -> frozenset[int]:
    """Return the dispatch keys of an ordinary strided CPU tensor, made outside and inside of inference mode."""
    with torch.inference_mode():
        inference = _keys(torch.empty(0))
    return frozenset((inference, _keys(torch.empty(0, device="cpu"))))


_PLAIN_KEYS = frozenset[int]() if MISSING else _plain_keys()


def is_transformed() -> bool:
    """Say whether forward mode or a transform of `torch.func` is, or may be, at work: `torch.library` knows neither."""
    return MISSING is not None or forward_ad._current_level >= 0 or _are_functorch_transforms_active()


def is_plain(image: torch.Tensor, weight: torch.Tensor) -> bool:
    """Say whether the dispatcher could do nothing with two tensors but hand them to the CPU kernels.

    That is so for ordinary tensors (subclasses, fake, batched, sparse and lazily negated ones have other keys) while no
    mode, autocast, tracer or profiler wants to see or change what is dispatched. Only asked where not `is_transformed`.
    """
    return (
        type(image) in _PLAIN_TYPES
        and type(weight) in _PLAIN_TYPES
        and _keys(image) in _PLAIN_KEYS
        and _keys(weight) in _PLAIN_KEYS
        and not (
            _len_torch_dispatch_stack()
            or _len_torch_function_stack()
            or torch.is_autocast_enabled("cpu")
            or _get_tracing_state() is not None
            or _profiler_enabled()
        )
    )


def below_autograd() -> AbstractContextManager[object]:
    """Return the context in which the dispatcher leaves autograd out. Only asked for where not `is_transformed`."""
    return _AutoDispatchBelowAutograd()
