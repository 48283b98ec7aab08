"""The emulator needs a host compiler and a system with its fibers."""

from __future__ import annotations

import pytest
from emulated import BUILD, why_not_emulated


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> None:
    if why_not_emulated():
        pytest.skip(str(why_not_emulated()))
    monkeypatch.setenv("DEBLUR_CACHE", str(BUILD / "images"))
