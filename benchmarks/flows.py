"""Flows with masked convolutions beside flows without: `python benchmarks/flows.py --data FOLDER [--only learn,...]`.

learn    bits per dim on held-out pictures after the same CPU time, with equally many parameters: Inverse-Flow, FInC
         Flow, Glow's 1 x 1 alone and no mixing at all, as configs/flows/*-small-*.yaml have them; and the seconds to
         sample 100 pictures from what was learned, FInC's also with an inverse by a loop over pixels
size     forward, backward and sampling times by image size, Inverse-Flow and FInC Flow
taps     the same by taps a side

`learn` wants a folder with mnist_train.npz, mnist_test.npz, cifar10_train20k.npz and cifar10_test.npz, each with an
array x of bytes, (N, H, W) or (N, H, W, 3). The published tables are of other hardware: compare ratios, not times.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from interleaved import Bar, race, show
from pixel_loop import with_pixel_loops
from torch import Tensor

from deblur import config
from deblur.flows import build
from deblur.flows.flow import Flow

CONFIGS = Path(__file__).parent.parent / "configs" / "flows"
STEPS = ("inverse", "finc", "glow", "none")
DATA = {"mnist": ("mnist_train", "mnist_test"), "cifar10": ("cifar10_train20k", "cifar10_test")}
TURN = 10.0  # CPU seconds that one contender trains before the next takes over


def pictures(path: Path) -> Tensor:
    """(N, C, H, W) uint8."""
    x = torch.from_numpy(np.load(path)["x"])
    return x[:, None] if x.dim() == 3 else x.movedim(-1, 1)


@dataclass
class Contender:
    """A flow in training: Adam as its file says, the rate falling by a cosine over the budget of CPU time."""

    flow: Flow
    settings: dict
    budget: float
    spent: float = 0.0
    steps: int = 0
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.Adam(self.flow.parameters())

    def train(self, data: Tensor, seconds: float) -> None:
        """Go on for so many CPU seconds, or until the budget is spent."""
        end = min(self.spent + seconds, self.budget)
        while self.spent < end:
            start = time.process_time()
            self._step(data[torch.randint(len(data), (self.settings["batch"],), generator=self.generator)])
            self.spent += time.process_time() - start

    def _step(self, batch: Tensor) -> None:
        if not self.flow.initialised:
            self.flow.initialise(batch, generator=self.generator)
        warm = min(1.0, (self.steps + 1) / self.settings["warmup"])
        rate = self.settings["optimizer"]["lr"] * warm * 0.5 * (1 + math.cos(math.pi * self.spent / self.budget))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss = self.flow(batch, generator=self.generator).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.flow.parameters(), self.settings["clip"])
        self.optimizer.step()
        self.steps += 1


@torch.no_grad()
def held_out_bits(flow: Flow, data: Tensor) -> float:
    """Mean bits per dim, the dequantisation's noise the same for everybody."""
    generator = torch.Generator().manual_seed(1)
    return torch.cat([flow(batch, generator=generator) for batch in data.split(100)]).mean().item()


def learn(options: argparse.Namespace) -> None:
    for name in options.sets:
        train, test = (pictures(options.data / f"{one}.npz") for one in DATA[name])
        test = test[: options.held_out]
        contenders = {}
        for step in STEPS:
            whole = config.read(CONFIGS / f"{name}-small-{step}.yaml")
            torch.manual_seed(0)
            contenders[step] = Contender(build(whole["model"]), whole["training"], 60 * options.minutes)
        while any(one.spent < one.budget for one in contenders.values()):
            for one in contenders.values():
                one.train(train, TURN)
        print(f"\n{name}: {options.minutes:g} CPU minutes each, {len(test)} held-out pictures")
        print(f"    {'':<12}{'parameters':>12}{'steps':>8}{'bits per dim':>14}")
        for step, one in contenders.items():
            parameters = sum(each.numel() for each in one.flow.parameters())
            print(f"    {step:<12}{parameters:>12}{one.steps:>8}{held_out_bits(one.flow, test):>14.3f}", flush=True)
        sampling(name, {step: one.flow for step, one in contenders.items()}, options)


