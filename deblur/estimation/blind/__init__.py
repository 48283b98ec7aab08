"""The blur kernel of a photograph, from the photograph alone."""

from __future__ import annotations

from deblur.estimation.blind.estimator import BlindEstimator

__all__ = ["BlindEstimator"]
