"""How well a kernel explains a frame whatever its scene is: the variational cost of Wipf and Zhang.

    F(k) = min over x of  sum_c ||M (x_c * k - d_c)||^2 / lambda + sum_i g(x_i, lambda / ||k||^2) + n log ||k||^2

    g(x, rho) = 2 |x| / (|x| + s) + log(2 rho + x^2 + |x| s),     s = sqrt(x^2 + 4 rho)

(D. Wipf, H. Zhang: Revisiting Bayesian blind deconvolution, JMLR 15, 2014, theorem 1). It is what maximising the
likelihood of the kernel comes to where the scene's gradients x_c (n of them) are integrated out approximately, under a
prior that has no scale. Two things keep it from the no-blur kernel that a likelihood times a prior prefers. The last
term rewards a kernel that spreads its light. And the penalty g depends on the kernel: for a spread one (rho large) it
is nearly convex and lets small gradients be, for a concentrated one it approaches log |x| and punishes the many small
gradients of a blurred scene.

What is computed does not depend on the array that holds the kernel. A larger one grows the scene by a border that the
frame does not show; x is zero there, where g is log(2 rho), which is taken off g everywhere:

    F(k) = min over x of  (sum_c ||M (x_c * k - d_c)||^2 / lambda + sum_i g(x_i, rho) - g(0, rho)) / n + log(2 lambda)

Which lambda (the noise, and what else the model misses) tells most depends on the kernel: at a small one a kernel that
is half right does hardly better than a wrong one, at a large one detail does not count. So F is the mean at two.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deblur.estimation.blind.periodic import Array
from deblur.estimation.blind.pyramid import Plane
from deblur.estimation.blind.variational import Posterior

__all__ = ["evidence", "penalty"]

WEIGHTS = (3e-4, 1e-4)
"""The two lambdas, to which four variances of the noise are added."""

ROUNDS = (3, 1)
"""How often the scene and its precisions are updated at each."""


def evidence(planes: Sequence[Plane], kernel: Array) -> float:
    """F of a kernel (k, k), sum 1, in nats per gradient, the mean over the frames; less is better.

    Example:
        >>> from deblur.estimation.blind.periodic import extend
        >>> rng = np.random.default_rng(0)
        >>> steps = np.cumsum(rng.normal(size=64) * (rng.random(64) < 0.2)).astype(np.float32) / 5
        >>> scene = np.add.outer(steps, steps)
        >>> blurred = sum(scene[2 + i : 62 + i, 2 + i : 62 + i] for i in (-2, -1, 0, 1, 2)) / 5
        >>> truth, delta = np.eye(5, dtype=np.float32) / 5, np.zeros((5, 5), np.float32)
        >>> delta[2, 2] = 1
        >>> evidence([Plane(blurred)], truth) < evidence([Plane(blurred)], delta)
        True
    """
    return float(np.mean([_of(plane, kernel) for plane in planes]))


def _of(plane: Plane, kernel: Array) -> float:
    posterior = Posterior(plane, kernel.shape[0], inner=12)
    values = []
    for weight, rounds in zip(WEIGHTS, ROUNDS, strict=True):
        noise = weight + 4 * plane.sigma**2
        for _ in range(rounds):
            posterior.update(kernel, noise)
        power = float(np.vdot(kernel, kernel))
        scene = posterior.mean[posterior.inside > 0]
        data = posterior.misfit(kernel) / noise
        cost = float((penalty(scene, noise / power) - np.log(2 * noise / power)).sum(dtype=np.float64))
        values.append((data + cost) / float(posterior.seen.sum()) + np.log(2 * noise))
    return float(np.mean(values))


def penalty(scene: Array, rho: float) -> Array:
    """g of every gradient.

    Example:
        >>> penalty(np.array([0.0, 1.0], np.float32), 0.5).round(3)
        array([0.   , 2.049], dtype=float32)
    """
    size, least = np.abs(scene), np.float32(rho)
    root = np.sqrt(size * size + 4 * least)
    return np.asarray(2 * size / (size + root) + np.log(2 * least + size * size + size * root), dtype=np.float32)
