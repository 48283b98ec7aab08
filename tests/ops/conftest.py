"""Both ways to compute: the native kernels, where they loaded, and the reference."""

from __future__ import annotations

import pytest

from deblur.ops import _dispatch, _native


@pytest.fixture(params=["native", "reference"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "reference":
        monkeypatch.setattr(_dispatch, "_native_serves", lambda image: False)
    elif not _native.available():
        pytest.skip(str(_native.why_not()))
    return str(request.param)
