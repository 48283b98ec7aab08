"""What scouts find in small copies of a frame."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from deblur.estimation.blind import taps
from deblur.estimation.blind.evidence import evidence
from deblur.estimation.blind.planes import on_ground, plain_share, plane
from deblur.estimation.blind.pyramid import Plane
from deblur.estimation.blind.scouting import View, outlined, scouted, windows
from deblur.estimation.blind.starts import STARTS
from deblur.estimation.blind.workers import Progress

AREA = 512 * 512


def test_scouts_of_a_window_that_is_too_large_find_the_kernel(frame: Tensor, kernel: NDArray[np.float64]) -> None:
    found, best = scouted([plane(frame)], (37,), ("scout", "broad"), AREA, Progress(None))
    assert len(found) == 2
    assert taps.similarity(best[0].kernel, kernel, 1.5) > 0.93
    assert best[0].candidate.score <= min(one.candidate.score for one in best)


def test_the_evidence_does_not_know_of_the_window(frame: Tensor, kernel: NDArray[np.float64]) -> None:
    one = [plane(frame)]
    tight, wide = evidence(one, taps.normalised(kernel)), evidence(one, taps.normalised(np.pad(kernel, 9)))
    assert abs(tight - wide) < 0.01


def test_a_large_kernel_has_a_smaller_copy() -> None:
    frame = [Plane(np.random.default_rng(0).random((512, 512), dtype=np.float32))]
    small, large = View.of(frame, 37), View.of(frame, 151)
    assert large.scale < small.scale <= 0.71
    assert 151 * large.scale <= 54
    assert all(view.planes[0].values.size < 300 * 300 for view in (small, large))


def test_a_view_shows_kernels_at_its_scale() -> None:
    kernel = taps.normalised(np.eye(31))
    half = outlined(kernel, 0.5)
    assert half.sum() == pytest.approx(1, abs=1e-5)
    assert 14 <= taps.extent(half) <= 20
    assert taps.similarity(outlined(half, 2.0), kernel, 2.0) > 0.95


def test_a_side_that_is_given_bounds_the_windows_below() -> None:
    assert min(windows(21, 300)) == 21
    assert max(windows(21, 50)) <= 25
    assert windows(25, 50) == (25,)


def test_only_plain_ground_calls_for_scouts_of_text(scene: NDArray[np.float32]) -> None:
    page = np.ones((120, 160), np.float32)
    page[20:100:12, 10:150] = 0.1
    page += np.float32(0.001) * np.random.default_rng(0).normal(size=page.shape).astype(np.float32)
    for values, called in ((page, True), (1 - page, True), (scene, False)):
        assert (plain_share(Plane(values)) > 0.1) == called
        starts = tuple(name for name in STARTS if name in ("scout", "text"))
        found, _ = scouted([Plane(values)], (13,), starts, AREA, Progress(None))
        assert {one.candidate.start for one in found} == ({"scout", "text"} if called else {"scout"})


def test_differences_from_the_ground_do_not_depend_on_which_it_is() -> None:
    page = np.zeros((40, 40), np.float32)
    page[10:14, 5:30] = 1
    assert np.array_equal(on_ground(Plane(page)).values, on_ground(Plane(1 - page)).values)
