"""Fourier transforms: lengths that they are fast at, and how fast they are here."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch
from scipy.fft import next_fast_len

__all__ = ["fast_length", "fast_shape", "seconds_of_a_transform"]


def fast_length(least: int) -> int:
    """The smallest length of at least so many values whose real transform is fast: a product of small primes.

    Example:
        >>> fast_length(509)
        512
    """
    return int(next_fast_len(least, real=True))


def seconds_of_a_transform(device: torch.device | str = "cpu") -> float:
    """How long a real Fourier transform takes here, forth and back, for each value: the median of a few."""
    plane, times = torch.zeros(512, 512, device=device), []
    for _ in range(5):
        start = time.perf_counter()
        float(torch.fft.irfft2(torch.fft.rfft2(plane), s=plane.shape)[0, 0])
        times.append(time.perf_counter() - start)
    return statistics.median(times) / plane.numel()


def fast_shape(least: Sequence[int]) -> tuple[int, ...]:
    """The same for every axis of a shape."""
    return tuple(map(fast_length, least))
