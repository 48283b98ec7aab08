"""The benchmarks run, at toy sizes, and their peers compute what they are compared with."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import skimage.io
import torch

from deblur import psf
from deblur.ops import _dispatch, _native, masked_conv2d, masked_conv2d_solve
from deblur.restoration import PRECONDITIONERS, RESTORERS

FOLDER = Path(__file__).parent.parent / "benchmarks"


Benchmark = Callable[[str], ModuleType]
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[Benchmark]:
    """Import a benchmark by its name; torch gets its threads back afterwards."""
    threads = torch.get_num_threads()
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module
    torch.set_num_threads(threads)


def rows(table: str) -> dict[str, list[float]]:
    """The numbers of every row that has some, by its name."""
    found = {}
    for line in table.splitlines():
        name, numbers = line[:34].strip(), line[34:].split()
        if name and numbers and all(number.replace(".", "").isdigit() for number in numbers):
            found[name] = [float(number) for number in numbers]
    return found


def test_a_megapixel_is_timed_by_every_method_and_the_peer(benchmark: Benchmark, capsys: Captured) -> None:
    benchmark("megapixel").main(["--side", "70", "--rounds", "1", "--threads", "1", "--method", "exact,wiener,tv"])
    names = [line[:40].strip() for line in capsys.readouterr().out.splitlines()]
    assert names == ["exact", "wiener", "tv", "scikit-image richardson_lucy, 30 steps"]


def test_a_jpegs_error_is_told_and_counted(
    benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    jpeg = benchmark("jpeg")
    monkeypatch.setattr(jpeg, "KERNELS", ("defocus:radius=2",))
    monkeypatch.setattr(jpeg, "QUALITIES", (70,))
    jpeg.main(["--limit", "1", "--side", "120", "--threads", "1"])
    *_, mean = capsys.readouterr().out.splitlines()
    _, shown, _, counted, _ = map(float, mean.split()[1:])
    assert shown + 0.3 < counted


@pytest.mark.slow
def test_restore_scores_methods_and_peers(
    benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    restore = benchmark("restore")
    monkeypatch.setattr(restore, "KERNELS", ("defocus:radius=2",))
    restore.main(["--limit", "2", "--size", "72", "--sigma", "0.003", "--threads", "1"])
    printed = capsys.readouterr().out
    table = rows(printed)
    assert set(table) == {"blurred", *map(restore.label, set(RESTORERS) - {"exact"}), *restore.PEERS}
    assert "deblur exact                        refuses 2 of 2 frames" in printed
    blurred = table["blurred"]
    for name in map(restore.label, set(RESTORERS) - {"exact"}):
        assert table[name][0] > blurred[0] + 2, name
        assert 0.5 < table[name][1] <= 1, name


def test_restore_takes_folders_of_pictures_and_kernels(benchmark: Benchmark, tmp_path: Path, capsys: Captured) -> None:
    restore = benchmark("restore")
    pictures, kernels = tmp_path / "pictures", tmp_path / "kernels"
    pictures.mkdir()
    kernels.mkdir()
    skimage.io.imsave(pictures / "a.png", np.uint8(restore.picture("coins")[:60, :70] * 255))
    psf.save(kernels / "even.npy", np.full((2, 4), 1 / 8))
    restore.main(
        [
            "--images",
            str(pictures),
            "--kernels",
            str(kernels),
            "--method",
            "wiener",
            "--sigma",
            "0.003",
            "--threads",
            "1",
        ]
    )
    printed = capsys.readouterr().out
    assert printed.startswith("1 frames")
    table = rows(printed)
    assert table["deblur wiener"][0] > table["blurred"][0]
    assert table["skimage richardson_lucy (oracle)"][0] > table["blurred"][0]  # not moved by the even sides


def test_preconditioners_reach_every_residual_in_fewer_steps_than_none(
    benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    module = benchmark("preconditioners")
    spec = "gaussian:sigma=1.2"
    monkeypatch.setitem(PRECONDITIONERS, "none", lambda blur, symbol, q: lambda residual: residual)
    runs = {name: module.solve(module.Case(64, spec, 0.01, name, 1)) for name in PRECONDITIONERS}
    for name in ("four-quadrant", "circulant"):
        assert sorted(runs[name].steps) == list(runs[name].steps)
        assert runs[name].steps[-1] < runs["none"].steps[-1]
    assert runs["four-quadrant"].taps > 0 == runs["circulant"].taps
    monkeypatch.delitem(PRECONDITIONERS, "none")
    monkeypatch.setattr(module, "alone", module.solve)
    module.main(["--sizes", "48", "--kernels", spec, "--rounds", "1", "--threads", "1"])
    assert "four-quadrant / circulant" in capsys.readouterr().out


@pytest.mark.slow
def test_preconditioners_run_in_a_process_of_their_own(benchmark: Benchmark) -> None:
    module = benchmark("preconditioners")
    run = module.alone(module.Case(48, "gaussian:sigma=1", 0.01, "circulant", 1))
    assert len(run.steps) == len(module.RESIDUALS)
    assert run.memory >= 0


def test_solve_compares_with_the_same_arithmetic(benchmark: Benchmark) -> None:
    solve, peers = benchmark("solve"), benchmark("peers")
    y, weight = solve.problem(2, 3, 9, 3)
    wanted = masked_conv2d_solve(y, weight)
    torch.testing.assert_close(peers.conv2d(y, weight)(), masked_conv2d(y, weight))
    solved = torch.from_numpy(peers.superlu(y, weight)()).reshape(9, 9, 3, 2).permute(3, 2, 0, 1)
    torch.testing.assert_close(solved, wanted, rtol=1e-4, atol=1e-5)
    for loop in (peers.per_pixel(y, weight, constant=False), peers.per_pixel_numba(y, weight)):
        if loop is not None:
            torch.testing.assert_close(loop(), wanted, rtol=1e-4, atol=1e-5)


def test_the_fft_route_restores_what_the_four_quadrant_inverse_does(benchmark: Benchmark) -> None:
    assert benchmark("quadrant").agree(9, 63) < 1e-3


@pytest.mark.skipif(not _native.available(), reason="no native kernels")
def test_solve_prints_a_case(benchmark: Benchmark, capsys: Captured) -> None:
    solve = benchmark("solve")
    solve.small(argparse.Namespace(rounds=1))
    assert "solve / 15 us" in capsys.readouterr().out


@pytest.mark.parametrize("native", ["on", "off"])
def test_jacobi_prints_a_row_for_every_case(
    benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch, capsys: Captured, native: str
) -> None:
    jacobi = benchmark("jacobi")
    monkeypatch.setattr(_dispatch, "_native_serves", _dispatch._native_serves)  # which `--native off` replaces
    case = ["--sizes", "6", "--channels", "2", "--batch", "1", "--deviations", "0.01", "9"]
    jacobi.main([*case, "--rounds", "1", "--threads", "1", "--native", native])
    _, small, large = capsys.readouterr().out.splitlines()[-3:]
    assert small.startswith("B=1 C=2 6 x 6, deviation 0.01")
    count, wavefront, swept, ratio, apart = small.split()[-5:]
    assert 1 <= int(count) <= 12
    assert float(ratio) == pytest.approx(float(wavefront) / float(swept), rel=0.1, abs=0.02)
    assert float(apart) < 1e-5
    assert large.split()[-5] == "-"  # given up: the wavefront's own result
    assert float(large.split()[-1]) == 0


def test_race_judges_by_the_median_of_the_ratios_within_a_round(benchmark: Benchmark) -> None:
    bar = benchmark("interleaved").Bar
    ratios = np.array([0.5, 0.6, 9.0])
    assert bar("ours / theirs", ratios, 0.7).kept
    assert not bar("ours / theirs", ratios, 0.55).kept
    assert bar("theirs / ours", ratios, 0.6, least=True).kept


def test_denoisers_take_turns_in_one_splitting(
    benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch, capsys: Captured, tmp_path: Path
) -> None:
    denoisers = benchmark("denoisers")
    monkeypatch.setitem(denoisers.DENOISERS, "none", lambda: lambda image, sigma: image)
    monkeypatch.setattr(denoisers, "WEIGHTS", (0.1, 0.4))
    sharp = benchmark("restore").picture("coins")[:60, :70]
    skimage.io.imsave(tmp_path / "a.png", np.uint8(sharp * 255))
    np.save(tmp_path / "k.npy", psf.make("gaussian:sigma=1"))
    arguments = ["denoisers", str(tmp_path), "--kernels", str(tmp_path / "k.npy"), "--threads", "1"]
    monkeypatch.setattr("sys.argv", [*arguments, "--denoisers", "none,flow,absent"])
    monkeypatch.setitem(denoisers.DENOISERS, "absent", lambda: importlib.import_module("no_such_package"))
    denoisers.main()
    none, flow, absent, last = capsys.readouterr().out.splitlines()
    assert absent.startswith("absent           left out")
    assert "weight 0.4" in none  # nothing is denoised: the more it is held, the better
    assert float(flow.split()[1]) > float(none.split()[1]) + 1
    assert float(last.split()[2]) > float(none.split()[1]) + 1
