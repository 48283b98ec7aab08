"""The package's front: examples run, names are there, and torch is imported only by what needs it."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import deblur.psf as psf

MODULES = sorted(module.name for module in pkgutil.iter_modules(psf.__path__, "deblur.psf."))


@pytest.mark.parametrize("name", ["deblur.psf", *MODULES])
def test_examples_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


@pytest.mark.parametrize("name", sorted(psf.SHAPES))
def test_every_maker_has_an_example(name: str) -> None:
    assert ">>>" in (psf.SHAPES[name].__doc__ or "")


def test_public_names_exist() -> None:
    assert all(getattr(psf, name) is not None for name in psf.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'deconvolve'"):
        psf.deconvolve  # noqa: B018


def test_making_a_kernel_imports_no_torch() -> None:
    code = "import sys, deblur.psf as p; p.make('airy:na=1,wavelength=500,pixel=99'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
