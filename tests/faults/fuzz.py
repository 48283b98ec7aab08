"""`make fuzz SECONDS=600`: bad inputs seed after seed; a finding prints the line that repeats it.

python tests/faults/fuzz.py --seconds 600 --seed 1
python tests/faults/fuzz.py --seed 1 --kind flips --name 'a.png flips 3 seed 1'
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from faults.child import Child, run_all
from faults.corpus import KINDS, faults


def main() -> int:
    """Return 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.0, help="to go on for; 0 for the whole of one seed")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--kind", choices=list(KINDS), action="append")
    parser.add_argument("--name", help="one input alone")
    parser.add_argument("--every", type=int, default=1, help="one input in so many")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    kinds = tuple(asked.kind or ())
    if asked.name is not None:
        return 1 if _one(asked.seed, kinds[0], asked.name) else 0
    end, seed, found, tried = time.monotonic() + (asked.seconds or math.inf), asked.seed, 0, 0
    while time.monotonic() < end and (asked.seconds or seed == asked.seed):
        named = _named(seed, kinds)[:: asked.every]
        with ThreadPoolExecutor(asked.jobs) as pool:
            for count, wrong in pool.map(_some, [(seed, named[i :: asked.jobs], end) for i in range(asked.jobs)]):
                tried, found = tried + count, found + wrong
        seed += 1
    print(f"{tried} bad inputs, seeds {asked.seed} to {seed - 1}: {found} findings")
    return 1 if found else 0


def _named(seed: int, kinds: tuple[str, ...]) -> list[tuple[str, int, str]]:
    counts: dict[str, int] = {}
    named = []
    for kind, fault in faults(seed, kinds):
        named.append((kind, counts.get(kind, 0), fault.name))
        counts[kind] = counts.get(kind, 0) + 1
    return named


def _some(given: tuple[int, list[tuple[str, int, str]], float]) -> tuple[int, int]:
    seed, named, end = given
    tried = found = 0
    names = {(kind, index): name for kind, index, name in named}
    for kind, index, problems in run_all(seed, names):
        tried += 1
        if problems:
            found += 1
            _say(seed, kind, names[kind, index], problems)
        if time.monotonic() > end:
            break
    return tried, found


def _one(seed: int, kind: str, name: str) -> list[str]:
    index = next(index for found, index, called in _named(seed, (kind,)) if called == name)
    with Child(seed) as child:
        problems = child.problems(kind, index)
    _say(seed, kind, name, problems or ["nothing found"])
    return problems


def _say(seed: int, kind: str, name: str, problems: list[str]) -> None:
    repeat = shlex.join(["python", "tests/faults/fuzz.py", "--seed", str(seed), "--kind", kind, "--name", name])
    print("\n  ".join([repeat, *(problem[:400] for problem in problems[:6])]), flush=True)


if __name__ == "__main__":
    sys.exit(main())
