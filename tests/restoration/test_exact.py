"""The exact inverse: above 60 dB where the blur has a stable one, a refusal where it has none."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from pictures import picture, psnr

from deblur import psf as psfs
from deblur.errors import UnstableInverseError
from deblur.ops import masked_conv2d
from deblur.psf import Kernel, MaskedForm
from deblur.psf.operator import blur
from deblur.restoration import RESTORERS, Problem
from deblur.restoration.auto import configured
from deblur.restoration.exact import Exact

QUIET = 1e-5
"""Noise of a frame that 16 bits round."""


def _stored(frame: torch.Tensor) -> torch.Tensor:
    """As a 16-bit file keeps it."""
    return torch.round(frame.clamp(0, 1) * 65535) / 65535


@pytest.mark.parametrize(
    "spec",
    [
        "exponential:decay=4,angle=0",
        "exponential:decay=3,angle=90",
        "exponential:decay=2,angle=200",
        "exponential:decay=2,angle=300",
        "laplace:decay=1.5",
    ],
)
def test_above_60_db_on_a_noise_free_frame_with_a_zero_boundary(spec: str) -> None:
    truth, kernel = picture(80, 90), psfs.make(spec)
    frame = _stored(blur(truth, kernel, "zero"))
    result = RESTORERS["exact"](Problem(blurred=frame, kernel=kernel, sigma=QUIET, boundary="zero"))
    assert psnr(result.image, truth) > 60
    assert result.status == "converged"
    assert result.notes == ()


@pytest.mark.parametrize("spec", ["exponential:decay=3,angle=200", "laplace:decay=1.5"])
def test_unknown_border_is_restored_inside_and_says_where_not(spec: str) -> None:
    scene, kernel = picture(120, 130), psfs.make(spec)
    frame = _stored(blur(scene, kernel))
    top, left = ((k - 1 - k // 2) for k in kernel.shape)
    truth = scene[:, top : top + frame.shape[1], left : left + frame.shape[2]]
    result = RESTORERS["exact"](Problem(blurred=frame, kernel=kernel, sigma=QUIET))
    (note,) = result.notes
    reach = int(re.search(r"about (\d+) pixels", note).group(1))  # type: ignore[union-attr]
    assert 1 <= reach < 30
    inside = (..., slice(reach, -reach), slice(reach, -reach))
    assert psnr(result.image[inside], truth[inside]) > 45
    deep = (..., slice(3 * reach, -3 * reach), slice(3 * reach, -3 * reach))
    assert psnr(result.image[deep], truth[deep]) > 60


@pytest.mark.parametrize("boundary", ["circular", "reflect", "replicate"])
def test_other_boundaries_go_through_the_normal_equations(boundary: str) -> None:
    truth, kernel = picture(60, 60), psfs.make("exponential:decay=2,angle=200")
    frame = _stored(blur(truth, kernel, boundary))
    result = RESTORERS["exact"](Problem(blurred=frame, kernel=kernel, boundary=boundary))
    assert psnr(result.image, truth) > 60


@pytest.mark.parametrize("spec", ["motion:length=15,angle=30", "gaussian:sigma=2", "defocus:radius=4"])
@pytest.mark.parametrize("boundary", ["unknown", "zero"])
def test_unstable_inverse_is_refused(spec: str, boundary: str) -> None:
    problem = Problem(blurred=picture(), kernel=psfs.make(spec), boundary=boundary)
    with pytest.raises(UnstableInverseError, match=r"not stable \(its spectrum falls to .* use --method wiener"):
        RESTORERS["exact"](problem)


def test_a_causal_kernel_that_amplifies_is_refused() -> None:
    kernel = torch.zeros(1, 3)
    kernel[0, 1], kernel[0, 2] = 0.4, 0.6  # the later tap is the larger: the inverse grows along the row
    with pytest.raises(UnstableInverseError, match="amplifies noise"):
        RESTORERS["exact"](Problem(blurred=picture(), kernel=kernel.numpy(), boundary="zero"))


def test_largest_gain_is_a_setting() -> None:
    problem = Problem(blurred=picture(), kernel=psfs.make("exponential:decay=4,angle=0"), boundary="zero")
    with pytest.raises(UnstableInverseError):
        configured("exact", {"max_gain": 1.5})(problem)


def test_mask_is_not_used_and_that_is_said() -> None:
    frame = picture()
    problem = Problem(blurred=frame, kernel=psfs.make("exponential:decay=1,angle=0"), boundary="zero", mask=frame < 0)
    assert "as they are" in RESTORERS["exact"](problem).notes[0]


def test_factors_are_undone_from_the_last_to_the_first() -> None:
    factors = (
        MaskedForm("top_left", np.array([[0.7, 0.2], [0.1, 0.0]])),
        MaskedForm("bottom_right", np.array([[0.6, 0.3], [0.1, 0.0]])),
    )
    scene = picture(24, 30).double()
    blurred = scene
    for form in factors:
        weight = torch.as_tensor(form.weight)[None, None]
        blurred = masked_conv2d(blurred[None], weight, orientation=form.orientation)[0]
    kernel = Kernel([[1.0]], factors=factors)
    result = Exact()(Problem(blurred=blurred, kernel=kernel, boundary="zero"))
    torch.testing.assert_close(result.image, scene, rtol=0, atol=1e-9)
    assert result.residual < 1e-9
    turned = Exact()(Problem(blurred=blurred, kernel=kernel.replaced(factors=factors[::-1]), boundary="zero"))
    assert float((turned.image - scene).abs().max()) > 1e-3


def test_noise_that_would_come_out_stronger_than_the_blur_is_refused_with_its_gain() -> None:
    truth, kernel = picture(80, 90), psfs.make("exponential:decay=4,angle=0")
    frame = blur(truth, kernel, "zero")
    rounded = frame.half().float()
    noise = float((rounded - frame).square().mean().sqrt())
    with pytest.raises(
        UnstableInverseError, match=r"would make the noise \d+(\.\d+)? times as strong, .* use --method w"
    ):
        RESTORERS["exact"](Problem(blurred=frame, kernel=kernel, sigma=0.02, boundary="zero"))
    quiet = RESTORERS["exact"](Problem(blurred=rounded, kernel=kernel, sigma=noise, boundary="zero"))
    assert psnr(quiet.image, truth) > psnr(rounded, truth)
