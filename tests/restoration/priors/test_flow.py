"""The learned prior: what holds for its denoiser, and for the one that comes with the package."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import of
from scenes import noisy, photograph
from torch import Tensor

import deblur
from deblur import psf as psfs
from deblur.errors import FileError, OptionError
from deblur.flows import build, checkpoint
from deblur.metrics import psnr
from deblur.noise import LEAST_SIGMA, MOST_SIGMA, estimate_sigma
from deblur.options import ApplyOptions
from deblur.restoration import RESTORERS, Problem
from deblur.restoration.auto import configured
from deblur.restoration.hqs import HalfQuadraticSplitting
from deblur.restoration.priors import flow
from deblur.restoration.priors.flow import FlowPrior, denoised
from deblur.restoration.priors.splitting import Level
from deblur.restoring import restore

SMALL = {"architecture": "image_prior", "steps": 1, "features": 4, "taps": 3}


def _photograph(side: int) -> Tensor:
    return photograph(side).float()


def _saved(path: Path, seed: int = 0, **config: object) -> str:
    torch.manual_seed(seed)
    made = {**SMALL, **config}
    checkpoint.save(path, made, build(made), force=True)
    return str(path)


@pytest.mark.parametrize(("level", "gain"), [(10, 3.0), (25, 6.0)])
def test_the_shipped_prior_removes_noise(level: int, gain: float) -> None:
    clean = _photograph(96)
    frame = noisy(clean, level / 255)
    assert psnr(denoised(frame, level / 255), clean) > psnr(frame, clean) + gain


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_white_noise_stays_white_through_the_colour_basis(channels: int) -> None:
    rotation, _, _ = flow._basis(torch.zeros(channels, 1, 1))
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(channels), atol=1e-6, rtol=0)


def test_colours_that_are_gray_are_denoised_as_gray() -> None:
    clean = _photograph(64)
    gray = noisy(clean, 0.1)
    colour = denoised(gray.expand(3, -1, -1).contiguous(), 0.1 * 3**0.5)  # the noise of all three in one
    torch.testing.assert_close(colour.mean(0, keepdim=True), denoised(gray, 0.1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_planes_look_like_gray_pictures(channels: int) -> None:
    """Offset and scale keep colours in [0, 1] about there, and white noise of one level is told as such."""
    corners = torch.tensor([[float(c >> i & 1) for c in range(8)] for i in range(3)])[:channels, :, None]
    rotation, offset, scale = flow._basis(corners)
    planes = torch.einsum("pc,chw->phw", rotation, corners) * scale[:, None, None] + offset[:, None, None]
    assert float(planes.amin()) > -0.5
    assert float(planes.amax()) < 1.5


@pytest.mark.parametrize("size", [(1, 1), (5, 8), (8, 6), (31, 33)])
def test_any_size_is_denoised_as_a_padded_one(size: tuple[int, int]) -> None:
    frame = noisy(_photograph(40), 0.1)[:, : size[0], : size[1]]
    result = denoised(frame, 0.1)
    assert result.shape == frame.shape
    padded = torch.nn.functional.pad(frame[None], (0, -size[1] % 4, 0, -size[0] % 4), mode="replicate")[0]
    torch.testing.assert_close(result, denoised(padded, 0.1)[:, : size[0], : size[1]])


@pytest.mark.parametrize("index", range(4))
def test_a_shift_is_undone(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    monkeypatch.setattr(flow, "denoised", lambda image, *_: seen.append(image) or image)
    frame = _photograph(21)[:, :, :17]
    assert not FlowPrior().pull(frame, Level(q=1.0, penalty=0.1, index=index)).any()
    assert sorted(seen[0].flatten().tolist()) == sorted(frame.flatten().tolist())


def test_levels_are_shifted_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, seen = torch.arange(64.0).reshape(1, 8, 8), set()
    monkeypatch.setattr(flow, "denoised", lambda image, *_: seen.add(float(image[0, 0, 0])) or image)
    for level in FlowPrior().schedule(0.01):
        FlowPrior().pull(frame, level)
    assert len(seen) > 3


def test_tiles_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = noisy(_photograph(200)[:, :72], 25 / 255)
    whole = denoised(frame, 25 / 255)
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(flow, "_TILE", 128)
    tiled = denoised(frame, 25 / 255, "", lambda *step: told.append(step))
    assert float((tiled - whole).abs().max()) < 0.5 / 255
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize("share", [1e-3, 0.1])
def test_less_noise_than_trained_for_changes_little(share: float) -> None:
    clean, sigma = _photograph(48), share * LEAST_SIGMA
    assert float((denoised(clean, sigma) - clean).abs().max()) < sigma


@pytest.mark.parametrize("factor", [1.5, 4.0])
def test_more_noise_than_trained_for_is_removed(factor: float) -> None:
    clean, sigma = _photograph(96), factor * MOST_SIGMA
    frame = noisy(clean, sigma)
    assert psnr(denoised(frame, sigma), clean) > psnr(frame, clean) + 12


def test_the_type_of_the_image_is_kept() -> None:
    frame = photograph(16)
    assert frame.dtype == denoised(frame, 0.1).dtype == torch.float64


def test_another_file_is_used_and_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    frame = noisy(_photograph(24), 0.1)
    first = denoised(frame, 0.1, _saved(path, 0, taps=3))
    assert not torch.equal(first, denoised(frame, 0.1))
    _saved(path, 1, taps=5)
    os.utime(path, ns=(1, 1))
    assert not torch.equal(first, denoised(frame, 0.1, str(path)))


def test_a_bad_file_is_refused_as_a_setting(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.pt: there is no such checkpoint"):
        FlowPrior(file="none.pt")
    other = tmp_path / "other.pt"
    config = {"architecture": "multiscale", "shape": [1, 8, 8], "levels": 1, "steps": 1, "hidden": 4}
    checkpoint.save(other, config, build(config))
    with pytest.raises(FileError, match=r"other\.pt: expected a prior that knows the noise .* found multiscale"):
        FlowPrior(file=str(other))


def test_a_prior_goes_to_a_method_that_takes_one(tmp_path: Path) -> None:
    path = _saved(tmp_path / "mine.pt")
    for method in ("auto", "flow"):
        made = configured(method, {"prior": {"steps": 3}}, path)
        assert isinstance(made, HalfQuadraticSplitting)
        assert made.prior == FlowPrior(file=path, steps=3)
    for method in set(RESTORERS) - {"flow"}:
        with pytest.raises(OptionError, match=f"{method} takes no learned prior; use flow"):
            configured(method, {}, path)


def test_levels_go_from_the_first_to_the_last() -> None:
    levels = FlowPrior(steps=5, first=0.2, last=0.5, weight=2).schedule(0.01)
    assert levels[0].penalty == pytest.approx(0.2)
    assert levels[-1].penalty == pytest.approx(0.005)
    assert [level.q * level.penalty**2 for level in levels] == pytest.approx([2e-4] * 5)


@pytest.mark.parametrize(
    "settings", [{"steps": 0}, {"first": 0.0}, {"first": 1.5}, {"last": -1.0}, {"weight": float("nan")}]
)
def test_bad_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(OptionError, match="expected"):
        FlowPrior(**settings)  # type: ignore[arg-type]


class _Recorded:
    """A prior of the identity's filter whose prox is a constant, and tells what it was shown."""

    symbol = staticmethod(flow._one)

    def __init__(self) -> None:
        self.shown: list[Tensor] = []

    def schedule(self, sigma: float) -> list[Level]:
        return [Level(q=1.0, penalty=sigma, index=i) for i in range(3)]

    def pull(self, image: Tensor, level: Level) -> Tensor:
        self.shown.append(image.clone())
        return 0.25 * level.index - image


