"""The minimum-phase margin of a masked convolution: how far the zeros of its symbol stay from the unit bidisc.

With A(z1, z2) = sum over a, b of weight[a, b] z1^(a dh) z2^(b dw), a matrix where a group has several channels,

    margin = rho - 1,    rho the largest radius such that det A(z1, z2) != 0 for all |z1|, |z2| <= rho.

The impulse response of the inverse is the power series of 1 / A, so it decays like rho^-n where the margin is positive,
grows where it is negative, and at zero does neither.

While rho grows from 0, the first zero to enter the bidisc lies on the torus |z1| = |z2| = rho (maximum principle: the
zeros in z1 are locally holomorphic in z2, so their smallest modulus is taken at the largest |z2|). On the torus
z2 = z1 e^(i theta), hence

    rho = the minimum over theta of the smallest |z| with det A(z, z e^(i theta)) = 0,

a search in one angle over polynomials in one variable. It is the criterion of DeCarlo, Murray and Saeks (1977, "Multi-
variable Nyquist theory": no zero on the torus, none in one slice) asked of every slice at once.

One channel a group: a slice has no zero within |z| <= rho exactly when its values wind zero times around the origin as
z runs once around that circle, and rho is found by bisection. The circle is sampled, and sampled more finely where |A|
is small against its changes; a stretch that stays unresolved passes through a zero. Several channels: A is a matrix
polynomial and its smallest zero the inverse of the spectral radius of its block companion matrix.

The edges A(z, 0) and A(0, z) alone decide nothing: 1 - 2 z1 z2 has both edges 1.
"""

from __future__ import annotations

import math

import torch

from deblur.ops import geometry

__all__ = ["clears", "minimum_phase_margin"]

_SLICES = 64  # angles theta in [0, pi], at least; conjugate symmetry gives the other half
_BASINS = 3  # local minima over theta that are looked into
_HALVINGS = 24  # of a stretch of the circle, before it counts as passing through a zero
_COARSE, _FINE = 1e-3, 1e-5  # relative precision of the radius, before and after looking closer
_NEAREST, _FARTHEST = 2.0**-40, 2.0**40  # a zero beyond is as good as one at 0, or as none


