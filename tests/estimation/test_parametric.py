"""Named blurs from a picture alone, and from a pair."""

from __future__ import annotations

import pytest
import torch
from scenes import exposed, photograph

from deblur.errors import OptionError
from deblur.estimation.families import FAMILIES
from deblur.estimation.marginal import Evidence, periodogram
from deblur.estimation.parametric import Parametric
from deblur.estimation.parametric_pair import ParametricPair
from deblur.progress import Step


def test_motion_is_found() -> None:
    frame = exposed(photograph(280, 80, 100), "motion:length=14,angle=40", 0.005)
    estimate = Parametric(model="motion", size=21)([frame])
    assert estimate.details["length"] == pytest.approx(14, abs=0.5)
    assert estimate.details["angle"] % 180 == pytest.approx(40, abs=1.5)
    assert estimate.confidence > 0.5
    assert estimate.kernel.sum() == pytest.approx(1)


def test_defocus_is_found_and_told_from_a_gaussian() -> None:
    frame = exposed(photograph(280, 80, 100), "defocus:radius=4", 0.005)
    told: list[Step] = []
    estimate = Parametric(model="defocus", size=15)([frame], on_step=told.append)
    assert estimate.details["radius"] == pytest.approx(4, abs=0.1)
    assert [step.index for step in told] == sorted(step.index for step in told)
    assert told[-1].index == told[-1].total
    rival = Parametric(model="gaussian", size=9)([frame])
    assert estimate.details["evidence"] > rival.details["evidence"] + 20


def test_the_evidence_does_not_prefer_no_blur() -> None:
    """Nor more blur than there is: the failure of the joint posterior, which this objective is chosen to avoid."""
    power = periodogram([exposed(photograph(280, 80, 100), "gaussian:sigma=2", 0.005)], [None], 256)
    evidence = Evidence(power, 0.005)
    sigmas = torch.tensor([[0.01], [1.0], [2.0], [4.0]], dtype=torch.float64)
    costs = evidence(FAMILIES["gaussian"].spectrum(sigmas, evidence.down, evidence.across).square(), rounds=20).cost
    assert int(costs.argmin()) == 2


def test_masked_pixels_do_not_count() -> None:
    frame = exposed(photograph(200), "defocus:radius=4", 0.005)
    mask = torch.ones_like(frame)
    mask[:, 60:90, 60:90] = 0
    spoilt = torch.where(mask > 0, frame, torch.rand(frame.shape, generator=torch.Generator().manual_seed(0)).double())
    clean, same = (periodogram([image], [mask], 128) for image in (frame, spoilt))
    torch.testing.assert_close(clean, same)


def test_a_sharp_picture_has_nothing_to_remove() -> None:
    estimate = Parametric(model="motion", size=15)([photograph(200)])
    assert estimate.details["evidence"] < 100 or estimate.warnings


@pytest.mark.parametrize("spec", ["motion:length=9.5,angle=25", "defocus:radius=3.3", "gaussian:sigma=1.7"])
def test_a_pair_gives_the_parameters(spec: str) -> None:
    sharp = photograph(160)
    name, _, rest = spec.partition(":")
    estimate = ParametricPair(model=name, size=15)([exposed(sharp, spec, 0.005)], [sharp])
    for item in rest.split(","):
        key, _, value = item.partition("=")
        assert estimate.details[key] % 180 == pytest.approx(float(value), rel=0.02), key


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(OptionError, match="unknown parametric blur 'box'; Known: auto, defocus, gaussian, motion"):
        ParametricPair(model="box")
