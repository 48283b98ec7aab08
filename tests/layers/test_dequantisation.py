"""Laws of dequantisation: pixels stay in their cells, and q(u | k) is the density it says."""

from __future__ import annotations

import pytest
import torch

from deblur.errors import DtypeError
from deblur.layers import UniformDequantisation, VariationalDequantisation

LEVELS = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)


def variational(seed: int = 0, scale: float = 0.5) -> VariationalDequantisation:
    """Away from its start."""
    torch.manual_seed(seed)
    layer = VariationalDequantisation(1, hidden=4)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return layer


@pytest.mark.parametrize("layer", [UniformDequantisation(), VariationalDequantisation(1), variational(scale=2.0)])
def test_every_pixel_stays_in_its_cell(layer: torch.nn.Module) -> None:
    for seed in range(200):
        v, log_det = layer(LEVELS, torch.Generator().manual_seed(seed))
        assert torch.equal((v * 256).floor(), LEVELS.float())
        assert bool(log_det.isfinite().all())


def test_the_topmost_noise_stays_in_the_cell_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """(255 + (1 - 2^-24)) / 256 is 1 in float32, and would be of the next cell."""
    monkeypatch.setattr(torch, "rand", lambda shape, **options: torch.full(shape, 1 - 2**-24))
    v, _ = UniformDequantisation()(LEVELS)
    assert torch.equal((v * 256).floor(), LEVELS.float())


def test_uniform_noise_is_uniform() -> None:
    levels = torch.full((1, 1, 256, 256), 7, dtype=torch.uint8)
    v, log_det = UniformDequantisation()(levels, torch.Generator().manual_seed(0))
    u = (256 * v - 7).flatten().sort().values
    distance = (u - torch.linspace(0, 1, len(u))).abs().max()
    assert distance.item() < 1.6 / len(u) ** 0.5  # Kolmogorov and Smirnov at 1 %
    assert log_det.tolist() == [0.0]


def test_variational_noise_starts_uniform() -> None:
    layer = VariationalDequantisation(1)
    uniform = UniformDequantisation()(LEVELS, torch.Generator().manual_seed(3))
    found = layer(LEVELS, torch.Generator().manual_seed(3))
    torch.testing.assert_close(found[0], uniform[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(found[1], uniform[1], rtol=0, atol=1e-3)


def test_the_log_density_is_that_of_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """log_det = -log q(u | k) = log du/du0, elementwise: against autograd through the uniform numbers."""
    layer = variational().double()
    monkeypatch.setattr(torch, "get_default_dtype", lambda: torch.float64)
    u0 = torch.rand(LEVELS.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    monkeypatch.setattr(torch, "rand", lambda *shape, **options: u0)
    v, log_det = layer(LEVELS)
    (slope,) = torch.autograd.grad(256 * v.sum(), u0)
    torch.testing.assert_close(log_det, slope.log().sum((1, 2, 3)))


def test_q_integrates_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the mean of 1 / q over its own samples: the length of the interval, 1."""
    layer = variational().double()
    monkeypatch.setattr(torch, "get_default_dtype", lambda: torch.float64)
    for level in (0, 100, 255):
        one = torch.full((20000, 1, 1, 1), level, dtype=torch.uint8)
        _, log_det = layer(one, torch.Generator().manual_seed(0))
        assert log_det.exp().mean().item() == pytest.approx(1, abs=0.03)


def test_learning_it_tightens_the_bound() -> None:
    """Levels of a law concentrated in one half of each cell: uniform noise cannot match it, a learned one does."""
    layer = VariationalDequantisation(1, hidden=4)
    levels = torch.full((256, 1, 4, 4), 128, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)

    def bound() -> torch.Tensor:
        v, log_det = layer(levels, generator)
        u = 256 * v - 128
        log_p = torch.distributions.Beta(4.0, 2.0).log_prob(u.clamp(1e-4, 1 - 1e-4)).sum((1, 2, 3))
        return -(log_p + log_det).mean() / 16

    before = bound().item()
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.03)
    for _ in range(60):
        optimizer.zero_grad()
        loss = bound()
        loss.backward()
        optimizer.step()
    assert before > 0.4
    assert bound().item() < 0.05  # 0 is a perfect match


@pytest.mark.parametrize("layer", [UniformDequantisation(), VariationalDequantisation(1)])
def test_floats_are_refused(layer: torch.nn.Module) -> None:
    with pytest.raises(DtypeError, match=r"as uint8, got torch\.float32"):
        layer(torch.zeros(1, 1, 2, 2))
