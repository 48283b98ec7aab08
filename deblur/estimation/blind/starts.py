"""The ways to run the pyramid, and what each is good for.

Blind estimation has many local minima, and a single run fails on a nearly random case. The runs differ in what makes
them fall into one or the other: which edges take part, how many scales there are, how smooth the kernel is.
"""

from __future__ import annotations

from deblur.estimation.blind.pyramid import Start

__all__ = ["AGAIN", "SCOUT", "STARTS", "TEXT"]

SCOUT = Start(smooth=2e5, bound=True)
"""The run that is least impressed by noise; the only one where a single kernel is wanted."""

AGAIN = Start(weight=2e-3, ridge=20.0, finest=3)
"""The climb to full size from a kernel that is there already, whatever start it came from: half of its size and finer,
with a strong ridge and more edges from the first."""

STARTS: dict[str, Start] = {
    "scout": SCOUT,
    "broad": Start(weight=1.2e-2, smooth=2e5, bound=True, margin=10),
    "free": Start(weight=7e-3, ridge=2.0, margin=8, edges=25.0),
    "faint": Start(weight=5e-3, gamma=0.8, margin=8, share=0.01),
    "text": Start(weight=1.2e-2, smooth=2e5, bound=True, margin=10, ground=1.0, growth=2.0),
}
"""By name: `broad` begins with few edges and smooth kernels and ends elsewhere where the others agree on a part of the
kernel, `free` has the weakest ridge and more room (fine where there is little noise), `faint` lets dark edges count and
keeps thin tails that the others prune, `text` looks for a scene of two levels."""

TEXT = ("text",)
"""The starts for frames with much plain ground: their values are differences from it."""
