"""What a frame shows about itself: one record, made of the whole, that tiles and regions take."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from pictures import of, picture

import deblur
from deblur import psf
from deblur.measuring import Measurements, measure, pose
from deblur.options import ApplyOptions
from deblur.psf import Kernel
from deblur.psf.operator import blur
from deblur.transfer import TRANSFERS

SRGB = TRANSFERS["srgb"]
KERNEL = Kernel(psf.make("shake:size=9,seed=2"))


def photograph(photons: float, side: int = 300) -> Any:
    """A gray frame blurred in light, with photon noise."""
    light = blur(SRGB.decode(picture(side, side)).double(), np.asarray(KERNEL))
    counts = np.random.default_rng(0).poisson(light.numpy().clip(0) * photons) / photons
    return of(SRGB.encode(torch.from_numpy(counts).float()))


def test_the_record_can_be_written_down() -> None:
    record = measure(photograph(2000), KERNEL, ApplyOptions())
    assert Measurements.of(json.loads(json.dumps(record.plain()))) == record


def test_photon_noise_is_told_by_level() -> None:
    """In stored values photon noise falls with the level, as the curve flattens."""
    photons = 3000
    record = measure(photograph(photons), KERNEL, ApplyOptions())
    for stored in (0.3, 0.5, 0.7):
        light = SRGB.decode(torch.tensor(stored))
        true = float((light / photons).sqrt() / SRGB.slope(torch.tensor(stored), light))
        assert 0.7 < record.deviation(stored) / true < 1.5


def test_noise_that_is_told_is_taken() -> None:
    record = measure(photograph(2000), KERNEL, ApplyOptions(noise=0.03))
    assert (record.even, record.deviations) == (True, (0.03,))


def test_a_part_is_posed_as_the_whole_is() -> None:
    frame = photograph(2000)
    record = measure(frame, KERNEL, ApplyOptions())
    window = (slice(40, 140), slice(60, 160))
    whole, part = (pose(one, KERNEL, record, ApplyOptions()) for one in (frame, frame.window(*window)))
    assert whole.deviation is not None
    assert part.deviation is not None
    assert whole.sigma == part.sigma
    inner = (..., slice(4, -4), slice(4, -4))
    torch.testing.assert_close(whole.deviation[(..., *window)][inner], part.deviation[inner])


def test_a_record_that_is_given_is_taken() -> None:
    frame = photograph(2000, 120)
    record = Measurements(linear=False, deviations=(0.05,))
    options = ApplyOptions(method="hyperlaplacian")
    given = deblur.restore(frame, KERNEL, options, measured=record)
    assert given.sigma == 0.05
    assert not torch.equal(given.image, deblur.restore(frame, KERNEL, options).image)


def test_a_region_is_restored_as_in_the_whole() -> None:
    frame = photograph(2000, 360)
    options = ApplyOptions(method="hyperlaplacian")
    whole = deblur.restore(frame, KERNEL, options).image
    part = deblur.restore(frame.window(slice(104, 248), slice(96, 240)), KERNEL, options, whole=frame).image
    inner = slice(40, -40)
    difference = (part[:, inner, inner] - whole[:, 104:248, 96:240][:, inner, inner]).abs()
    assert float(difference.max()) < 4 / 255
    assert float(difference.mean()) < 0.3 / 255
