"""From the starts' kernels to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from deblur.estimation.blind import candidates, choice, taps
from deblur.estimation.blind.candidates import Candidate, Judge, short_list
from deblur.estimation.blind.pyramid import Plane

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


def test_a_second_climb_has_a_place_of_its_own_on_the_short_list() -> None:
    first, again, other = (
        Candidate(ACROSS, "plain", 0, 1.0),
        Candidate(SLANTED, "plain", 0, 3.0, again=True),
        Candidate(DOWN, "plain", 1, 2.0),
    )
    assert short_list([first, again, other], 2) == [first, again]


def test_the_best_three_of_the_short_list_climb_again_and_what_they_find_competes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernels = [
        taps.normalised(np.roll(np.pad(k, 6), 3 * n, 1)) for n, k in enumerate((ACROSS, DOWN, SLANTED, np.eye(3)))
    ]
    monkeypatch.setattr(Judge, "score", lambda self, kernel, energy: -energy)  # the reverse of the energies' order
    planes = [Plane(np.zeros((64, 64), np.float32))]
    found = [Candidate(k, f"start {n}", 0, float(n)) for n, k in enumerate(kernels)]
    better = Candidate(taps.normalised(np.ones((5, 5))), "start 3", 0, 9.0, again=True)
    given = []

    def again(best: Sequence[Candidate]) -> list[Candidate]:
        given.extend(best)
        return [better]

    chosen = choice.choose(found, planes, count=6, refine=False, descent=0, workers=1, again=again)
    assert [one.energy for one in given] == [3.0, 2.0, 1.0]
    assert chosen.best.candidate is better


def test_a_kernel_that_was_weighed_is_not_lost_to_a_second_climb_of_less_energy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Judge, "score", lambda self, kernel, energy: -energy)
    planes = [Plane(np.zeros((64, 64), np.float32))]
    found = [Candidate(ACROSS, "plain", 0, 2.0), Candidate(DOWN, "gamma", 0, 1.0)]

    def again(best: Sequence[Candidate]) -> list[Candidate]:
        return [
            Candidate(SLANTED, "plain", 0, 0.5, again=True),
            Candidate(np.roll(ACROSS, 1, 0), "gamma", 0, 0.6, again=True),
        ]

    chosen = choice.choose(found, planes, count=2, refine=False, descent=0, workers=1, again=again)
    assert chosen.best.candidate is found[0]
    assert [one.score for one in chosen.listed] == [-2.0, -1.0, -0.6, -0.5]


@pytest.mark.parametrize(("noise", "share"), [(0.0, 0.0), (0.002, 0.05), (0.004, 0.2), (0.02, 0.2)])
def test_the_score_is_the_evidence_and_a_fifth_of_the_energys_logarithm_and_in_noise_of_the_misfits(
    monkeypatch: pytest.MonkeyPatch, noise: float, share: float
) -> None:
    monkeypatch.setattr(candidates, "evidence", lambda planes, kernel: 2.0)
    monkeypatch.setattr(candidates, "misfit", lambda planes, kernel: np.e)
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