def minimum_phase_margin(weight: torch.Tensor, groups: int = 1, dilation: tuple[int, int] = (1, 1)) -> float:
    """Return the minimum-phase margin of a weight (C, C // groups, kh, kw): the smallest over its groups.

    It depends neither on the orientation nor on `transpose`. It is `inf` for an anchor alone, -1 for a singular anchor
    and NaN for a weight that is not finite. It is computed in float64 and accurate to about 1e-5 where the zeros are
    simple. A zero counts even if rounding of the taps has made it.

    Example:
        >>> import torch
        >>> weight = torch.tensor([[[[1.0, -0.5]]]])  # 1 - z / 2: zero at 2
        >>> round(minimum_phase_margin(weight), 3)
        1.0
    """
    if not bool(torch.isfinite(weight).all()):
        return math.nan
    weight = weight.detach().to("cpu", torch.float64)
    anchor = torch.linalg.inv_ex(geometry.anchors(weight, groups))
    if bool(anchor.info.any()):
        return -1.0
    size = weight.shape[1]
    taps = (anchor.inverse @ weight.reshape(groups, size, -1)).view(groups, size, size, *weight.shape[2:])
    if not bool(torch.isfinite(taps).all()):
        return -1.0
    common = math.gcd(*dilation)  # A(z1^n, z2^n) has the n-th roots of A's zeros
    steps = (dilation[0] // common, dilation[1] // common)
    radius = math.inf
    for group in taps.unique(dim=0):
        radius = min(radius, _radius(group, steps, radius))
    return float(radius ** (1 / common)) - 1.0


def clears(weight: torch.Tensor, margin: float) -> bool:
    """Say whether the taps (kh, kw) of one channel have at least this minimum-phase margin.

    This takes a hundredth of the time of `minimum_phase_margin`. It looks at sixteen times as many slices as the taps
    have on their longer side; between two slices the margin may be a little smaller.

    Example:
        >>> import torch
        >>> clears(torch.tensor([[1.0, -0.5]]), 0.9), clears(torch.tensor([[1.0, -0.5]]), 1.1)
        (True, False)
    """
    taps = weight.detach().to("cpu", torch.float64)[None, None]
    if not bool(torch.isfinite(taps).all()) or float(taps[0, 0, 0, 0]) == 0:
        return False
    angles = torch.linspace(0, math.pi, 16 * max(weight.shape) + 1, dtype=torch.float64)
    radii = torch.full_like(angles, 1 + margin)
    return bool(_free_of_zeros(_slices(taps / taps[0, 0, 0, 0], (1, 1), angles, radii)).all())


def _radius(taps: torch.Tensor, dilation: tuple[int, int], known: float) -> float:
    """Return rho for the taps (C, C, kh, kw) of one group whose anchor is the identity; inf if surely above `known`."""
    safe = _safe_radius(taps, dilation)
    if safe >= min(known, _FARTHEST):
        return math.inf
    nearest = _nearest_by_winding if len(taps) == 1 else _nearest_by_eigenvalues
    if 1 in taps.shape[2:]:  # one variable: every slice is the same
        found = float(nearest(taps, dilation, torch.zeros(1, dtype=torch.float64), safe, _FINE))
        return found if found < _FARTHEST else math.inf
    count = max(_SLICES, 4 * (taps.shape[3] - 1) * dilation[1]) + 1
    angles = torch.linspace(0, math.pi, count, dtype=torch.float64)
    if len(taps) == 1 and known < _FARTHEST:
        beyond = torch.full_like(angles, 1.01 * known)
        if bool(_free_of_zeros(_slices(taps, dilation, angles, beyond)).all()):
            return math.inf
    radii = nearest(taps, dilation, angles, safe, _COARSE)
    step = math.pi / (count - 1)
    for _ in range(3):  # the minimum lies between the sampled angles: look closer beside the smallest ones
        left, right = radii.roll(1), radii.roll(-1)
        left[0], right[-1] = right[0], left[-1]
        basins = ((radii <= left) & (radii <= right)).nonzero()[:, 0]
        basins = basins[radii[basins].argsort(stable=True)][:_BASINS]
        found = float(radii.min())
        angles = (angles[basins, None] + torch.linspace(-step, step, 9, dtype=torch.float64)).flatten()
        radii = nearest(taps, dilation, angles, found, _FINE)
        step /= 4
    found = min(found, float(radii.min()))
    return found if found < _FARTHEST else math.inf


def _safe_radius(taps: torch.Tensor, dilation: tuple[int, int]) -> float:
    """Return a radius that surely holds no zero: there the taps beside the anchor sum, in norm, to less than 1."""
    norms = torch.linalg.matrix_norm(taps.permute(2, 3, 0, 1), ord=2)
    norms[0, 0] = 0.0
    degree = _degrees(taps, dilation).to(norms)
    low, high = math.log2(_NEAREST), math.log2(_FARTHEST)
    for _ in range(60):
        middle = (low + high) / 2
        safe = float((norms * torch.exp2(middle * degree)).nan_to_num(0.0).sum()) < 1.0
        low, high = (middle, high) if safe else (low, middle)
    return float(2.0**high)


def _degrees(taps: torch.Tensor, dilation: tuple[int, int]) -> torch.Tensor:
    """Return the power of z that each tap (kh, kw) has in a slice."""
    rows, columns = torch.arange(taps.shape[2]) * dilation[0], torch.arange(taps.shape[3]) * dilation[1]
    return rows[:, None] + columns


def _slices(taps: torch.Tensor, dilation: tuple[int, int], angles: torch.Tensor, radii: torch.Tensor) -> torch.Tensor:
    """Return M[m] with A(radius z, radius z e^(i theta)) = c * sum of M[m] z^m: (slices, degree + 1, C, C), c > 0."""
    degree = _degrees(taps, dilation)
    entries = taps.permute(2, 3, 0, 1)
    size = entries.abs().log2() + radii.log2()[:, None, None, None, None] * degree.double()[..., None, None]
    scaled = torch.exp2(size - size.amax((1, 2, 3, 4), keepdim=True)) * entries.sign()  # no overflow at any radius
    phase = torch.polar(
        torch.ones(1, dtype=angles.dtype), angles[:, None] * (torch.arange(taps.shape[3]) * dilation[1])
    )
    terms = (phase[:, None, :, None, None] * scaled).flatten(1, 2)
    result = torch.zeros(len(angles), int(degree.max()) + 1, *taps.shape[:2], dtype=torch.complex128)
    return result.index_add_(1, degree.flatten(), terms)


def _nearest_by_eigenvalues(
    taps: torch.Tensor, dilation: tuple[int, int], angles: torch.Tensor, start: float, precision: float
) -> torch.Tensor:
    """Return the smallest modulus of a zero, per slice.

    det(M[0] z^0 + ... + M[n] z^n) = 0  exactly where 1 / z is an eigenvalue of the block companion matrix.
    """
    blocks = _slices(taps, dilation, angles, torch.full_like(angles, start))
    blocks = torch.linalg.solve(blocks[:, :1], blocks[:, 1:])
    count, degree, size, _ = blocks.shape
    companion = torch.zeros(count, degree * size, degree * size, dtype=blocks.dtype)
    companion[:, :size] = -blocks.transpose(1, 2).flatten(2)
    companion[:, size:, :-size] = torch.eye((degree - 1) * size, dtype=blocks.dtype)
    largest: torch.Tensor = torch.linalg.eigvals(companion).abs().amax(1)
    return start / largest.clamp_min(start / _FARTHEST)


def _nearest_by_winding(
    taps: torch.Tensor, dilation: tuple[int, int], angles: torch.Tensor, start: float, precision: float
) -> torch.Tensor:
    """Return the smallest modulus of a zero, per slice, by bisection from `start`.

    It is rough in slices whose nearest zero is surely farther away than that of another slice: those are not pursued.
    """

    def free(radii: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        return _free_of_zeros(_slices(taps, dilation, angles[which], radii[which]))

    low, high = torch.full_like(angles, start), torch.full_like(angles, math.inf)
    factor = 1 + 100 * precision
    which = torch.arange(len(angles))
    while len(which := which[~free(low, which)]) and factor < _FARTHEST:
        high[which] = low[which]
        low[which] /= factor
        factor *= factor
    factor = 1 + 100 * precision
    which = torch.arange(len(angles))
    while not bool(high.isfinite().any()):
        if float(low.min()) > _FARTHEST:
            return low
        further = low * factor
        clear = free(further, which)
        low[clear], high[~clear] = further[clear], further[~clear]
        factor *= factor
    while len(which := ((low * (1 + precision) < high) & (low <= high.min())).nonzero()[:, 0]):
        middle = (low * high.clamp(max=2 * float(high.min()))).sqrt()
        clear = free(middle, which)
        low[which[clear]], high[which[~clear]] = middle[which[clear]], middle[which[~clear]]
    return low


def _free_of_zeros(slices: torch.Tensor) -> torch.Tensor:
    """Say per slice (slices, degree + 1, 1, 1) whether its polynomial has no zero for |z| <= 1, by its winding number.

    A stretch of the circle with the values l, m, r at its ends and its middle is resolved where the values run nearly
    straight compared with their distance from 0, |l - 2 m + r| <= min(|l|, |m|, |r|), and turn by at most a quarter
    from l to m and from m to r: so they pass 0 on the side that these angles say. Others are halved. A value that
    rounding could have made is a zero.
    """
    slices = slices[:, :, 0, 0]
    floor = 8 * torch.finfo(torch.float64).eps * slices.shape[1] * slices.abs().sum(1)
    count = max(64, 4 * slices.shape[1])  # of stretches: at least eight values a turn
    values = torch.fft.ifft(slices, n=2 * count, dim=1, norm="forward")
    left, middle, right = values[:, ::2], values[:, 1::2], values[:, ::2].roll(-1, 1)
    open_ = ~_resolved(left, middle, right)
    winding = torch.where(open_, 0.0, _turn(left, middle, right)).sum(1)
    free = values.abs().amin(1) > floor

    which, where = open_.nonzero(as_tuple=True)
    start, width = where.double() * (2 * math.pi / count), 2 * math.pi / count
    left, middle, right = (part[which, where] for part in (left, middle, right))
    for _ in range(_HALVINGS):
        hopeful = free[which]
        which, start, left, middle, right = (part[hopeful] for part in (which, start, left, middle, right))
        if len(which) == 0:
            break
        width /= 2
        left, right = torch.cat([left, middle]), torch.cat([middle, right])
        which, start = which.repeat(2), torch.cat([start, start + width])
        middle = _evaluate(slices[which], start + width / 2)
        free[which[middle.abs() <= floor[which]]] = False
        done = _resolved(left, middle, right)
        winding.index_add_(0, which[done], _turn(left, middle, right)[done])
        which, start, left, middle, right = (part[~done] for part in (which, start, left, middle, right))
    free[which] = False
    unwound: torch.Tensor = free & (winding.abs() < math.pi)
    return unwound


def _evaluate(polynomials: torch.Tensor, phase: torch.Tensor) -> torch.Tensor:
    """Return each polynomial (n, degree + 1) at a point e^(i phase) of its own."""
    powers = torch.arange(polynomials.shape[1], dtype=phase.dtype)
    return (polynomials * torch.polar(torch.ones(1, dtype=phase.dtype), phase[:, None] * powers)).sum(1)


def _resolved(left: torch.Tensor, middle: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    nearest = torch.minimum(torch.minimum(left.abs(), middle.abs()), right.abs())
    straight = (left - 2 * middle + right).abs() <= nearest
    ahead = ((middle * left.conj()).real >= 0) & ((right * middle.conj()).real >= 0)
    return straight & ahead


def _turn(left: torch.Tensor, middle: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return torch.angle(middle / left) + torch.angle(right / middle)
