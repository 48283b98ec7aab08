"""The files in configs/ are to be copied: each is complete, and says what the code understands."""

from __future__ import annotations

from pathlib import Path

import pytest

from deblur import config
from deblur.cli.jobs.apply import Settings
from deblur.restoration import RESTORERS
from deblur.restoration.auto import configured

CONFIGS = [
    path for path in sorted((Path(__file__).parents[2] / "configs").glob("*.yaml")) if not path.stem.startswith("fit")
]


def test_every_method_has_a_file() -> None:
    assert [path.stem for path in CONFIGS] == sorted(RESTORERS)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_file_builds_its_method(path: Path) -> None:
    settings = config.load(Settings, path)
    assert settings.method == path.stem
    assert type(configured(settings.method, settings.settings)) is type(RESTORERS[path.stem])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_flags_come_before_it(path: Path) -> None:
    assert config.load(Settings, path, {"strength": 1.7}).strength == 1.7
