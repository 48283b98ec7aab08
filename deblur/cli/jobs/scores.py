"""How near a picture comes to the truth, before and after."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from deblur import metrics
from deblur.errors import ShapeError

__all__ = ["Scores", "score"]


@dataclass(frozen=True)
class Scores:
    """How near the truth a picture is, as restored and as it was before; see `deblur.metrics`."""

    psnr: float
    ssim: float
    psnr_before: float
    ssim_before: float

    def __str__(self) -> str:
        gain = self.psnr - self.psnr_before
        return (
            f"PSNR {self.psnr_before:.2f} -> {self.psnr:.2f} dB ({gain:+.2f}), "
            f"SSIM {self.ssim_before:.4f} -> {self.ssim:.4f}"
        )

    def record(self, source_label: str) -> dict[str, float]:
        """The same for a program to read; what the picture was before is in the names."""
        before = {f"psnr_{source_label}": self.psnr_before, f"ssim_{source_label}": self.ssim_before}
        return {"psnr": self.psnr, "ssim": self.ssim, **before}

    @classmethod
    def of(cls, before: Tensor, after: Tensor, truth: Tensor) -> Scores:
        """Of pixels (C, H, W) before and after, whose size may differ from the truth's by k - 1."""
        then, now = metrics.common_part(before, truth), metrics.common_part(after, truth)
        return cls(metrics.psnr(*now), score(metrics.ssim, *now), metrics.psnr(*then), score(metrics.ssim, *then))


def score(metric: Callable[[Tensor, Tensor], float], estimate: Tensor, truth: Tensor) -> float:
    """The metric of two pictures of one size, or NaN where they are too small to have one."""
    try:
        return metric(estimate, truth)
    except ShapeError:
        return math.nan
