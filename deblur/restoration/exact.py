"""The exact inverse of the blur itself, where it is stable: no prior, no noise level, one wavefront solve or a
few."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from deblur.errors import UnstableInverseError
from deblur.ops import masked_conv2d, masked_conv2d_solve, stability
from deblur.progress import OnStep
from deblur.psf.array import trim
from deblur.psf.operator import Blur, transfer_function
from deblur.psf.quadrant import MaskedForm, masked_form
from deblur.restoration.normal_equations import NormalEquations
from deblur.restoration.problem import Problem
from deblur.restoration.restorer import Iterate, Restoration, Restorer, check_positive
from deblur.restoration.symbols import gradients

__all__ = ["Exact"]

LEAST_MARGIN = 1e-4
"""Minimum-phase margin below which an inverse does not decay: a uniform trail has 0, and its noise adds up."""

VISIBLE = 1 / 512
"""Noise below half a step of 8 bits may come out as strong as it likes."""


@dataclass(frozen=True, kw_only=True)
class Exact(Restorer):
    """Invert the blur exactly where that is stable; refuse where it is not.

    A kernel with all its light in one quadrant from its origin tap (a causal trail that decays) is a masked
    convolution: one wavefront solve restores the frame. A kernel that is none but has no zeros in its spectrum (a
    two-sided exponential, a product over several corners) is solved by conjugate gradients on its normal equations,
    preconditioned by the four exact inverses of their spectral factors, to the residual. Everything is done in
    float64.

    Where the kernel comes with the masked convolutions whose product it is (`deblur fit --model masked`), they are
    inverted one after the other, the last first, and nothing else.

    With boundary `zero` the result is the scene up to rounding. With an unknown one, what lies outside is guessed
    from the border, and the error of the guess decays into the frame as the inverse's impulse response does: a note
    says how many border pixels cannot be trusted.

    Args:
        max_gain: the largest amplification of noise that still counts as stable.
        tolerance: relative residual of the conjugate gradients.
        limit: their steps at most.

    Raises:
        UnstableInverseError: the blur has no stable exact inverse (uniform motion, gaussian, defocus), or one that
            makes the noise of the problem (`sigma`) larger than what the blur took away.
    """

    whole: ClassVar[bool] = True
    caution = 0.0  # no weight of it depends on the kernel's misfit; what is told is noise alone

    max_gain: float = 1000.0
    tolerance: float = 1e-9
    limit: int = 500

    def __post_init__(self) -> None:
        check_positive(max_gain=self.max_gain, tolerance=self.tolerance, limit=self.limit)

    def __call__(self, problem: Problem, on_step: OnStep | None = None) -> Restoration:
        """Restore `problem` in float64, whatever the dtype of its frame."""
        exact = dataclasses.replace(problem, blurred=problem.blurred.double(), preconditioner="four-quadrant")
        result = super().__call__(exact, on_step)
        self._refuse_noise(exact, result.image)
        depth, notes = self._reach(exact.blur), result.notes
        if problem.boundary == "unknown" and depth > 0:
            notes = (
                *notes,
                f"the outside of the frame is unknown: about {depth} pixels along its border cannot be trusted",
            )
        if problem.mask is not None and not bool(problem.mask.all()):
            notes = (*notes, "the exact inverse takes saturated, transparent and masked pixels as they are")
        return dataclasses.replace(result, image=result.image.to(problem.blurred.dtype), notes=notes)

    def estimates(self, problem: Problem) -> Iterator[Iterate]:
        """Yield one estimate for a masked convolution, one per step for conjugate gradients."""
        blur = problem.blur
        if problem.factors and problem.boundary in ("zero", "unknown"):
            yield self._substitute(problem, [problem.factors])
            return
        forms = [masked_form(trim(taps.double().cpu().numpy())) for taps in blur.taps]
        if all(form is not None for form in forms) and problem.boundary in ("zero", "unknown"):
            yield self._substitute(problem, [[form] for form in forms if form is not None])
            return
        self._refuse_zeros(blur)
        unmasked = dataclasses.replace(problem, mask=None, weights=None)
        equations = NormalEquations(unmasked, gradients, 0.0)
        yield from equations.solve(unmasked.right_hand_side, blur.extend(problem.blurred))

    def _substitute(self, problem: Problem, chains: Sequence[Sequence[MaskedForm]]) -> Iterate:
        """Undo masked convolutions by wavefront solves, the last first; one chain for all channels or one for each.

        Where the outside is unknown, the frame is grown by its border.
        """
        blur, frame = problem.blur, problem.blurred
        height, width = blur.frame
        depth = self._reach(blur) if problem.boundary == "unknown" else 0
        stable = [self._stable(chain, (height, width)) for chain in chains]
        grown = torch.nn.functional.pad(frame[:, None], (depth,) * 4, mode="replicate") if depth else frame[:, None]
        planes, misses = [], []
        for channel, plane in enumerate(grown):
            chain = stable[channel if len(stable) > 1 else 0]
            made = again = plane[None]
            for form, weight in reversed(chain):
                made = again = masked_conv2d_solve(made, weight.to(made), orientation=form.orientation)
            for form, weight in chain:
                again = masked_conv2d(again, weight.to(again), orientation=form.orientation)
            planes.append(made[0, 0])
            misses.append((again - plane).norm())
        restored = torch.stack(planes)[..., depth : depth + height, depth : depth + width]
        scene = blur.embed(restored) if problem.boundary == "unknown" else restored
        return Iterate(scene, float(torch.stack(misses).norm() / grown.norm().clamp_min(1e-300)))

    def _stable(self, forms: Sequence[MaskedForm], frame: tuple[int, int]) -> list[tuple[MaskedForm, Tensor]]:
        """The forms with their weights (1, 1, kh, kw), each of which has a stable inverse."""
        weights = [torch.as_tensor(form.weight)[None, None] for form in forms]
        for weight in weights:
            report = stability(weight, *frame, groups=1)
            if report.margin < LEAST_MARGIN or report.noise_gain > self.max_gain:
                raise _refusal(f"its inverse amplifies noise {report.noise_gain:.3g} times at this size")
        return list(zip(forms, weights, strict=True))

    def _refuse_zeros(self, blur: Blur) -> None:
        lowest = float(_spectrum_on_fine_grid(blur).abs().min())
        if lowest * self.max_gain < 1:
            raise _refusal(
                f"its spectrum falls to {lowest:.2g}, so noise would grow {1 / max(lowest, 1e-300):.2g} times"
            )

    def _refuse_noise(self, problem: Problem, image: Tensor) -> None:
        """Raise if the noise that comes out is more than what the blur had taken.

        What was changed, on the mean, is both together: |x - y|^2 = |blur|^2 + |gain * noise|^2.
        """
        gain = float(_spectrum_on_fine_grid(problem.blur).abs().square().reciprocal().mean().sqrt())
        light = problem.blurred.double()
        slope = problem.curve.slope(problem.curve.encode(light), light)
        deviation = 1.0 if problem.deviation is None else problem.deviation.double()
        noise = problem.sigma * float((slope * deviation).square().mean().sqrt())
        changed = float((image - light).square().mean().sqrt())
        if gain * noise > max(changed / math.sqrt(2), VISIBLE):
            raise UnstableInverseError(
                f"the exact inverse of this kernel would make the noise {gain:.3g} times as strong, {gain * noise:.2g} "
                "of full scale, which is more than the blur takes away; "
                f"expected a frame with less noise than {noise:.2g}; use --method wiener or the default"
            )

    def _reach(self, blur: Blur) -> int:
        """Pixels after which the inverse's impulse response has fallen below 1/255 of its first value."""
        spectrum = _spectrum_on_fine_grid(blur)
        response = torch.fft.irfft2(1 / torch.where(spectrum.abs() < 1e-12, 1, spectrum)).abs()
        size = response.shape[-1]
        profile = torch.maximum(response.amax((0, 1)), response.amax((0, 2)))
        profile = torch.maximum(profile, profile.roll(-1).flip(0))[: size // 2]
        above = torch.nonzero(profile > profile[0] / 255)
        return min(int(above.max()) if len(above) else 0, *blur.frame)


def _spectrum_on_fine_grid(blur: Blur) -> Tensor:
    """The kernel's transfer function on a square grid four times its size, at least 512."""
    side = max(512, 4 * max(blur.taps.shape[-2:]))
    return transfer_function(blur.taps.double(), (side, side), blur.origin)


def _refusal(why: str) -> UnstableInverseError:
    return UnstableInverseError(
        f"the exact inverse of this kernel is not stable ({why}); expected a decaying causal trail or a kernel whose "
        "spectrum has no zeros; use --method wiener or the default, or raise the setting max_gain"
    )
