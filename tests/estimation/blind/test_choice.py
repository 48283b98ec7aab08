"""From the starts' kernels to one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from deblur.estimation.blind import choice, selection, taps
from deblur.estimation.blind.pyramid import Plane
from deblur.estimation.blind.selection import Candidate, Judge, short_list

ACROSS, DOWN, SLANTED = (
    taps.normalised(k) for k in (np.eye(9)[4:5].T @ np.ones((1, 9)), np.ones((9, 1)) @ np.eye(9)[4:5], np.eye(9))
)


def test_a_short_list_has_one_of_every_start_first_and_none_twice() -> None:
    found = [
        Candidate(ACROSS, "plain", 0, 1.0),
        Candidate(DOWN, "plain", 1, 1.1),
        Candidate(ACROSS, "gamma", 0, 1.2),
        Candidate(SLANTED, "free", 0, 5.0),
    ]
    assert [one.energy for one in short_list(found, 2)] == [1.0, 5.0]
    assert [one.energy for one in short_list(found, 5)] == [1.0, 5.0, 1.1]


@pytest.mark.parametrize(("noise", "share"), [(0.0, 0.0), (0.002, 0.05), (0.004, 0.2), (0.02, 0.2)])
def test_the_score_is_the_evidence_and_a_fifth_of_the_energys_logarithm_and_in_noise_of_the_misfits(
    monkeypatch: pytest.MonkeyPatch, noise: float, share: float
) -> None:
    monkeypatch.setattr(selection, "evidence", lambda planes, kernel: 2.0)
    monkeypatch.setattr(selection, "misfit", lambda planes, kernel: np.e)
    judge = Judge([Plane(np.zeros((40, 40), np.float32), sigma=noise)], 9)
    assert judge.score(ACROSS, np.e**3) == pytest.approx(2.0 + 0.2 * 3 + share)


@dataclass(frozen=True)
class Fixed:
    """A refinement that always finds the same."""

    prox: float = 0

    def __call__(self, planes: object, kernel: object) -> object:
        return SLANTED


@pytest.mark.parametrize("better", [True, False])
def test_a_refinement_is_kept_where_its_score_is_lower(monkeypatch: pytest.MonkeyPatch, better: bool) -> None:
    worth = {id(ACROSS): 1.0, id(DOWN): 2.0, id(SLANTED): 0.5 if better else 3.0}
    monkeypatch.setattr(choice, "Variational", Fixed)
    monkeypatch.setattr(Judge, "energy", lambda self, kernel: 1.0)
    monkeypatch.setattr(Judge, "score", lambda self, kernel, energy: worth[id(kernel)])
    planes = [Plane(np.zeros((40, 40), np.float32))]
    found = [Candidate(DOWN, "plain", 0, 1.0), Candidate(ACROSS, "gamma", 0, 2.0)]
    best = choice.choose(found, planes, count=4, refine=True, descent=0, workers=1).best
    assert best.refined == better
    assert best.candidate.kernel is (SLANTED if better else ACROSS)
    assert best.origin.kernel is ACROSS
