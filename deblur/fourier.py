"""Lengths that Fourier transforms are fast at."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.fft import next_fast_len

__all__ = ["fast_length", "fast_shape"]


def fast_length(least: int) -> int:
    """The smallest length of at least so many values whose real transform is fast: a product of small primes.

    Example:
        >>> fast_length(509)
        512
    """
    return int(next_fast_len(least, real=True))


def fast_shape(least: Sequence[int]) -> tuple[int, ...]:
    """The same for every axis of a shape."""
    return tuple(map(fast_length, least))
