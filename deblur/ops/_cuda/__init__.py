"""The exact inverse and its weight gradient on CUDA devices, by the kernels of csrc/cuda.

`serve` is what the rest of the package calls: it decides whether the kernels run here, and runs them. Behind it stand
`plan` (how a call is cut into launches), `border` (a repeated edge), `modules` (sources to loaded kernels) and the two
libraries that it needs, `nvrtc` (the compiler) and `driver` (the launches), both through ctypes.
"""

from __future__ import annotations

from deblur.ops._cuda.serve import available, describe, serves, solve, warmup, weight_grad, why_not

__all__ = ["available", "describe", "serves", "solve", "warmup", "weight_grad", "why_not"]