def test_the_scene_is_pulled_to_what_the_prior_makes_of_it() -> None:
    problem = Problem(blurred=noisy(_photograph(12), 0.1), kernel=np.ones((1, 1)), boundary="circular")
    prior = _Recorded()
    scenes = [e.scene for e in HalfQuadraticSplitting(prior=prior).estimates(problem)]
    for shown, scene in zip(prior.shown, [problem.blurred, *scenes], strict=False):
        torch.testing.assert_close(shown, scene)
    for index, scene in enumerate(scenes):
        torch.testing.assert_close(scene, (problem.blurred + 0.25 * index) / 2)


@pytest.mark.parametrize(("denoise_from", "share"), [(0.01, 1.0), (0.02, 1.0), (0.04, 0.25), (np.inf, 0.0)])
def test_the_more_noise_the_more_of_a_last_denoising(denoise_from: float, share: float) -> None:
    problem = Problem(blurred=noisy(_photograph(12), 0.1), kernel=np.ones((1, 1)), boundary="circular", sigma=0.02)
    made = HalfQuadraticSplitting(prior=_Recorded(), denoise_from=denoise_from)(problem)
    before = (problem.blurred + 0.5) / 2
    torch.testing.assert_close(made.image, before + share * (0.5 - before))
    assert made.steps == 3


@pytest.mark.parametrize("level", [0.0, -1.0, float("nan")])
def test_denoising_from_no_level_is_refused(level: float) -> None:
    with pytest.raises(OptionError, match=r"expected denoise_from above 0"):
        HalfQuadraticSplitting(prior=FlowPrior(), denoise_from=level)


@pytest.mark.slow
def test_less_noise_than_a_frame_shows_is_not_believed() -> None:
    """The flow lets through what it is not told of; it takes three quarters of what the frame shows."""
    blurred, taps = noisy(_photograph(64), 0.02), np.full((3, 3), 1 / 9)
    runs = {
        n: restore(of(blurred), taps, ApplyOptions(method="flow", noise=n, transfer="linear")) for n in (0.001, 0.1)
    }
    shown = estimate_sigma(blurred)
    least = restore(of(blurred), taps, ApplyOptions(method="flow", noise=0.75 * shown, transfer="linear"))
    torch.testing.assert_close(runs[0.001].image, least.image)
    told = f"the frame shows noise of {shown:.2g}: flow takes {0.75 * shown:.2g}, not 0.001"
    assert runs[0.001].notes == (told,)
    assert not runs[0.1].notes
    assert not least.notes
    assert not restore(of(blurred), taps, ApplyOptions(method="wiener", noise=0.001, transfer="linear")).notes


def test_no_pixel_is_moved_further_than_noise_can() -> None:
    """Nothing bounds a score of what no photograph looks like."""
    wild = torch.randint(0, 2, (1, 48, 48), generator=torch.Generator().manual_seed(0)).float()
    moved = float((denoised(wild, 3 / 255) - wild).abs().max())
    assert moved == pytest.approx(8 * 3 / 255, rel=1e-3)


def test_values_far_beyond_white_do_not_grow() -> None:
    """A prior has seen none; what it made of them went past all bounds from level to level."""
    wild = 1e4 * torch.randn(1, 32, 32, generator=torch.Generator().manual_seed(0))
    change = denoised(wild, 3 / 255) - wild
    assert float(change.abs().max()) < 20
    frame = np.random.default_rng(0).random((96, 96), dtype=np.float32)
    restored = deblur.apply(frame, psfs.make("shake:size=25,seed=3"), method="flow", noise=0.01, transfer="linear")
    assert np.abs(restored).max() < 50
