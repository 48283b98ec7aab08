"""Whitening: it is the inverse root of the covariance it stands for."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.fft import dctn

from deblur.errors import ShapeError
from deblur.layers.dct_whitening import DCTWhitening
from deblur.layers.spectrum import Spectrum

H, W = 5, 7


def matrix_of(layer: DCTWhitening, context: torch.Tensor | None) -> torch.Tensor:
    basis = torch.eye(H * W, dtype=torch.float64).view(-1, 1, H, W)
    contexts = None if context is None else context.expand(len(basis), -1)
    return layer(basis, contexts)[0].flatten(1).T


def mirrored_laplacian() -> torch.Tensor:
    """The five-point Laplacian whose image goes on as in a mirror, as a matrix."""
    result = torch.zeros(H, W, H, W, dtype=torch.float64)
    for i in range(H):
        for j in range(W):
            for a, b in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                if 0 <= a < H and 0 <= b < W:
                    result[i, j, i, j] += 1
                    result[i, j, a, b] -= 1
    return result.view(H * W, H * W)


@pytest.mark.parametrize("sigma", [None, 0.01, 0.2])
def test_it_makes_white_what_has_its_covariance(sigma: float | None) -> None:
    """The covariance e^p0 (Laplacian + e^p1)^-e^p2 + sigma^2, as a matrix, without a transform."""
    layer = DCTWhitening(1, context_features=0 if sigma is None else 1).double()
    level, floor, power = layer.spectrum.power_law[0].detach()
    values, vectors = torch.linalg.eigh(mirrored_laplacian())
    variances = level.exp() * (values.clamp_min(0) + floor.exp()) ** -power.exp() + (sigma or 0.0) ** 2
    covariance = vectors @ torch.diag(variances) @ vectors.T
    context = None if sigma is None else torch.tensor([[math.log(sigma)]], dtype=torch.float64)
    white = matrix_of(layer, context)
    torch.testing.assert_close(white @ covariance @ white.T, torch.eye(H * W, dtype=torch.float64), rtol=0, atol=1e-9)


def test_the_table_adds_to_the_logarithm_where_its_knots_are() -> None:
    spectrum = Spectrum(1, context_features=1).double()
    frequency = math.pi * (torch.arange(8, dtype=torch.float64) / 7) ** 2
    sigma = torch.linspace(math.log(1 / 255), math.log(60 / 255), 6, dtype=torch.float64)
    before = spectrum(frequency, -frequency, sigma[:, None])
    torch.manual_seed(0)
    with torch.no_grad():
        spectrum.table.normal_()
    changed = spectrum(frequency, -frequency, sigma[:, None]) - before
    torch.testing.assert_close(changed[:, 0], spectrum.table[0])


def test_the_transform_is_the_orthonormal_dct() -> None:
    layer = DCTWhitening(1).double()
    x = torch.randn(1, 1, H, W, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    frequencies = [math.pi / n * torch.arange(n, dtype=torch.float64) for n in (H, W)]
    expected = dctn(x[0, 0].numpy(), norm="ortho") / layer.spectrum(*frequencies)[0, 0].exp().sqrt().detach().numpy()
    found = dctn(layer(x)[0][0, 0].detach().numpy(), norm="ortho")
    torch.testing.assert_close(torch.from_numpy(found), torch.from_numpy(expected))


def test_beyond_its_noise_levels_the_table_goes_on_as_at_the_last() -> None:
    spectrum = Spectrum(1, context_features=1)
    with torch.no_grad():
        spectrum.table[:, -1] = 1.0
    loud = spectrum(torch.tensor([1.0]), torch.tensor([1.0]), torch.tensor([[0.0]]))
    assert loud.item() == pytest.approx(1.0, abs=0.05)  # log(S + 1) is near 0


def test_another_context_is_refused() -> None:
    with pytest.raises(ShapeError, match="log sigma first, got"):
        DCTWhitening(1, context_features=1)(torch.zeros(1, 1, 4, 4), torch.zeros(1, 2))
