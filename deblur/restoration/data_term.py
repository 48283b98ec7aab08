"""What a frame says of a scene in stored values: by how much it misses the frame in light, and which way to go."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.fft import irfft2, rfft2

from deblur.bands import bands
from deblur.psf.operator import Blur, each_channel, of_channel
from deblur.restoration import coarse, opponent
from deblur.restoration.problem import Problem
from deblur.restoration.symbols import Symbol, on_grid

__all__ = ["DataTerm"]

FLOOR = 0.02
"""Added to P, whose inverse would else magnify what weights and slopes scatter to where the kernel passes nothing."""

SCALES = (0.3, 100.0)
"""Between these the square of the diagonal scaling is kept."""

DARKEST, BRIGHTEST = -0.05, 5.4
"""Between these stored values a scene is kept where the curve bends: beyond, it has no slope, or too much."""


class DataTerm:
    """sum over pixels of omega^2 (y - K g(u))^2 / 2, u the stored scene, with the gradient and its preconditioner.

    The unknown v is u itself, or, for red, green and blue, brightness and weighed colour differences: v = B u.

    Args:
        problem: frame, kernel, curve and what is known of each pixel.
        chroma: what a colour difference counts in v beside brightness; None leaves the colours as they are.
    """

    def __init__(self, problem: Problem, chroma: float | None) -> None:
        self.problem, self.blur, self.curve = problem, problem.blur, problem.curve
        observed = problem.blurred
        self._forth = self._back = self._metric = None
        self._shares = [1.0] * len(observed)
        if len(observed) == 3 and chroma is not None:
            sizes = torch.tensor([1.0, chroma, chroma]).to(observed)
            self._forth = torch.diag(sizes) @ opponent.rotation(observed)
            self._back = opponent.rotation(observed).T @ torch.diag(1 / sizes)
            self._shares = [1.0, problem.chroma / chroma**2, problem.chroma / chroma**2]
        if len(observed) == 3 and problem.chroma != 1:
            self._metric = opponent.metric(observed, problem.chroma)
        weight = 1 / self.curve.slope(self.curve.encode(observed), observed)  # the slope of storing
        if problem.deviation is not None:
            weight.div_(problem.deviation)
        if problem.weights is not None:
            weight.mul_(problem.weights.sqrt())
        if problem.mask is not None:
            weight.masked_fill_(~problem.mask, 0)
        power = self.blur.spectrum.abs().square()
        self._power = power if self._back is None else power.mean(0, keepdim=True)  # colours that are mixed share one
        self.weight = weight
        self.size = float((weight * observed).norm().clamp_min(1e-30))
        self.expected = problem.sigma * math.sqrt(observed.numel())  # the misfit of the true scene, or more

    def unknown(self, light: Tensor) -> Tensor:
        """v of a scene in light."""
        return self._turned(self._forth, self._kept(self.curve.encode(light)))

    def follow(self, unknown: Tensor, light: Tensor, slope: Tensor, move: Tensor | None = None) -> None:
        """Take v, in its place, to the nearest to where a move leads that the curve is good for.

        Its scene in light and the slope g' there are written where they were.
        """
        for rows in bands(unknown):
            band = unknown[:, rows] if move is None else unknown[:, rows].add_(move[:, rows])
            stored = self._kept(self._turned(self._back, band))
            unknown[:, rows] = self._turned(self._forth, stored)
            light[:, rows] = lit = self.curve.decode(stored)
            slope[:, rows] = self.curve.slope(stored, lit)

    def misfit(self, light: Tensor, omega: Tensor | None = None) -> tuple[float, Tensor]:
        """What a scene in light misses: ||omega (y - K x)|| and omega^2 (y - K x).

        omega is 0 where the frame clips and the scene is bright enough; it is written where that is asked for.
        """
        rest, squares = self.blur(light), 0.0
        for rows in bands(rest):
            miss = torch.sub(self.problem.blurred[:, rows], rest[:, rows])
            weight = self.weight[:, rows]
            for clips, beyond in ((self.problem.clipped, torch.lt), (self.problem.crushed, torch.gt)):
                if clips is not None:
                    weight = weight.masked_fill(clips[:, rows] & beyond(miss, 0), 0)
            if omega is not None:
                omega[:, rows] = weight
            miss.mul_(weight)
            squares += float(miss.square().sum())
            rest[:, rows] = self._turned(self._metric, miss).mul_(weight)
        return math.sqrt(squares), rest

    def gradient(self, seen: Tensor, slope: Tensor) -> Tensor:
        """Minus the gradient by v, (C, *blur.scene), from omega^2 (y - K x)."""
        force = self.blur.adjoint(seen)
        for rows in bands(force):
            band = force[:, rows].mul_(slope[:, rows])
            if self._back is not None:
                force[:, rows] = self._turned(self._back.T, band)
        return force

    def scaling(self, slope: Tensor, weight: Tensor) -> Tensor:
        """The diagonal E, (1 or C, *blur.scene), that makes up for slopes and weights which vary.

        E^-2 is the mean of the diagonal of G K^T omega^2 K G and of its rows' sums, relative to those of K^T K: the
        second bounds the eigenvalues, the first is nearer where slopes vary little. The means that both are made of
        are taken at half the size where that leaves enough of the kernel.
        """
        mixed = self._back is not None
        scales = torch.zeros_like(slope[:1] if mixed else slope)
        for index in each_channel(slope):  # a channel by itself: where one is dark and weighs much, another is bright
            steep = slope[index]
            around, rows = self._means(of_channel(self.blur.taps, index).abs(), steep, weight[index].square())
            scale = scales if mixed else scales[index]
            torch.maximum(scale, around.mul_(steep).add_(rows).mul_(steep), out=scale)
        return scales.mul_(0.5).clamp_(*SCALES).rsqrt_()

    def precondition(self, force: Tensor, scaling: Tensor, symbol: Symbol, q: float) -> Tensor:
        """E P^-1 E of a force, in its place."""
        blur = self.blur
        regulariser = on_grid(symbol, blur.grid, blur.taps)
        for index, channel in enumerate(each_channel(force)):
            scale = of_channel(scaling, channel)
            scaled = force[channel].mul_(scale)
            grown = scaled if blur.free else blur.embed(scaled)
            spectrum, power = rfft2(grown), of_channel(self._power, channel)
            for rows in bands(spectrum):
                inverse = (power[:, rows] * self._shares[index]).add_(regulariser[rows], alpha=q).add_(FLOOR)
                spectrum[:, rows].div_(inverse)
            grown = irfft2(spectrum, s=blur.grid)
            torch.mul(grown if blur.free else blur.visible(grown), scale, out=force[channel])
        return force

    @staticmethod
    def _turned(matrix: Tensor | None, image: Tensor) -> Tensor:
        return image if matrix is None else opponent.turned(matrix, image)

    def _kept(self, stored: Tensor) -> Tensor:
        return stored if self.problem.linear else stored.clamp(DARKEST, BRIGHTEST)

    def _means(self, taps: Tensor, steep: Tensor, squared: Tensor) -> tuple[Tensor, Tensor]:
        """omega^2 seen through the squared taps, and through the taps omega^2 times the slope that they see."""
        blur, frame, half = self.blur, self.blur.frame, coarse.worthwhile(self.problem)
        both = [taps, taps.square()]
        if half:
            both, frame = [coarse.halved_taps(each) for each in both], coarse.halved_frame(frame)
        once, twice = (
            Blur(each / each.sum(), frame, blur.boundary, dtype=taps.dtype, device=taps.device) for each in both
        )
        if half:
            steep, squared = coarse.shrunk(steep, once, blur), coarse.pooled(squared)
        mean = float(steep.square().reciprocal().mean())  # what the frame does not show is taken as matched
        around = twice.adjoint(squared - mean).add_(mean)
        rows = once.adjoint(squared.mul_(once(steep)))
        return (coarse.doubled(around, once, blur), coarse.doubled(rows, once, blur)) if half else (around, rows)
