"""Measure whether the exact inverse of a masked convolution can be trusted.

There are three measurements, and a sentence that sums them up:

- the impulse response h of the inverse, on the frame asked for. A masked convolution commutes with shifts away from its
  corner, so every row of A^-1 is a part of h, and the row of the far corner is all of it:

      gain = max over o of sum over i, p of |h[o, i, p]| = ||A^-1||_inf     (what an error of at most 1 a pixel becomes)
      noise_gain = max over o of sqrt(sum over i, p of h[o, i, p]^2)        (what white noise of deviation 1 becomes)

- the minimum-phase margin, which tells for every size what the gain tells for one (see `minimum_phase`);
- the round trip x -> A x -> A^-1 A x of noise in float32, which tells what rounding does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from deblur.errors import SingularAnchorError
from deblur.ops import _checks, masked_conv
from deblur.ops.minimum_phase import minimum_phase_margin

__all__ = ["StabilityReport", "stability"]

#: The largest relative round-trip error in float32 that still counts as exact: a quarter of an 8-bit step of a picture.
TOLERANCE = 1e-3

_FIRST_FRAME = 64  # the impulse response is computed on frames that double from here
_HOPELESS = 1e30  # a gain beyond which its exact size no longer matters
_SETTLED = 1e-9  # share of the gain that the last doubling added, below which a decaying response is complete


@dataclass(frozen=True, kw_only=True)
class StabilityReport:
    """What `stability` measured.

    Attributes:
        gain: ||A^-1||_inf on the frame: what an error of at most 1 in every pixel can become; `inf` above 1e30.
        noise_gain: The standard deviation that white noise of deviation 1 has after the inverse, at the far corner.
        peak: The largest value of the impulse response of the inverse.
        margin: The minimum-phase margin: above 0 the impulse response decays like (1 + margin)^-n, below it grows.
        round_trip: ||A^-1 A x - x|| / ||x|| in float32, x normal noise; `inf` where it overflows.
        trusted: Whether the exact inverse can be trusted in float32 at this size, that is, whether round_trip is at
            most 1e-3. This is about rounding alone; for a picture with noise look at `noise_gain`, and for other sizes
            at `margin`.
        sentence: All of this in one sentence.
    """

    gain: float
    noise_gain: float
    peak: float
    margin: float
    round_trip: float
    trusted: bool
    sentence: str


def stability(
    weight: torch.Tensor,
    H: int,
    W: int,
    groups: int = 1,
    dilation: int | tuple[int, int] = 1,
    border: str = "zero",
) -> StabilityReport:
    """Measure how far the exact inverse of a masked convolution on an H x W frame can be trusted.

    The report is the same for the four orientations; the adjoint has the same margin. It takes about the time of two
    solves of the frame, one in float64 with a batch of C // groups, and some tenths of a second for the margin.

    Args:
        weight: The taps (C, C // groups, kh, kw), as in `masked_conv2d`.
        H: Rows of the frame.
        W: Columns of the frame.
        groups: As in `masked_conv2d`.
        dilation: As in `masked_conv2d`.
        border: As in `masked_conv2d`. With "replicate" the rows of the inverse are not parts of a single row. The gains
            are then the largest of four pixels that read most: the corner, the last pixel of the first row, that of
            the first column and that of the frame. Where the margin is positive, none of them is above the gain with
            zeros on an infinite frame.

    Returns:
        A `StabilityReport`; print its `sentence`. The inverse of a weight that is not finite or has a singular anchor
        is not trusted.

    Raises:
        ShapeError, DtypeError, OptionError: An argument that does not fit; the message says what would.

    Example:
        >>> import torch
        >>> stability(torch.tensor([[[[1.0, -0.5]]]]), 64, 64).trusted  # a decaying trail
        True
        >>> report = stability(torch.tensor([[[[1.0, 0.0], [0.0, -2.0]]]]), 64, 64)  # 1 - 2 z1 z2
        >>> report.trusted, report.margin < 0, report.gain > 1e18
        (False, True, True)
    """
    _checks.check_weight(weight, groups)
    _checks.check_frame(H, W)
    _checks.check_border(border)
    steps = _checks.pair(dilation)
    weight = weight.detach().double()
    if not bool(torch.isfinite(weight).all()):
        return _hopeless(math.nan, "The weight is not finite, so nothing can be inverted.")
    try:
        _checks.check_anchors(weight, H, W, groups, border)
    except SingularAnchorError as error:
        return _hopeless(-1.0, f"There is no inverse: {error}.")
    margin = minimum_phase_margin(weight, groups, steps)
    if border == "zero":
        gain, noise_gain, peak = _impulse_response(weight, H, W, groups, steps, decays=margin > 0)
    else:
        gain, noise_gain, peak = _longest_rows(weight, H, W, groups, steps)
    round_trip = _round_trip(weight.float(), H, W, groups, steps, border)
    trusted = round_trip <= TOLERANCE
    return StabilityReport(
        gain=gain,
        noise_gain=noise_gain,
        peak=peak,
        margin=margin,
        round_trip=round_trip,
        trusted=trusted,
        sentence=_sentence(H, W, gain, margin, round_trip, trusted),
    )


def _impulse_response(
    weight: torch.Tensor, height: int, width: int, groups: int, dilation: tuple[int, int], *, decays: bool
) -> tuple[float, float, float]:
    """Return the sum (gain), the root of the sum of squares and the maximum of |h|, in float64.

    The response on a frame is the top-left part of that on any larger one, so it is taken on frames that double until
    all of it is seen: the frame is covered, nothing more comes or it has outgrown every use.
    """
    channels, size = weight.shape[:2]
    impulse = torch.eye(size, dtype=weight.dtype, device=weight.device).repeat(1, groups)  # (input, C)
    rows, columns, last = min(height, _FIRST_FRAME), min(width, _FIRST_FRAME), 0.0
    while True:
        frame = torch.zeros(size, channels, rows, columns, dtype=weight.dtype, device=weight.device)
        frame[:, :, :1, :1] = impulse[..., None, None]
        response = masked_conv.masked_conv2d_solve(frame, weight, groups=groups, dilation=dilation).abs()
        gain = float(response.sum((0, 2, 3)).max())
        if not gain <= _HOPELESS:
            return math.inf, math.inf, math.inf
        settled = decays and gain - last <= _SETTLED * gain
        if settled or (rows == height and columns == width):
            noise_gain = float(response.square().sum((0, 2, 3)).sqrt().max())
            return gain, noise_gain, float(response.max()) if response.numel() else 0.0
        rows, columns, last = min(height, 2 * rows), min(width, 2 * columns), gain


def _longest_rows(
    weight: torch.Tensor, height: int, width: int, groups: int, dilation: tuple[int, int]
) -> tuple[float, float, float]:
    """Return what `_impulse_response` does, of the four rows of the inverse that end each block of a repeated edge.

    A row of the inverse is the solution of the adjoint for a point where the row's pixel is.
    """
    channels, size = weight.shape[:2]
    point = torch.eye(size, dtype=weight.dtype, device=weight.device).repeat(1, groups)  # (output, C)
    largest = torch.zeros(3, dtype=weight.dtype)
    for row, column in {(i, j) for i in (0, height - 1) for j in (0, width - 1)} if height * width else ():
        frame = torch.zeros(size, channels, height, width, dtype=weight.dtype, device=weight.device)
        frame[:, :, row, column] = point
        response = masked_conv.masked_conv2d_solve(
            frame, weight, transpose=True, groups=groups, dilation=dilation, border="replicate"
        ).abs()
        response = response.view(size, groups, -1)
        found = (response.sum(2).max(), response.square().sum(2).sqrt().max(), response.max())
        largest = torch.maximum(largest, torch.stack(found).cpu())
    gain, noise_gain, peak = largest.tolist()
    return (gain, noise_gain, peak) if gain <= _HOPELESS else (math.inf, math.inf, math.inf)


def _round_trip(
    weight: torch.Tensor, height: int, width: int, groups: int, dilation: tuple[int, int], border: str
) -> float:
    """Return the relative error of x -> A x -> A^-1 A x for normal noise x, in float32."""
    if height * width == 0:
        return 0.0
    noise = torch.Generator().manual_seed(0)
    x = torch.randn(1, weight.shape[0], height, width, generator=noise).to(weight.device)
    y = masked_conv.masked_conv2d(x, weight, groups=groups, dilation=dilation, border=border)
    try:
        back = masked_conv.masked_conv2d_solve(y, weight, groups=groups, dilation=dilation, border=border)
    except SingularAnchorError:  # invertible in float64, not in float32
        return math.inf
    error = float((back - x).double().norm() / x.double().norm())
    return error if math.isfinite(error) else math.inf


def _sentence(height: int, width: int, gain: float, margin: float, round_trip: float, trusted: bool) -> str:
    """Put the measurements into one sentence."""
    if margin > 1e-4:
        decay = f"the inverse decays (minimum-phase margin {margin:.3g})"
    elif margin >= -1e-4:
        decay = "the inverse does not decay (minimum-phase margin 0), so noise adds up with the size"
    else:
        decay = f"the inverse grows (minimum-phase margin {margin:.3g})"
    measured = f"amplifies an error by up to {gain:.3g} and rounding leaves {round_trip:.2g} of the picture"
    if not math.isfinite(gain):
        measured = f"amplifies an error by more than {_HOPELESS:g}"
    if trusted:
        return f"The exact inverse can be trusted in float32 at {height} x {width}: {decay}; it {measured}."
    return (
        f"The exact inverse cannot be trusted in float32 at {height} x {width}: {decay}; it {measured} "
        f"(at most {TOLERANCE:g} is trusted)."
    )


def _hopeless(margin: float, sentence: str) -> StabilityReport:
    return StabilityReport(
        gain=math.inf,
        noise_gain=math.inf,
        peak=math.inf,
        margin=margin,
        round_trip=math.inf,
        trusted=False,
        sentence=sentence,
    )
