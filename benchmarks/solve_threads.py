"""The parts of `solve.py` that are about threads: what more of them bring, and what busy ones cost."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import peers
import torch
from interleaved import Bar, Run, race, show
from solve_problem import into, problem

__all__ = ["busy", "threads"]


def threads(options: argparse.Namespace) -> list[Bar]:
    """One image on all threads over one, beside the same of torch's matrix product."""
    missed = []
    a = torch.randn(2048, 2048)
    for taps in options.taps or (15, 31):
        y, weight = problem(1, 1, 1024, taps)
        runs: dict[str, Run] = {"solve": into(y, weight), "torch.mm, 2048": lambda: a @ a}
        contenders, before = {}, {}
        for name, run in runs.items():
            for count in (1, options.threads):
                key = f"{name}, {count} thread{'s' * (count > 1)}"
                contenders[key] = run
                before[key] = lambda run=run, count=count: (torch.set_num_threads(count), run())
        times = race(contenders, options.rounds, before=before)
        torch.set_num_threads(options.threads)
        one, all_ = "1 thread", f"{options.threads} threads"
        speedup = {name: times[f"{name}, {one}"] / times[f"{name}, {all_}"] for name in runs}
        bars = [Bar(f"{name}: {one} / {all_}", ratios) for name, ratios in speedup.items()]
        share = speedup["solve"] / speedup["torch.mm, 2048"]
        bars.append(Bar("solve's speed-up over the matrix product's", share, 0.85, 0.95, least=True))
        missed += show(f"threads, single channel, 1024 x 1024, {taps} x {taps} taps", times, bars)
    return missed


@contextmanager
def multiplying() -> Iterator[None]:
    """Another thread of this process multiplies matrices, with torch's own threads, until the end."""
    stop = threading.Event()
    a = torch.randn(512, 512)

    def run() -> None:
        while not stop.is_set():
            a @ a

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def busy(options: argparse.Namespace) -> list[Bar]:
    """While torch's threads are busy: right after a matrix product, whose threads still spin, and beside one."""
    a = torch.randn(1024, 1024)
    y, weight = problem(1, 1, 1024, 15)
    runs = {"solve": into(y, weight), "conv2d": peers.conv2d(y, weight)}
    contenders, before = {}, {}
    for name, run in runs.items():
        contenders[name], before[name] = run, run
        contenders[f"{name} after torch.mm"], before[f"{name} after torch.mm"] = run, lambda: a @ a
    quiet = race(contenders, options.rounds, before=before)
    with multiplying():
        beside = race(runs, options.rounds)
    times = {**quiet, **{f"{name} beside torch.mm": seconds for name, seconds in beside.items()}}
    bars = [
        Bar("solve after torch.mm / solve", times["solve after torch.mm"] / times["solve"], 1.25),
        *(Bar(f"{name} beside torch.mm / {name}", times[f"{name} beside torch.mm"] / times[name]) for name in runs),
    ]
    slower = {name: times[f"{name} beside torch.mm"] / times[name] for name in runs}
    bars.append(Bar("solve's slowdown beside torch.mm over conv2d's", slower["solve"] / slower["conv2d"], 1.25))
    return show("beside busy threads, single channel, 1024 x 1024, 15 x 15 taps", times, bars)
