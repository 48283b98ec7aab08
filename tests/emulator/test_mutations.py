"""Bugs planted in the kernels, and each of them is found: what keeps the emulator, and the tests that use it, honest.

Every bug is one exact replacement in a copy of the sources. Most leave all numbers right on this machine, under every
order of threads; ThreadSanitizer finds them, since it asks what is ordered and not what happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import torch
from emulated import Case, EmulatorError, toolkit

from deblur.ops._cuda import modules, plan

BAND = Case(shape=(1, 1, 40, 33), taps=(4, 3))  # two bands
WIDE = Case(shape=(1, 1, 34, 120), taps=(4, 30))  # the ring goes round
CROWD = Case(shape=(2, 1, 70, 72), taps=(3, 3))  # more blocks than fit
CHANNELS = Case(shape=(1, 5, 6, 7), taps=(2, 3), transpose=True)
TALL = Case(shape=(1, 3, 9, 60), taps=(3, 3))
PASSES = Case(shape=(1, 40, 80, 80), taps=(2, 2))  # a diagonal has more items than a block has threads
GRADIENT = Case(shape=(1, 1, 20, 70), taps=(2, 9))  # of the weight; one block takes all tiles


@pytest.fixture(autouse=True)
def one_block_for_a_weight_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "GRADIENT_BLOCKS", 1)
    monkeypatch.setattr(plan, "plan_weight_grad", plan.plan_weight_grad.__wrapped__)


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """What is replaced, where it shows and as what: wrong values, a report of the emulator, a race or an overrun."""

    name: str
    source: str
    right: str
    wrong: str
    case: Case
    shows: str

    def __str__(self) -> str:
        return self.name.replace(" ", "-")

    def planted(self) -> dict[str, str]:
        sources = modules.find_sources()
        assert sources[self.source].count(self.right) == 1, f"{self.right!r} is not once in {self.source}"
        sources[self.source] = sources[self.source].replace(self.right, self.wrong)
        return sources


MUTATIONS = [
    Mutation(
        name="no barrier before the sums are read",
        source="band.cuh",
        right="__syncthreads();  // the sums are there",
        wrong=";  // the sums are there",
        case=BAND,
        shows="values",
    ),
    Mutation(
        name="no barrier before the right-hand side is read",
        source="band.cuh",
        right="__syncthreads();  // the right-hand side of chunk c + 1 is there",
        wrong=";  // the right-hand side of chunk c + 1 is there",
        case=BAND,
        shows="values",
    ),
    Mutation(
        name="no syncwarp between two times of a chunk",
        source="band.cuh",
        right="__syncwarp();  // the lanes below read it",
        wrong="",
        case=BAND,
        shows="race",
    ),
    Mutation(
        name="a wait for the halo of the chunk before",
        source="band.cuh",
        right="wait_for_halo(p, band, task, c + 2);",
        wrong="wait_for_halo(p, band, task, c + 1);",
        case=BAND,
        shows="race",
    ),
    Mutation(
        name="a halo stored into the chunk that is being solved",
        source="band.cuh",
        right="band.slot(0);",
        wrong="band.slot(kChunk);",
        case=BAND,
        shows="values",
    ),
    Mutation(
        name="a relaxed flag read",
        source="band.cuh",
        right="load_acquire(progress)",
        wrong="load_relaxed(progress)",
        case=BAND,
        shows="race",
    ),
    Mutation(
        name="a relaxed flag write",
        source="band.cuh",
        right="store_release(progress, c);",
        wrong="store_relaxed(progress, c);",
        case=BAND,
        shows="race",
    ),
    Mutation(
        name="no wait for the band above",
        source="band.cuh",
        right="while (load_acquire(progress) < needed) pause();",
        wrong="(void)progress, (void)needed;",
        case=BAND,
        shows="values",
    ),
    Mutation(
        name="a chunk published before it is in the image",
        source="band.cuh",
        right="store_release(progress, c);",
        wrong="store_release(progress, c + 1);",
        case=BAND,
        shows="race",
    ),
    Mutation(
        name="a wait for one chunk too few",
        source="band.cuh",
        right="c + k * (kLanes / kChunk) + 1, chunks",
        wrong="c + k * (kLanes / kChunk), chunks",
        case=BAND,
        shows="race",
    ),
    Mutation(
        name="blockIdx for the ticket",
        source="band.cuh",
        right="*band.ticket = atomicAdd(p.flags, 1);",
        wrong="*band.ticket = blockIdx.x;",
        case=CROWD,
        shows="deadlock",
    ),
    Mutation(
        name="a halo off by one column",
        source="band.cuh",
        right="(c + 2) * kChunk + w.pixel.time + w.pixel.row + 1;",
        wrong="(c + 2) * kChunk + w.pixel.time + w.pixel.row;",
        case=BAND,
        shows="values",
    ),
    Mutation(
        name="a halo off by one row",
        source="band_memory.cuh",
        right="band.halo = p.taps_h - 1;",
        wrong="band.halo = p.taps_h - 2;",
        case=BAND,
        shows="values",
    ),
    Mutation(
        name="a ring too short",
        source="band_memory.cuh",
        right="kChunk * (1 + band.windows + ",
        wrong="kChunk * (band.windows + ",
        case=WIDE,
        shows="race",
    ),
    Mutation(
        name="a window torn at the end of the ring",
        source="band.cuh",
        right="if (mirror) slot[mirror] = solved;",
        wrong="",
        case=WIDE,
        shows="values",
    ),
    Mutation(
        name="times that are not solved yet",
        source="band_windows.cuh",
        right="s < a ? source[s * band.pitch] : 0;",
        wrong="source[s * band.pitch];",
        case=BAND,
        shows="values",
    ),
    Mutation(
        name="a window that no warp takes",
        source="band_windows.cuh",
        right="count * larger(0, begin) / (2 * kPublisher)",
        wrong="count * larger(0, begin + 1) / (2 * kPublisher)",
        case=WIDE,
        shows="values",
    ),
    Mutation(
        name="zero times what is not in the past",
        source="band_windows.cuh",
        right="add_diagonals<0>(sums, value, weight);",
        wrong="add_diagonals<1 - kChunk>(sums, value, weight);",
        case=BAND,
        shows="nan",
    ),
    Mutation(
        name="the adjoint with steps that do not turn round",
        source="problem.cuh",
        right="image.column = p.column_step * p.dilation_w;",
        wrong="image.column = p.dilation_w;",
        case=replace(BAND, transpose=True),
        shows="overrun",
    ),
    Mutation(
        name="the adjoint with channels not exchanged",
        source="fold.cuh",
        right="smaller(quad * kQuad + q, n - 1) * p.weight_in;",
        wrong="smaller(quad * kQuad + q, n - 1) * p.weight_out;",
        case=CHANNELS,
        shows="values",
    ),
    Mutation(
        name="no barrier between wavefronts",
        source="wavefront.cuh",
        right="__syncthreads();  // this part of the diagonal is in the ring",
        wrong=";  // this part of the diagonal is in the ring",
        case=TALL,
        shows="values",
    ),
    Mutation(
        name="no barrier before the parts of a sum are added",
        source="wavefront.cuh",
        right="__syncthreads();  // all parts of the sums are there",
        wrong="",
        case=TALL,
        shows="values",
    ),
    Mutation(
        name="a pair of tap and quad that no part takes",
        source="wavefront.cuh",
        right="pairs * (work.part + 1) / front.parts;",
        wrong="pairs * (work.part + 1) / front.parts - (work.part == 1);",
        case=TALL,
        shows="values",
    ),
    Mutation(
        name="a ring without the diagonal that is written",
        source="wavefront.cuh",
        right="front.depth = p.taps_h + p.taps_w - 1;",
        wrong="front.depth = p.taps_h + p.taps_w - 2;",
        case=PASSES,
        shows="values",
    ),
    Mutation(
        name="no barrier before the pivot is looked for",
        source="fold.cuh",
        right="__syncthreads();  // the column is there",
        wrong="",
        case=CHANNELS,
        shows="race",
    ),
    Mutation(
        name="no barrier before the row of the pivot is read",
        source="fold.cuh",
        right="__syncthreads();  // the pivot's row is there",
        wrong=";  // the pivot's row is there",
        case=CHANNELS,
        shows="race",
    ),
    Mutation(
        name="one buffer for the columns of all steps",
        source="fold.cuh",
        right="e.columns + k % 2 * n;",
        wrong="e.columns;",
        case=CHANNELS,
        shows="race",
    ),
    Mutation(
        name="no barrier before the next tile is loaded",
        source="gradient.cuh",
        right="__syncthreads();  // the tile before is done with",
        wrong="",
        case=GRADIENT,
        shows="race",
    ),
    Mutation(
        name="a weight gradient one column off",
        source="gradient.cuh",
        right="kTileColumns - kChunk - j + first_tap;",
        wrong="kTileColumns - kChunk - j + first_tap + 1;",
        case=GRADIENT,
        shows="values",
    ),
    Mutation(
        name="half a warp in the mask of a shuffle",
        source="fold.cuh",
        right="other = __shfl_xor_sync(0xffffffffu",
        wrong="other = __shfl_xor_sync(0x0000ffffu",
        case=CHANNELS,
        shows="missing",
    ),
    Mutation(
        name="a lane that leaves before a barrier",
        source="band.cuh",
        right="if (band.rows <= 0) return;",
        wrong="if (band.lane >= band.rows) return;",
        case=BAND,
        shows="ended",
    ),
    Mutation(
        name="a barrier that some warps do not reach",
        source="band.cuh",
        right="__syncthreads();  // chunk c and the halo",
        wrong="if (band.warp != 3) __syncthreads();  // chunk c and the halo",
        case=BAND,
        shows="divergent",
    ),
]


#: In every run those that differ in kind; the rest with the slow tests.
ALWAYS = {
    "no barrier before the sums are read",
    "no syncwarp between two times of a chunk",
    "a relaxed flag read",
    "a relaxed flag write",
    "no wait for the band above",
    "blockIdx for the ticket",
    "a halo off by one column",
    "zero times what is not in the past",
    "the adjoint with steps that do not turn round",
    "the adjoint with channels not exchanged",
    "no barrier between wavefronts",
    "half a warp in the mask of a shuffle",
    "a barrier that some warps do not reach",
}
assert {mutation.name for mutation in MUTATIONS} >= ALWAYS
CONTROLS = {(each.case, each.shows): each.name in ALWAYS for each in sorted(MUTATIONS, key=lambda m: m.name in ALWAYS)}


def marked(value: object, always: bool) -> object:
    return pytest.param(*value if isinstance(value, tuple) else (value,), marks=[] if always else [pytest.mark.slow])


def with_a_nan(case: Case) -> torch.Tensor:
    image = case.image()
    image[..., -case.taps[0], 5] = float("nan")
    return image


def shown(sources: Mapping[str, str] | None, case: Case, shows: str) -> str | None:
    """How a bug shows, under the first of some orders of threads and blocks under which it does."""
    sanitizer = {"race": "thread", "overrun": "address"}.get(shows, "")
    for seed in (0, 1, 2):
        device = toolkit(sources=sources, sanitizer=sanitizer, seed=seed, resident=2)
        try:
            if case is GRADIENT:
                found, expected = case.weight_grad(device), case.expected_weight_grad()
            else:
                found = case.solved(device, image=with_a_nan(case) if shows == "nan" else None)
                expected = case.expected()
        except EmulatorError as error:
            words = {"data race": "race", "AddressSanitizer": "overrun", "runtime error": "overrun"}
            words |= {word: word for word in ("deadlock", "divergent", "missing", "ended")}
            return next((name for word, name in words.items() if word in str(error)), str(error))
        if shows == "nan":
            reached = torch.zeros_like(found, dtype=torch.bool)
            reached[..., -case.taps[0] :, 5:] = True
            if not torch.equal(found.isnan(), reached):
                return "nan"
        elif not torch.allclose(found, expected, rtol=0, atol=1e-11):
            return "values"
    return None


@pytest.mark.parametrize("mutation", [marked(each, each.name in ALWAYS) for each in MUTATIONS], ids=str)
def test_a_planted_bug_is_found(mutation: Mutation) -> None:
    assert shown(mutation.planted(), mutation.case, mutation.shows) == mutation.shows


@pytest.mark.parametrize(
    ("case", "shows"), [marked(each, always) for each, always in CONTROLS.items()], ids=lambda value: str(value)
)
def test_without_a_bug_nothing_is_found(case: Case, shows: str) -> None:
    assert shown(None, case, shows) is None
