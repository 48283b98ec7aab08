"""The package's front: every maker has an example, and torch is imported only by what needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import deblur.psf as psf


@pytest.mark.parametrize("name", sorted(psf.SHAPES))
def test_every_maker_has_an_example(name: str) -> None:
    assert ">>>" in (psf.SHAPES[name].__doc__ or "")


def test_making_a_kernel_imports_no_torch() -> None:
    code = "import sys, deblur.psf as p; p.make('airy:na=1,wavelength=500,pixel=99'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