def sampling(name: str, flows: dict[str, Flow], options: argparse.Namespace) -> None:
    """Seconds for 100 pictures each, beside the loop over pixels."""
    looped = with_pixel_loops(flows["finc"])
    same = [flow.sample(2, generator=torch.Generator().manual_seed(2)) for flow in (flows["finc"], looped)]
    torch.testing.assert_close(*same, rtol=0, atol=1e-3)
    runs = {f"{step}, sampling 100": lambda flow=flow: flow.sample(100) for step, flow in flows.items()}
    runs["finc by a loop over pixels, sampling 100"] = lambda: looped.sample(100)
    times = race(runs, options.rounds, slow={"finc by a loop over pixels, sampling 100": 1})
    inverse, finc, loop = (times[key] for key in (*list(runs)[:2], list(runs)[-1]))
    ratios = [Bar("finc / inverse (2.1 in Inverse-Flow's table 6)", finc / inverse), Bar("loop / finc", loop / finc)]
    show(f"{name}: sampling", times, ratios)


def passes(flow: Flow, batch: int, shape: tuple[int, int, int]) -> dict[str, Callable[[], object]]:
    """What the papers time: the density of a batch, its gradient too, and as many samples."""
    x = torch.rand(batch, *shape, generator=torch.Generator().manual_seed(0))

    def forward() -> Tensor:
        with torch.no_grad():
            return flow.log_prob(x)

    def backward() -> None:
        flow.zero_grad()
        flow.log_prob(x).mean().backward()

    return {"forward": forward, "forward and backward": backward, "sampling": lambda: flow.sample(batch, shape)}


def compare(title: str, side: int, taps: int, options: argparse.Namespace) -> None:
    """Both flows at one size: L 2 and K as given, narrow couplings, so that the convolutions count."""
    shape = (3, side, side)
    runs = {}
    for step in ("inverse", "finc"):
        torch.manual_seed(0)
        settings = {"shape": list(shape), "levels": 2, "steps": options.steps, "hidden": options.hidden}
        flow = build({"architecture": "multiscale", "step": step, "kernel_size": taps, **settings})
        for name, run in passes(flow, options.batch, shape).items():
            runs[f"{step}, {name}"] = run
    times = race(runs, options.rounds)
    pairs = [(name, times[f"finc, {name}"] / times[f"inverse, {name}"]) for name in passes(flow, 1, shape)]
    show(title, times, [Bar(f"finc / inverse, {name}", ratio) for name, ratio in pairs])


def size(options: argparse.Namespace) -> None:
    for side in options.sides:
        compare(f"{side} x {side}, 3 x 3 taps, batch {options.batch}", side, 3, options)


def taps(options: argparse.Namespace) -> None:
    for each in options.taps:
        compare(f"32 x 32, {each} x {each} taps, batch {options.batch}", 32, each, options)


PARTS = {"learn": learn, "size": size, "taps": taps}


def numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


def names(known: dict[str, object]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        unknown = [one for one in text.split(",") if one not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown {unknown[0]!r}; known: {', '.join(known)}")
        return text.split(",")

    return parse


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=names(PARTS), default=list(PARTS), help="parts, separated by commas")
    parser.add_argument("--data", type=Path, help="folder with the npz files")
    parser.add_argument("--sets", type=names(DATA), default=list(DATA))
    parser.add_argument("--minutes", type=float, default=20.0, help="of CPU time for each flow")
    parser.add_argument("--held-out", type=int, default=1000, help="pictures to judge by")
    parser.add_argument("--sides", type=numbers, default=[16, 32, 64, 128, 256])
    parser.add_argument("--taps", type=numbers, default=[2, 3, 5, 7, 9, 11])
    parser.add_argument("--steps", type=int, default=4, help="K, of `size` and `taps`")
    parser.add_argument("--hidden", type=int, default=16, help="width of the couplings, of `size` and `taps`")
    parser.add_argument("--batch", type=int, default=4, help="pictures at once, of `size` and `taps`")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    if "learn" in options.only and options.data is None:
        parser.error("`learn` needs --data FOLDER; or take --only size,taps")
    torch.set_num_threads(options.threads)
    for part in options.only:
        PARTS[part](options)


if __name__ == "__main__":
    main()
