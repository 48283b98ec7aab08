"""The image step: a scene with few edges that explains the frame under the kernel at hand.

    S = argmin  sum (k * S - y)^2 + lambda #{p : grad S(p) != 0}

(Xu, Lu, Xu and Jia 2011; as the image step of blind deblurring Xu, Zheng and Jia 2013, and Pan, Hu, Su and Yang 2014).
With g = grad S split off and a penalty beta,

    g(p) = grad S(p) where |grad S(p)|^2 >= lambda / beta, else 0
    S    = (conj(k^) y^ + beta div^ g) / (|k^|^2 + beta |D^|^2)

beta doubling from 2 lambda until nothing moves. Small edges and texture vanish, whatever the noise of the kernel made
is gone with them, and what is left of the strong edges is sharp: that is what a kernel can be estimated from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft2, rfft2

from deblur.estimation.blind.periodic import Array, Spectrum, apply, differences, extend, laplacian, transfer

__all__ = ["FewEdges"]

GROWTH = 4.0  # of the penalty where the energy is what is wanted
LAST = 1e5  # penalty at which the splitting ends: edges of 1e-4 still count there


@dataclass(frozen=True)
class FewEdges:
    """The image step for one frame and kernels up to a size.

    Args:
        frame: (H, W), range about [0, 1].
        margin: pixels by which the frame is grown to be periodic: the largest kernel's side.

    Example:
        >>> frame = np.zeros((40, 40), np.float32)
        >>> frame[:, 20:] = 1
        >>> step = FewEdges.of(frame, margin=5)
        >>> bool(np.allclose(step.restore(np.ones((1, 1)), 1e-3), frame, atol=1e-2))
        True
    """

    shape: tuple[int, int]
    grown: Array
    spectrum: Spectrum

    @classmethod
    def of(cls, frame: Array, margin: int) -> FewEdges:
        """Prepare a frame (H, W)."""
        grown = extend(frame, margin)
        return cls((frame.shape[0], frame.shape[1]), grown, np.asarray(rfft2(grown), dtype=np.complex64))

    def restore(self, kernel: np.ndarray, weight: float, *, ground: float = 0.0, growth: float = 2.0) -> Array:
        """The scene (H, W) for a kernel (k, k), sum 1, lambda = `weight` and mu = `ground` times that."""
        return self.crop(self._periodic(kernel, weight, ground, growth))

    def energy(self, kernel: np.ndarray, weight: float, believed: Array | None = None) -> float:
        """What `restore` minimises, at its result: sum (k * S - y)^2 + weight #{|grad S|^2 > 1e-4}.

        Args:
            kernel: (k, k), sum 1.
            weight: lambda.
            believed: (H, W), 0 where a pixel does not count.
        """
        scene = self._periodic(kernel, weight, 0.0, GROWTH)
        error = self.crop(apply(transfer(kernel, scene.shape), scene) - self.grown)
        across, down = differences(self.crop(scene))
        edges = across * across + down * down > 1e-4
        if believed is not None:
            error, edges = error * believed, edges & (believed > 0)
        return float(np.vdot(error, error)) + weight * float(np.count_nonzero(edges))

    def crop(self, image: Array) -> Array:
        """The frame's part of a periodic image."""
        return image[: self.shape[0], : self.shape[1]]

    def _periodic(self, kernel: np.ndarray, weight: float, ground: float, growth: float) -> Array:
        shape: tuple[int, int] = self.grown.shape
        blur, edges = transfer(kernel, shape), laplacian(shape)
        data, power = np.conj(blur) * self.spectrum, blur.real**2 + blur.imag**2
        scene, across, down = self.grown, np.empty_like(self.grown), np.empty_like(self.grown)
        beta = 2 * weight
        while beta < LAST:
            np.subtract(scene[:, 1:], scene[:, :-1], out=across[:, :-1])
            np.subtract(scene[:, 0], scene[:, -1], out=across[:, -1])
            np.subtract(scene[1:], scene[:-1], out=down[:-1])
            np.subtract(scene[0], scene[-1], out=down[-1])
            strong = across * across + down * down >= weight / beta
            across *= strong
            down *= strong
            pull = -across
            pull -= down
            pull[:, 1:] += across[:, :-1]
            pull[:, 0] += across[:, -1]
            pull[1:] += down[:-1]
            pull[0] += down[-1]
            b = np.float32(beta)
            if ground:
                pull += np.where(scene * scene >= ground * weight / beta, scene, 0)
            spectrum = rfft2(pull, overwrite_x=True)
            spectrum *= b
            spectrum += data
            spectrum *= 1 / (power + b * (edges + 1 if ground else edges))
            scene = irfft2(spectrum, s=shape, overwrite_x=True)
            beta *= growth
        return np.asarray(scene, dtype=np.float32)
