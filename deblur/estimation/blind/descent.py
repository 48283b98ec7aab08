"""Refinement by gradient descent through the restoration: descend the evidence F(k) itself.

    F(k) = sum_c ||M (x_c * k - d_c)||^2 / lambda + sum_i g(x_i, lambda / ||k||^2) + n log ||k||^2,     x = x(k)

is the variational cost of `evidence` (Wipf and Zhang 2014), which does not prefer the no-blur kernel, and x(k) the
restoration of the frame's differences under the precisions w at hand,

    x(k) = what some steps of preconditioned conjugate gradients make of
           (K^T M K / lambda + diag w) x = K^T M d / lambda.

Every step of that is differentiable in k, so autograd gives the gradient of F through the restoration, where the
alternation (`variational`) holds the scene while it moves the kernel. The taps are a softmax over the kernel's taps
and their neighbours: non-negative, of sum 1; Adam descends. After each step the scene becomes the start of the next
restoration, and its precisions are renewed. The kernel of least F is what is returned.

It gains less than the alternation at the same time (docs/experiments/refinement.md has the figures), so it is off
unless asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from deblur.conjugate_gradients import conjugate_gradients
from deblur.estimation.blind import taps
from deblur.estimation.blind.periodic import Array
from deblur.estimation.blind.pyramid import Plane
from deblur.estimation.blind.variational import Posterior

__all__ = ["Descent", "Scene"]


@dataclass(frozen=True, kw_only=True)
class Descent:
    """Settings of the descent.

    Args:
        steps: of Adam.
        rate: its step length, in units of the taps' logarithm.
        weight: lambda; four variances of the noise are added.
        inner: conjugate-gradient steps of the restoration that is differentiated.
    """

    steps: int = 12
    rate: float = 0.1
    weight: float = 2e-4
    inner: int = 6

    def __call__(self, planes: Sequence[Plane], kernel: Array) -> Array:
        """Refine a kernel (k, k); its sum stays 1, its centroid may move by a fraction of a pixel."""
        scenes = [Scene(plane, kernel, self.weight + 4 * plane.sigma**2, self.inner) for plane in planes]
        free = torch.from_numpy(taps.dilate(taps.prune(kernel)))
        start = torch.from_numpy(np.maximum(kernel, 1e-3 * float(kernel.max())))
        logits = start[free].log().requires_grad_()
        optimiser = torch.optim.Adam([logits], lr=self.rate)
        least, best = float("inf"), kernel
        for step in range(self.steps + 1):
            current = torch.zeros(kernel.shape, dtype=logits.dtype)
            current[free] = logits.softmax(0)
            cost = torch.stack([scene.cost(current) for scene in scenes]).mean()
            if cost.item() < least:
                least, best = cost.item(), current.detach().numpy()
            if step == self.steps:
                break
            optimiser.zero_grad()
            cost.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            for scene in scenes:
                scene.renew(current.detach().numpy())
        return taps.prune(best, floor=0.03)


class Scene:
    """One frame's restoration as a differentiable function of the kernel."""

    def __init__(self, plane: Plane, kernel: Array, noise: float, inner: int) -> None:
        """Restore the frame's differences for a first kernel (k, k); `noise` is lambda."""
        self.posterior, self.noise, self.inner = Posterior(plane, kernel.shape[0], inner=8), noise, inner
        for _ in range(3):
            self.posterior.update(kernel, noise)
        self.data, self.seen, self.inside = (
            torch.from_numpy(part) for part in (self.posterior.data, self.posterior.seen, self.posterior.inside)
        )
        self.last = torch.from_numpy(self.posterior.mean)

    def renew(self, kernel: Array) -> None:
        """Start from the last scene, under the precisions that it asks for."""
        self.posterior.weigh(self.last.numpy(), kernel, self.noise)

    def cost(self, kernel: Tensor) -> Tensor:
        """F per gradient at the restoration of this kernel (k, k)."""
        grid, dtype = self.posterior.grid, kernel.dtype
        placed = torch.zeros(grid, dtype=dtype)
        placed[: kernel.shape[0], : kernel.shape[1]] = kernel
        half = kernel.shape[0] // 2, kernel.shape[1] // 2
        blur = torch.fft.rfft2(torch.roll(placed, (-half[0], -half[1]), (0, 1)))
        data, seen, inside = (part.to(dtype) for part in (self.data, self.seen, self.inside))
        precision = torch.from_numpy(np.array(self.posterior.precision)).to(dtype)
        scaling = torch.from_numpy(self.posterior.variance).to(dtype)

        def forward(x: Tensor) -> Tensor:
            blurred: Tensor = torch.fft.irfft2(blur * torch.fft.rfft2(x), s=grid)
            return seen * blurred

        def adjoint(frame: Tensor) -> Tensor:
            back: Tensor = torch.fft.irfft2(blur.conj() * torch.fft.rfft2(frame), s=grid)
            return back / self.noise

        def matrix(x: Tensor) -> Tensor:
            return (adjoint(forward(x)) + precision * x) * inside

        start = torch.from_numpy(self.posterior.mean).to(dtype)
        steps = conjugate_gradients(matrix, adjoint(data) * inside, start, _dot, lambda residual: scaling * residual)
        x, _ = next(islice(steps, self.inner, None))
        self.last = x.detach()
        power = kernel.square().sum()
        misfit = (forward(x) - data).square().sum() / self.noise
        size, rho = x.abs(), self.noise / power
        root = (x.square() + 4 * rho).sqrt()
        penalty = 2 * size / (size + root) + (2 * rho + x.square() + size * root).log()
        return (misfit + (penalty * inside).sum()) / inside.sum() + power.log()


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((1, 2), keepdim=True).clamp_min(1e-30)
