"""Estimation: from what was photographed to the blur kernel.

    Estimate, Step          the record that every estimator returns, and its progress

Example:
    >>> Step("taps", 0.25).index
    250
"""

from __future__ import annotations

from deblur.estimation.base import Estimate, Step

__all__ = ["Estimate", "Step"]
