"""From the climbs' kernels to one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from deblur.estimation.blind import candidates, choice, taps
from deblur.estimation.blind.candidates import Candidate, Judge, short_list
from deblur.estimation.blind.periodic import Array
from deblur.estimation.blind.pyramid import Plane
from deblur.estimation.blind.workers import Progress

ACROSS, DOWN, SLANTED = (
    taps.normalised(k) for k in (np.eye(9)[4:5].T @ np.ones((1, 9)), np.ones((9, 1)) @ np.eye(9)[4:5], np.eye(9))
)


def judge(sigma: float = 0.0) -> Judge:
    return Judge([Plane(np.zeros((40, 40), np.float32), sigma=sigma)], 9)


def test_a_short_list_has_the_least_energies_and_none_twice() -> None:
    found = [
        Candidate(ACROSS, "free", 0, 1.0),
        Candidate(DOWN, "free", 1, 1.1),
        Candidate(ACROSS, "faint", 0, 1.2),
        Candidate(SLANTED, "free", 0, 5.0),
    ]
    assert [one.energy for one in short_list(found, 2)] == [1.0, 1.1]
    assert [one.energy for one in short_list(found, 5)] == [1.0, 1.1, 5.0]


def test_the_score_is_the_evidence_and_a_fifth_of_the_energys_logarithm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "evidence", lambda planes, kernel: 2.0)
    assert judge().score(ACROSS, np.e**3) == pytest.approx(2.0 + 0.2 * 3)


@pytest.mark.parametrize(("noise", "share"), [(0.0, 0.0), (0.002, 0.0), (0.003, 0.05625), (0.004, 0.1), (0.02, 0.1)])
def test_in_noise_the_misfits_logarithm_counts(monkeypatch: pytest.MonkeyPatch, noise: float, share: float) -> None:
    monkeypatch.setattr(candidates, "misfit", lambda planes, kernel: np.e)
    assert judge(noise).second_opinion(ACROSS) == pytest.approx(share)


def test_the_learned_prior_is_asked_about_the_first_three_and_decides_among_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Array] = []

    def second_opinion(self: Judge, kernel: Array) -> float:
        asked.append(kernel)
        return -len(asked)

    monkeypatch.setattr(Judge, "score", lambda self, kernel, energy: energy)
    monkeypatch.setattr(Judge, "second_opinion", second_opinion)
    small = np.pad(np.ones((2, 2), np.float32) / 4, 3)
    found = [Candidate(k, "free", 0, 0.1 * n) for n, k in enumerate((ACROSS, DOWN, SLANTED, small))]
    chosen = choice.choose(
        found, judge().planes, judge(0.01), count=4, refine=False, descent=0, progress=Progress(None)
    )
    assert len(asked) == 3
    assert chosen.best.kernel is SLANTED
    assert chosen.listed[-1].kernel is small


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
    found = [Candidate(DOWN, "free", 0, 1.0), Candidate(ACROSS, "faint", 0, 2.0)]
    best = choice.choose(found, planes, judge(), count=4, refine=True, descent=0, progress=Progress(None)).best
    assert best.kernel is (SLANTED if better else ACROSS)
    assert (best.origin is not None) == better
    assert (best.origin or best).kernel is ACROSS
