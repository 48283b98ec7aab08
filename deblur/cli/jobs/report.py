"""What `apply` and `denoise` say of one picture, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deblur import words
from deblur.cli import console
from deblur.cli.jobs import findings
from deblur.cli.jobs.scores import Scores
from deblur.estimation import Estimate
from deblur.restoration import Restoration

__all__ = ["Report"]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is said of one restored picture (of one page, where a file has several).

    Attributes:
        image, output: the files.
        source_label: the word for what came in, `blurred`.
        restoration: how it went.
        found: the kernel, where it was found and not given.
        seconds: that all of it took.
        kernel: the file that the kernel was written to, or None.
        scores: how near the truth it is, where that is known.
        notes: what a user should know.
    """

    image: str
    output: str
    source_label: str
    restoration: Restoration
    found: Estimate | None = None
    seconds: float = 0.0
    kernel: str | None = None
    scores: Scores | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        scores = [] if self.scores is None else [str(self.scores)]
        if self.found is None:
            done = ", ".join([*self._work(), *scores])
        else:
            share = words.of_share(self.restoration.trusted)
            done = "; ".join([*findings.said(self.found), share, f"{self.seconds:.1f} s", *scores])
        return f"{self.image} -> {self.output}: {done}"

    def _work(self) -> list[str]:
        result = self.restoration
        if result.untouched and not result.steps:
            return [words.of_share(result.trusted), f"{result.seconds:.2f} s"]
        parts = [result.method]
        if np.isfinite(result.sigma):
            levels = zip(("dark", "middle", "bright"), result.noise, strict=False)
            apart = ", ".join(f"{name} {255 * sigma:.1f}" for name, sigma in levels)
            parts.append(f"sigma {result.sigma:.4f} ({255 * result.sigma:.2f}/255{apart and '; ' + apart})")
        limit = " (the limit)" if result.status == "limit" else ""
        return [*parts, f"{result.steps} step{'s' * (result.steps != 1)}{limit}", f"{result.seconds:.2f} s"]

    def record(self) -> dict[str, object]:
        """The same for a program to read."""
        result = self.restoration
        return {
            "image": self.image,
            "output": self.output,
            **self._record(),
            "method": result.method,
            "sigma": result.sigma,
            **({"noise": list(result.noise)} if result.noise else {}),
            "status": result.status,
            "residual": result.residual,
            "steps": result.steps,
            "seconds": round(result.seconds, 4),
            **({} if self.scores is None else self.scores.record(self.source_label)),
            "notes": self.notes,
        }

    def _record(self) -> dict[str, object]:
        if self.found is None:
            return {}
        told = findings.record(self.found)
        return {
            "found": words.of_kernel(self.found.kernel),
            **{key: told[key] for key in ("source", "size", "confidence", "misfit")},
            **({} if self.kernel is None else {"kernel": self.kernel}),
            "done": words.of_share(self.restoration.trusted),
            "trusted": self.restoration.trusted,
            "seconds_in_all": round(self.seconds, 4),
        }

    def tell(self, *, as_json: bool, on_stderr: bool) -> None:
        """Print it, and the notes."""
        if as_json:
            console.json_line(self.record(), on_stderr=on_stderr)
            return
        console.line(str(self), on_stderr=on_stderr)
        for note in self.notes:
            console.note(f"{self.image}: {note}")
