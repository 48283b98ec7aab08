"""The minimum-phase margin on symbols whose zeros are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from deblur.ops.minimum_phase import minimum_phase_margin


def depthwise(*rows: object) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)[None, None]


KNOWN = {
    "anchor alone": (depthwise([3.0]), (1, 1), math.inf),
    "1 - z / 2": (depthwise([1, -0.5]), (1, 1), 1.0),
    "1 + z / 2, down": (depthwise([1], [0.5]), (1, 1), 1.0),
    "1 - z1^2 / 2": (depthwise([1], [-0.5]), (2, 1), math.sqrt(2) - 1),
    "1 - z1^2 z2^4 / 2": (depthwise([1, 0], [0, -0.5]), (2, 4), 2 ** (1 / 6) - 1),
    "both edges 1, yet a zero inside": (depthwise([1, 0], [0, -2]), (1, 1), 1 / math.sqrt(2) - 1),
    "a zero on the torus": (depthwise([1, -0.5], [-0.5, 0]), (1, 1), 0.0),
    "uniform motion": (depthwise([1] * 15), (1, 1), 0.0),
    "a trail": (depthwise([0.8**n for n in range(25)]), (1, 1), 0.25),
    "a trail along both axes": (depthwise(*[[0.8 ** (n + m) for m in range(9)] for n in range(9)]), (1, 1), 0.25),
    "a growing trail": (depthwise([1, -1.1]), (1, 1), 1 / 1.1 - 1),
    "a complex pair of zeros": (depthwise([1, -1.2, 0.72]), (1, 1), 1 / math.sqrt(0.72) - 1),
    "a zero between the sampled angles": (depthwise([1, 0], [0.5, 0.4]), (1, 1), None),
    "a faint tap": (depthwise([1, 1e-9]), (1, 1), 1e9 - 1),
    "a strong tap": (depthwise([1, 1e9]), (1, 1), 1e-9 - 1),
}


def nearest_root(weight: torch.Tensor, dilation: tuple[int, int]) -> float:
    """The margin by polynomial roots on a fine grid of slices."""
    taps = weight[0, 0].numpy()
    rows, columns = np.indices(taps.shape)
    degree = rows * dilation[0] + columns * dilation[1]
    radius = math.inf
    for theta in np.linspace(0, math.pi, 1441):
        polynomial = np.zeros(degree.max() + 1, dtype=complex)
        np.add.at(polynomial, degree, taps * np.exp(1j * theta * columns * dilation[1]))
        radius = min(radius, *np.abs(np.roots(polynomial[::-1])))
    return radius - 1


@pytest.mark.parametrize("name", KNOWN)
def test_known_zeros_are_found(name: str) -> None:
    weight, dilation, margin = KNOWN[name]
    if margin is None:
        margin = nearest_root(weight, dilation)
    assert minimum_phase_margin(weight, 1, dilation) == pytest.approx(margin, rel=1e-4, abs=2e-5)


@pytest.mark.parametrize("shape", [(4, 5), (9, 9)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
@pytest.mark.parametrize("anchor", [2.0, 6.0])
def test_random_taps_have_the_margin_of_their_polynomial_roots(shape, dilation, anchor: float) -> None:
    weight = torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    weight[..., 0, 0] = anchor
    margin = minimum_phase_margin(weight, 1, dilation)
    assert margin == pytest.approx(nearest_root(weight, dilation), abs=2e-4)


def test_a_multiple_zero_is_told_up_to_rounding() -> None:
    weight = depthwise([math.comb(8, n) * 0.5**n for n in range(9)])  # (1 + z / 2)^8
    assert 0.85 < minimum_phase_margin(weight) <= 1.001


def test_channels_that_mix_count_through_the_determinant() -> None:
    # A = [[1, a z1], [b z2, 1]]: det = 1 - a b z1 z2, though each entry alone has no zero.
    weight = torch.zeros(2, 2, 2, 2, dtype=torch.float64)
    weight[:, :, 0, 0] = torch.eye(2)
    weight[0, 1, 1, 0], weight[1, 0, 0, 1] = 4.0, 0.5
    assert minimum_phase_margin(weight) == pytest.approx(1 / math.sqrt(2) - 1, abs=1e-4)


def test_a_change_of_channel_basis_changes_nothing() -> None:
    diagonal = torch.zeros(3, 3, 1, 2, dtype=torch.float64)
    diagonal[:, :, 0, 0] = torch.eye(3)
    diagonal[:, :, 0, 1] = torch.diag(torch.tensor([0.3, -0.5, 0.4]))
    mix = torch.tensor([[1, 2, 0], [0, 1, -1], [1, 0, 1]], dtype=torch.float64)
    mixed = torch.einsum("ab,bcij,cd->adij", mix, diagonal, torch.linalg.inv(mix))
    assert minimum_phase_margin(mixed) == pytest.approx(1.0, abs=1e-4)
    assert minimum_phase_margin(torch.einsum("ab,bcij->acij", mix, mixed)) == pytest.approx(1.0, abs=1e-4)


def test_the_smallest_margin_of_the_groups_counts() -> None:
    weight = torch.tensor([[1, 0.1], [1, -0.5], [2, 0.5], [1, -0.5]], dtype=torch.float64).view(4, 1, 1, 2)
    assert minimum_phase_margin(weight, 4) == pytest.approx(1.0, abs=1e-4)
    assert minimum_phase_margin(weight.flip(0), 4) == pytest.approx(1.0, abs=1e-4)


def test_what_has_no_inverse_has_no_margin() -> None:
    assert math.isnan(minimum_phase_margin(depthwise([1, math.nan])))
    assert math.isnan(minimum_phase_margin(depthwise([1, math.inf])))
    assert minimum_phase_margin(depthwise([0, 1])) == -1.0
