"""A mask and weights go with a picture: what they leave out reaches nothing, in the whole, in parts and in tiles."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from pictures import of, picture

import deblur
from deblur.errors import DivergedError, OptionError, ShapeError
from deblur.options import ApplyOptions
from deblur.picture import Picture
from deblur.psf import Kernel, make
from deblur.psf.operator import blur
from deblur.restoring import restored

TAPS = make("motion:length=5,angle=30")
HOLE = (slice(None), slice(20, 26), slice(30, 36))


@pytest.fixture(scope="module")
def frame() -> torch.Tensor:
    return blur(picture(), TAPS)


@pytest.fixture(scope="module")
def mask(frame: torch.Tensor) -> torch.Tensor:
    mask = torch.ones_like(frame, dtype=torch.bool)
    mask[HOLE] = False
    return mask


def _image(frame: torch.Tensor, method: str, **rest: Any) -> torch.Tensor:
    options = ApplyOptions(method=method, transfer="linear", noise=0.005)
    return deblur.restore(of(frame, **rest), TAPS, options).image


@pytest.mark.parametrize("method", ["wiener", "hyperlaplacian", "tv", "rl"])
def test_what_is_masked_reaches_nothing(frame: torch.Tensor, mask: torch.Tensor, method: str) -> None:
    spoilt = frame.clone()
    spoilt[HOLE] = float("nan")
    masked = _image(frame, method, mask=mask)
    torch.testing.assert_close(_image(spoilt, method, mask=mask), masked)
    torch.testing.assert_close(_image(spoilt, method, weights=mask.float()), masked)
    spoilt[HOLE] = 9.0
    torch.testing.assert_close(_image(spoilt, method, mask=mask), masked)
    assert not torch.equal(_image(frame, method), masked)
    torch.testing.assert_close(_image(frame, method, weights=torch.ones_like(frame)), _image(frame, method))


def test_weights_between_count_in_between(frame: torch.Tensor, mask: torch.Tensor) -> None:
    spoilt = frame.clone()
    spoilt[HOLE] = 1 - spoilt[HOLE]
    away = [
        float((_image(spoilt, "wiener", weights=torch.where(mask, 1.0, weight)) - _image(frame, "wiener")).abs().mean())
        for weight in (1.0, 0.1, 0.0)
    ]
    assert away[0] > away[1] > away[2]


def test_parts_and_tiles_take_what_is_theirs(
    frame: torch.Tensor, mask: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = of(frame, mask=mask, weights=mask.float())
    part = whole.window(slice(10, 60), slice(5, 70))
    assert part.mask is not None
    assert part.weights is not None
    assert torch.equal(part.mask, mask[:, 10:60, 5:70])
    assert torch.equal(part.weights, mask[:, 10:60, 5:70].float())
    assert part.window(slice(2, 9), slice(3, 9)).place == (12, 8)
    asked: list[Any] = []
    monkeypatch.setattr(Kernel, "at", lambda self, window=None: asked.append(window) or self)
    deblur.restore(part, TAPS, ApplyOptions(method="wiener", noise=0.01, outliers="none", trust="none"), whole=whole)
    assert asked == [(slice(10, 60), slice(5, 70))]


def test_a_mask_goes_into_an_estimation_and_denoising(frame: torch.Tensor, mask: torch.Tensor) -> None:
    sharp, spoilt = of(picture()), frame.clone()
    spoilt[HOLE] = float("nan")
    good = deblur.fit(of(frame, mask=mask), sharp, size=7, transfer="linear")
    bad = deblur.fit(of(spoilt, mask=mask), sharp, size=7, transfer="linear")
    torch.testing.assert_close(torch.tensor(good.kernel), torch.tensor(bad.kernel))
    assert bool(torch.isfinite(deblur.denoise(of(spoilt, mask=mask), noise=0.05).pixels).all())


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"mask": torch.ones(8, 9)}, ShapeError),
        ({"mask": torch.ones(2, 8, 9)}, ShapeError),
        ({"weights": torch.ones(1, 8, 8)}, ShapeError),
        ({"weights": torch.full((1, 8, 9), 2.0)}, OptionError),
        ({"weights": torch.full((1, 8, 9), float("nan"))}, OptionError),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(wrong: dict[str, torch.Tensor], error: type[Exception]) -> None:
    with pytest.raises(error, match="expected"):
        Picture(pixels=torch.zeros(3, 8, 9), **wrong)  # type: ignore[arg-type]


def test_what_diverged_says_so() -> None:
    blurred = of(torch.zeros(1, 8, 8))
    result = deblur.restore(of(torch.rand(1, 30, 30)), TAPS, ApplyOptions(method="wiener"))
    with pytest.raises(DivergedError, match=r"wiener diverged after .* steps; try another method"):
        restored(blurred, dataclasses.replace(result, status="diverged"))
